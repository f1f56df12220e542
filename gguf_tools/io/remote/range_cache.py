"""The start of a remote file in memory, filled as it is asked for.

Reading goes on in blocks, each twice as large as the one before, so that a header of any size takes few
requests and at most half of what is read is too much; a reader that knows better says so, as the walk over a
vocabulary does. After a jump over bytes nobody asked for (token scores), blocks are small again. Short gaps
are read through: a further request takes longer than a few kilobytes.

How little of a header is enough? A vocabulary's strings are preceded by their lengths, and where one starts
depends on the lengths of all before it. Whatever comes after a vocabulary can therefore be located only by
reading all of it, or by guessing, which is not done here. Arrays of numbers, however, are jumped over.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from ...errors import RemoteError
from ...system import anonymous_memory

__all__ = ["FIRST_BLOCK", "MAX_HEADER", "RangeCache"]

FIRST_BLOCK: Final = 1 << 16
"""Read at once. All metadata of most models that comes before the vocabulary, and small headers whole."""

_SMALL_BLOCK: Final = 1 << 15
"""Behind a jump, or where a walk is about to end."""

LARGEST_BLOCK: Final = 1 << 23
"""Blocks grow no further: what is read too much stays below what a second takes on a slow line."""

MAX_HEADER: Final = 1 << 28
"""The largest headers known, a million tokens with their merges, have some 60 MB."""

_GAP: Final = 1 << 15
"""Up to so many bytes are read through instead of asking again behind them."""


class RangeCache:
    """The `gguf_tools.io.input_files.Pages` of a file's first `MAX_HEADER` bytes.

    Args:
        size: of the file.
        fetch: called with first byte and last plus one, returns these bytes.
        path: the file's name, for errors.
        sequential: nothing may be jumped over; `fetch` only goes forwards.

    Raises:
        RemoteError: there are no addresses for so much memory.
    """

    def __init__(
        self,
        size: int,
        fetch: Callable[[int, int], bytes],
        path: str,
        *,
        sequential: bool = False,
    ) -> None:
        self.size = size
        self._fetch = fetch
        self._path = path
        self._sequential = sequential
        try:  # untouched pages of anonymous memory take none
            self._memory = anonymous_memory(max(1, min(size, MAX_HEADER)))
        except OSError as cause:
            raise RemoteError(f"no memory for the header: {cause.strerror}", path=path) from cause
        self.buffer = memoryview(self._memory).toreadonly()[: min(size, MAX_HEADER)]
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._block = FIRST_BLOCK
        self._lock = threading.RLock()

    def add(self, start: int, data: bytes) -> None:
        """Put bytes in their place, where nothing was before."""
        if not data:
            return
        stop = start + len(data)
        self._memory[start:stop] = data
        i = bisect_right(self._starts, start)
        if i and self._ends[i - 1] == start:
            i -= 1
            self._ends[i] = stop
        else:
            self._starts.insert(i, start)
            self._ends.insert(i, stop)
        if i + 1 < len(self._starts) and self._starts[i + 1] == stop:
            self._ends[i] = self._ends.pop(i + 1)
            del self._starts[i + 1]

    def end_at(self, position: int) -> int:
        """Up to where there are bytes without a gap from ``position`` on; itself where there are none."""
        i = bisect_right(self._starts, position) - 1
        return max(position, self._ends[i]) if i >= 0 else position

    def ensure(self, start: int, stop: int, likely: int = 0) -> int:
        """Have bytes ``start`` to ``stop``; ``likely`` is where reading on from there would end.

        Returns:
            Up to where there are bytes without a gap from ``start`` on; at least ``stop``.

        Raises:
            RemoteError: the bytes cannot be had, or lie beyond `MAX_HEADER`.
        """
        with self._lock:
            while (end := self.end_at(start)) < stop:
                if stop > len(self.buffer):
                    message = f"the header goes on beyond {MAX_HEADER >> 20} MiB, too far for a remote file"
                    raise RemoteError(message, path=self._path)
                self._read(end, stop, likely)
            return end

    def view(self, start: int, stop: int, likely: int = 0) -> memoryview:
        """As the protocol says. Raises as `ensure` does."""
        return self.buffer[start : self.ensure(start, stop, likely)]

    def keep(self, end: int) -> None:
        """As the protocol says: what has been read is in memory, and the rest can be had at any time."""

    def _read(self, start: int, stop: int, likely: int) -> None:
        """Read one block, which starts at ``start`` or, over a short gap, before."""
        before = max((end for end in self._ends if end <= start), default=0)
        if self._sequential or start - before <= _GAP:
            start = before
        else:
            self._block = _SMALL_BLOCK
        if likely:
            self._block = _SMALL_BLOCK
        until = max(stop, min(likely, start + LARGEST_BLOCK), start + self._block)
        following = [first for first in self._starts if first > start]
        until = min([until, len(self.buffer), *following])
        self._block = min(2 * self._block, LARGEST_BLOCK)
        self.add(start, self._fetch(start, until))
