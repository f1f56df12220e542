"""A remote file as the readers know files."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ..reading import InputFile

if TYPE_CHECKING:
    from ..errors import GGUFToolsError
    from .pages import Pages
    from .source import Source

__all__ = ["RemoteFile"]


class RemoteFile(InputFile):
    """A file behind a URL, opened.

    Args:
        source: its bytes.
        error: class of the errors raised about the file itself; those about reaching it are RemoteError.
    """

    def __init__(self, source: Source, error: type[GGUFToolsError]) -> None:
        self.path = str(source.location)
        self.size = source.size
        self.modified = source.modified
        self.inode = -1
        self._source: Source | None = source
        self._error = error

    def require_unchanged(self) -> None:
        if self._source is not None:
            self._source.require_unchanged()

    def pages(self) -> Pages:
        """The file's start; see `gguf_tools.remote.pages`."""
        if self._source is None:
            raise self._error("the file has been closed", path=self.path)
        return self._source.pages

    def close(self) -> None:
        self._source = None

    def _at_hand(self, tensor: str | None) -> AbstractContextManager[object]:
        if self._source is None:
            raise self._error("the file has been closed", path=self.path, tensor=tensor)
        return nullcontext()

    def _fill(self, view: memoryview, offset: int, tensor: str | None) -> None:
        assert self._source is not None  # see `_at_hand`
        if offset + len(view) > self.size:
            raise self._error(
                "the file ends inside the data",
                path=self.path,
                tensor=tensor,
                offset=offset,
                found=f"{max(self.size - offset, 0)} bytes",
                expected=f"{len(view)} bytes",
            )
        self._source.read_into(view, offset)
