"""Ranges of a file through fsspec: ``s3://``, ``gs://``, ``memory://`` and whatever else it knows.

A request is counted per call of the file system; how many it makes of it, only it knows. Timeouts and
retries are the file system's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import RemoteError, UnsupportedError

if TYPE_CHECKING:
    from .location import Location
    from .session import Counter

__all__ = ["GenericTransport"]

_VERSIONS: Final = ("ETag", "etag", "md5Hash", "sha256", "LastModified", "mtime", "modified", "created")
"""What file systems call that which changes with a file, the best first."""


class GenericTransport:
    """A `gguf_tools.remote.source.Transport` for any file system of fsspec.

    Args:
        location: the file.
        counter: told about every call and byte.

    Raises:
        UnsupportedError: fsspec or the package it needs for the scheme is missing, or the scheme is unknown.
        RemoteError: the file system cannot be set up.
    """

    sequential = False

    def __init__(self, location: Location, counter: Counter) -> None:
        from .session import missing

        self.size = 0
        self.version = ""
        self._path = str(location)
        self._counter = counter
        try:
            from fsspec.core import url_to_fs
        except ImportError as cause:
            raise missing("fsspec", location) from cause
        try:
            self._files, self._name = url_to_fs(location.url)
        except ImportError as cause:  # fsspec's words name the package
            raise UnsupportedError(
                f"{location.scheme}:// needs another package: {cause} (pip install 'gguf-tools[remote]' has "
                "that of s3://)",
                path=location,
            ) from cause
        except ValueError as cause:
            raise UnsupportedError(f"cannot open such a URL: {cause}", path=location) from cause
        except Exception as cause:  # file systems raise what they like
            raise RemoteError(f"cannot connect: {_words(cause)}", path=self._path) from cause

    def first(self, count: int) -> bytes:
        self.size, self.version = self._state()
        return self.read(0, min(count, self.size)) if self.size else b""

    def read(self, start: int, stop: int) -> bytes:
        self._counter.request()
        try:
            data = bytes(self._files.cat_file(self._name, start=start, end=stop))
        except Exception as cause:
            raise self._fault(cause, (start, stop)) from cause
        self._counter.received(len(data))
        if len(data) != stop - start:
            raise RemoteError(
                f"{len(data)} bytes came; the file changed, or its length was a lie",
                path=self._path,
                span=(start, stop),
            )
        return data

    def require_unchanged(self) -> None:
        self._files.invalidate_cache()
        if self._state() != (self.size, self.version):
            raise RemoteError("the file changed while it was being read", path=self._path)

    def _state(self) -> tuple[int, str]:
        """Size, and what changes with the file."""
        self._counter.request()
        try:
            facts: dict[str, Any] = self._files.info(self._name)
        except Exception as cause:
            raise self._fault(cause) from cause
        size = facts.get("size")
        if facts.get("type") == "directory":
            raise RemoteError("is a directory, expected a file", path=self._path)
        if not isinstance(size, int) or size < 0:
            raise RemoteError("the file system does not say how large the file is", path=self._path)
        return size, next((str(facts[key]) for key in _VERSIONS if facts.get(key)), "")

    def _fault(self, cause: Exception, span: tuple[int, int] | None = None) -> RemoteError:
        """An error of a file system in our words. It has no common base and hides as what it likes."""
        if isinstance(cause, FileNotFoundError):
            message = "there is no such file"
        elif isinstance(cause, PermissionError):
            message = f"access is refused: {_words(cause)}"
        else:
            message = f"cannot read: {_words(cause)}"
        return RemoteError(message, path=self._path, span=span)


def _words(cause: BaseException) -> str:
    return str(cause) or type(cause).__name__
