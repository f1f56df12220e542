"""The bytes behind a URL: how they come, and those that have come."""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from .pages import FIRST_BLOCK, Pages

if TYPE_CHECKING:
    from .location import Location
    from .session import Counter

__all__ = ["Source", "Transport"]

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


class Source:
    """A remote file, shared by all who have it open.

    Attributes:
        location: where it is.
        size: in bytes.
        modified: a number that is another one when the file is.
        pages: its start, as far as it has been read.
        counter: of what was transferred.
    """

    def __init__(self, location: Location, transport: Transport, counter: Counter) -> None:
        self.location = location
        self.counter = counter
        self._transport = transport
        start = transport.first(FIRST_BLOCK)
        self.size = transport.size
        self.modified = zlib.crc32(transport.version.encode())
        self.pages = Pages(self.size, transport.read, str(location), sequential=transport.sequential)
        self.pages.add(0, start)
        self._lock = threading.Lock()
        self._ahead_start, self._ahead, self._grown = 0, b"", 0

    def require_unchanged(self) -> None:
        """Raise RemoteError if the file is known to be another one by now."""
        self._transport.require_unchanged()

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer from ``offset`` on, inside the file.

        What the pages have is not read again. Where one read begins where another ended, more is read than
        was asked for, up to a bound.

        Raises:
            RemoteError: the bytes cannot be had.
        """
        stop = offset + len(view)
        if self._transport.sequential:
            self.pages.ensure(offset, stop)
        known = min(self.pages.end_at(offset), stop) - offset
        view[:known] = self.pages.buffer[offset : offset + known]
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
