"""Ranges of a file through fsspec: ``s3://``, ``gs://``, ``memory://`` and whatever else it knows.

A request is counted per call of the file system; how many it makes of it, only it knows. Timeouts and
retries are the file system's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fsspec.core import url_to_fs

from ...errors import RemoteError, UnsupportedError

if TYPE_CHECKING:
    from .location import Location
    from .transfers import TransferCounter

__all__ = ["FsspecTransport", "list_names"]

_VERSIONS: Final = ("ETag", "etag", "md5Hash", "sha256", "LastModified", "mtime", "modified", "created")
"""What file systems call that which changes with a file, the best first."""


class FsspecTransport:
    """A `gguf_tools.io.remote.remote_bytes.Transport` for any file system of fsspec.

    Args:
        location: the file.
        counter: told about every call and byte.

    Raises:
        UnsupportedError: the package that fsspec needs for the scheme is missing, or the scheme is unknown.
        RemoteError: the file system cannot be set up.
    """

    sequential = False

    def __init__(self, location: Location, counter: TransferCounter) -> None:
        self.size = 0
        self.version = ""
        self._location = location
        self._counter = counter
        self._files, self._name = _file_system(location)

    def first(self, count: int) -> bytes:
        self.size, self.version = self._state()
        return self.read(0, min(count, self.size)) if self.size else b""

    def read(self, start: int, stop: int) -> bytes:
        self._counter.count_request()
        with _reported(self._location, (start, stop)):
            data = bytes(self._files.cat_file(self._name, start=start, end=stop))
        self._counter.count_bytes(len(data))
        if len(data) != stop - start:
            raise RemoteError(
                f"{len(data)} bytes came; the file changed, or its length was a lie",
                path=str(self._location),
                span=(start, stop),
            )
        return data

    def require_unchanged(self) -> None:
        self._files.invalidate_cache()
        if self._state() != (self.size, self.version):
            raise RemoteError("the file changed while it was being read", path=str(self._location))

    def _state(self) -> tuple[int, str]:
        """Size, and what changes with the file."""
        self._counter.count_request()
        with _reported(self._location):
            facts: dict[str, Any] = self._files.info(self._name)
        size = facts.get("size")
        if facts.get("type") == "directory":
            raise RemoteError("is a directory, expected a file", path=str(self._location))
        if not isinstance(size, int) or size < 0:
            raise RemoteError("the file system does not say how large the file is", path=str(self._location))
        return size, next((str(facts[key]) for key in _VERSIONS if facts.get(key)), "")


def list_names(location: Location) -> list[str]:
    """Names of the files in a directory; none where it is not there.

    Raises:
        As `FsspecTransport`.
    """
    files, name = _file_system(location)
    try:
        with _reported(location):
            found = files.ls(name.rstrip("/"), detail=True)
    except RemoteError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return []
        raise
    return [entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file"]


def _file_system(location: Location) -> tuple[Any, str]:
    """The file system of a URL, and the file's name in it."""
    try:
        files, name = url_to_fs(location.url)
    except Exception as cause:  # file systems raise what they like
        why = location.describe(cause)
        if isinstance(cause, ImportError):  # fsspec's words name the package
            why = f"needs another package: {why} (pip install 'gguf-tools[remote]' has that of s3://)"
            raise UnsupportedError(f"{location.scheme}:// {why}", path=location) from cause
        if isinstance(cause, ValueError):
            raise UnsupportedError(f"cannot open such a URL: {why}", path=location) from cause
        raise RemoteError(f"cannot connect: {why}", path=str(location)) from cause
    return files, name


@contextmanager
def _reported(location: Location, span: tuple[int, int] | None = None) -> Iterator[None]:
    """An error of a file system becomes one of ours: they have no common base, and hide as what they like."""
    try:
        yield
    except FileNotFoundError as cause:
        raise RemoteError("there is no such file", path=str(location), span=span) from cause
    except Exception as cause:
        what = "access is refused" if isinstance(cause, PermissionError) else "cannot read"
        raise RemoteError(f"{what}: {location.describe(cause)}", path=str(location), span=span) from cause
