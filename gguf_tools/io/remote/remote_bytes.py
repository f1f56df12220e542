"""The bytes behind a URL: how they come, those that have come, and the file that readers see."""

from __future__ import annotations

import threading
import zlib
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

from ..input_files import InputFile
from .range_cache import FIRST_BLOCK, RangeCache

if TYPE_CHECKING:
    from ...errors import GGUFToolsError
    from .location import Location
    from .transfers import TransferCounter

__all__ = ["RemoteBytes", "RemoteFile", "Transport"]

_MOST_AHEAD: Final = 1 << 23
"""Bytes read beyond what was asked for, at most, where reading has gone on without a gap for a while."""


class Transport(Protocol):
    """A way to get at a file's bytes, which checks that they are those of the same file every time.

    Attributes:
        size: of the file, in bytes; known after `first`.
        version: text that is another one when the file is, or "".
        sequential: whether it can only be read from front to end.
    """

    size: int
    version: str
    sequential: bool

    def first(self, count: int) -> bytes:
        """The first ``count`` bytes, or all there are. Called once, before all else.

        Raises:
            RemoteError: they cannot be had.
        """

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, which lie inside the file. Raises as `first` does."""

    def require_unchanged(self) -> None:
        """Raise RemoteError if the file is known to be another one by now."""


class RemoteBytes:
    """What is behind a URL, shared by all who have it open; one thread at a time asks for more of it.

    Attributes:
        location: where it is.
        size: in bytes.
        modified: a number that is another one when the file is.
        cache: its start, as far as it has been read.
        counter: of what was transferred.
    """

    def __init__(self, location: Location, transport: Transport, counter: TransferCounter) -> None:
        self.location = location
        self.counter = counter
        self._transport = transport
        self._lock = threading.RLock()
        self._ahead_start, self._ahead, self._grown = 0, b"", 0
        start = transport.first(FIRST_BLOCK)
        self.size = transport.size
        self.modified = zlib.crc32(transport.version.encode("utf-8", "surrogatepass"))
        lock = self._lock

        def fetch(start: int, stop: int) -> bytes:  # which must not keep the object it belongs to
            with lock:
                return transport.read(start, stop)

        self.cache = RangeCache(self.size, fetch, str(location), sequential=transport.sequential)
        self.cache.add(0, start)

    def require_unchanged(self) -> None:
        """Raise RemoteError if the file is known to be another one by now."""
        self._transport.require_unchanged()

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer from ``offset`` on, inside the file.

        What the cache has is not read again. Where one read begins where another ended, more is read than
        was asked for, up to a bound.

        Raises:
            RemoteError: the bytes cannot be had.
        """
        stop = offset + len(view)
        if self._transport.sequential:
            self.cache.ensure(offset, stop)
        known = min(self.cache.end_at(offset), stop) - offset
        view[:known] = self.cache.buffer[offset : offset + known]
        if known < len(view):
            with self._lock:
                view[known:] = self._data(offset + known, stop)

    def _data(self, start: int, stop: int) -> memoryview:
        first, last = self._ahead_start, self._ahead_start + len(self._ahead)
        if not (first <= start and stop <= last):
            # Anew; with twice as much ahead where this goes on where the last one ended.
            goes_on = first <= start <= last and self._ahead
            self._grown = min(2 * self._grown or stop - start, _MOST_AHEAD) if goes_on else 0
            rest = self._ahead[start - first :] if goes_on else b""
            until = min(max(stop, start + len(rest) + self._grown), self.size)
            self._ahead = rest + self._transport.read(start + len(rest), until)
            self._ahead_start = first = start
        return memoryview(self._ahead)[start - first : stop - first]


class RemoteFile(InputFile):
    """A file behind a URL, opened.

    Args:
        data: its bytes.
        error: class of the errors raised about the file itself; those about reaching it are RemoteError.
    """

    def __init__(self, data: RemoteBytes, error: type[GGUFToolsError]) -> None:
        self.path = str(data.location)
        self.size = data.size
        self.modified = data.modified
        self.inode = -1
        self._data: RemoteBytes | None = data
        self._error = error

    def require_unchanged(self) -> None:
        if self._data is not None:
            self._data.require_unchanged()

    def pages(self) -> RangeCache:
        """The file's start; see `gguf_tools.io.remote.range_cache`."""
        return self._opened(None).cache

    def close(self) -> None:
        self._data = None

    def _at_hand(self, tensor: str | None) -> AbstractContextManager[object]:
        return nullcontext(self._opened(tensor))

    def _fill(self, view: memoryview, offset: int, tensor: str | None) -> None:
        if offset + len(view) > self.size:
            raise self._error(
                "the file ends inside the data",
                path=self.path,
                tensor=tensor,
                offset=offset,
                found=f"{max(self.size - offset, 0)} bytes",
                expected=f"{len(view)} bytes",
            )
        self._opened(tensor).read_into(view, offset)

    def _opened(self, tensor: str | None) -> RemoteBytes:
        if self._data is None:
            raise self._error("the file has been closed", path=self.path, tensor=tensor)
        return self._data
