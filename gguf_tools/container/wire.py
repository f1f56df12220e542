"""Walking the bytes of a GGUF header without decoding them.

A vocabulary of 262,144 tokens is 262,144 length-prefixed strings: to find what comes after it, every
length must be visited, but no string need be made. `Wire` holds a header's bytes together with the facts
needed to step through them (byte order, width of lengths) and checks every count and length against the
bytes that are left before believing it.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..errors import FormatError
from ..spec import MAX_ARRAY_DEPTH, ValueType

if TYPE_CHECKING:
    from array import array
    from mmap import mmap

    import numpy as np
    from numpy.typing import NDArray

    from ..reading import Pages

__all__ = ["SCALAR_FORMATS", "ByteOrder", "Places", "ShortWindowError", "Wire", "scalar_dtype"]

ByteOrder = Literal["little", "big"]
Places: TypeAlias = "array[int]"
"""Positions in a file, as 64-bit integers side by side: there may be hundreds of thousands."""

SCALAR_FORMATS: Final[dict[ValueType, str]] = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "B",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}
"""`struct` codes of the value types of fixed size. A bool is a byte of which any bit may be set."""

_SCALAR_SIZES: Final = {kind: struct.calcsize("<" + code) for kind, code in SCALAR_FORMATS.items()}

_WINDOW: Final = 1 << 17
"""Bytes of packed strings searched at once: fits the cache, yet makes numpy's overhead small."""

_TAIL: Final = 1 << 11
"""A walk that came this close to a window's end got all the window had to give."""

_PART: Final = 8
"""An eighth of a vocabulary is taken to tell how long its strings are; the very first are often special."""

_MORE: Final = 16
"""By a sixteenth the strings to come are taken to be longer, so that seldom a few bytes are missing."""


def scalar_dtype(kind: ValueType, prefix: str = "<") -> np.dtype[Any]:
    """The numpy dtype of a fixed-size value type in byte order ``prefix`` (``<`` or ``>``)."""
    import numpy as np  # not at the top: headers are walked without it

    code = SCALAR_FORMATS[kind]
    letter = "f" if code in "fd" else "i" if code.islower() else "u"
    return np.dtype(f"{prefix}{letter}{_SCALAR_SIZES[kind]}")


def _numpy_is_there() -> bool:
    """Whether numpy has been imported, by whomever."""
    return "numpy" in sys.modules


class ShortWindowError(FormatError):
    """The header goes on beyond the bytes it is being read from; in the file there are more."""


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """The bytes of one file and how its numbers are written.

    Attributes:
        buffer: the file's bytes, or its first ones, which must hold the header; where there are ``pages``,
            theirs, and bytes are certain to be there only after `need`, or through `piece` and `numbers`.
        order: byte order of every multi-byte value.
        width: bytes of a length, count or dimension: 4 in version 1, 8 since.
        path: the file's name, for errors.
        size: bytes in all; those of ``buffer`` where it is 0.
        pages: what the bytes come from when they are needed; None where all of them are there.
        reach: bytes that are there or can be had.
    """

    buffer: mmap | bytes | memoryview
    order: ByteOrder = "little"
    width: Literal[4, 8] = 8
    path: str | None = None
    size: int = 0
    pages: Pages | None = None
    reach: int = field(init=False)
    _length: struct.Struct = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", len(self.buffer) if self.pages is None else self.pages.size)
        object.__setattr__(self, "size", self.size or self.reach)
        object.__setattr__(self, "_length", struct.Struct(self.prefix + ("Q" if self.width == 8 else "I")))

    @property
    def prefix(self) -> Literal["<", ">"]:
        """The byte order as `struct` and numpy write it."""
        return "<" if self.order == "little" else ">"

    @property
    def canonical(self) -> bool:
        """Whether strings and arrays stand here byte for byte as a version 3 little-endian file has them."""
        return self.order == "little" and self.width == 8

    def fault(self, message: str, offset: int, **facts: Any) -> FormatError:
        """An error placed in this file."""
        return FormatError(message, path=self.path, offset=offset, **facts)

    def beyond(self, message: str, offset: int, **facts: Any) -> FormatError:
        """An error about what goes past the end: of the file, or only of the bytes at hand."""
        kind = ShortWindowError if self.reach < self.size else FormatError
        return kind(message, path=self.path, offset=offset, **facts)

    def need(self, position: int, count: int, what: str) -> None:
        """Check that ``count`` more bytes follow ``position``, and have them.

        Raises:
            FormatError: they do not.
            RemoteError: they cannot be had.
        """
        left = self.reach - position
        if count > left:
            raise self.beyond(
                f"the file ends inside {what}",
                position,
                found=f"{max(left, 0)} bytes",
                expected=f"{count} bytes",
            )
        if self.pages is not None:
            self.pages.ensure(position, position + count)

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, which are known to lie inside the file."""
        if self.pages is not None:
            self.pages.ensure(start, stop)
        return bytes(self.buffer[start:stop])

    def numbers(self, start: int, kind: ValueType, count: int) -> NDArray[Any]:
        """``count`` packed numbers, which are known to lie inside the file, as a view of it."""
        import numpy as np

        dtype = scalar_dtype(kind, self.prefix)
        if self.pages is not None:
            self.pages.ensure(start, start + count * dtype.itemsize)
        return np.frombuffer(self.buffer, dtype, count, start)

    def number(self, position: int, code: str, what: str) -> Any:
        """One number of `struct` code ``code``, checked to be inside the file."""
        self.need(position, struct.calcsize("<" + code), what)
        return struct.unpack_from(self.prefix + code, self.buffer, position)[0]

    def length(self, position: int, what: str) -> int:
        """A length, count or dimension."""
        self.need(position, self.width, what)
        return int(self._length.unpack_from(self.buffer, position)[0])

    def string(self, position: int, what: str) -> tuple[int, int]:
        """Where the bytes of a length-prefixed string start and end."""
        count = self.length(position, f"the length of {what}")
        start = position + self.width
        left = self.reach - start
        if count > left:
            raise self.beyond(
                f"the length of {what} goes past the end of the file",
                position,
                found=count,
                expected=f"at most {left}",
            )
        return start, start + count

    def array(self, position: int) -> tuple[ValueType, int, int]:
        """Element type and count of an array, and where its elements start.

        The count is checked against the bytes left, each element taking at least its smallest size.
        """
        kind = self.value_type(position, "the element type of an array")
        count = self.length(position + 4, "the count of an array")
        start = position + 4 + self.width
        smallest = _SCALAR_SIZES.get(kind) or (self.width if kind is ValueType.STRING else 4 + self.width)
        left = self.reach - start
        if count * smallest > left:
            raise self.beyond(
                f"an array of {kind.name} is longer than the rest of the file",
                position + 4,
                found=f"{count} elements",
                expected=f"at most {left // smallest}",
            )
        return kind, count, start

    def value_type(self, position: int, what: str) -> ValueType:
        """A value type id, checked to be known: what follows an unknown one cannot be located."""
        number = self.number(position, "I", what)
        try:
            return ValueType(number)
        except ValueError:
            raise self.fault(f"{what} is unknown", position, found=number, expected="0 to 12") from None

    def skip(self, position: int, kind: ValueType, depth: int = 0) -> int:
        """Where a value of type ``kind`` ends.

        Raises:
            FormatError: it does not end inside the file, or arrays are nested deeper than `MAX_ARRAY_DEPTH`.
        """
        size = _SCALAR_SIZES.get(kind)
        if size is not None:
            self.need(position, size, f"a value of type {kind.name}")
            return position + size
        if kind is ValueType.STRING:
            return self.string(position, "a string")[1]
        if depth == MAX_ARRAY_DEPTH:
            raise self.fault(
                "arrays are nested too deeply", position, expected=f"at most {MAX_ARRAY_DEPTH} levels"
            )
        element, count, start = self.array(position)
        return self.skip_elements(start, element, count, depth)

    def skip_elements(self, start: int, kind: ValueType, count: int, depth: int = 0) -> int:
        """Where ``count`` packed elements of type ``kind`` end."""
        size = _SCALAR_SIZES.get(kind)
        if size is not None:
            return start + count * size
        if kind is ValueType.STRING:
            return self.walk_strings(start, count)
        for _ in range(count):
            start = self.skip(start, kind, depth + 1)
        return start

    def walk_strings(self, start: int, count: int, places: Places | None = None) -> int:
        """Step over ``count`` packed strings; where given, append each one's position to ``places``.

        A window at a time: as far as they can be found all at once, by `find_chain`, and from there on one
        by one. The former takes numpy, whose import takes longer than stepping through most vocabularies
        does, so that it is only done in a process that has it anyway.

        Raises:
            FormatError: a string does not end inside the file.
        """
        position, done = start, 0
        leaping = _numpy_is_there()
        while done < count:
            until, before = self._window(position, start, done, count), done
            if leaping:
                position, done = self._leap(position, until, start, done, count, places)
            if (done < count and position < until - _TAIL) or done == before:
                # Up to this window's end, so that windows never cost more than the bytes they cover; at
                # least one step, so that the walk always advances or fails.
                last = max(until - self.width + 1, position + 1)
                position, done = self._steps(position, last, start, done, count, places)
        return position

    def _window(self, position: int, start: int, done: int, count: int) -> int:
        """Where the window that starts at ``position`` ends; at least a length is in it, if in the file.

        How far reading will go on is for certain as many bytes as the lengths still to come take, and likely,
        once some strings are done, as many as these had.
        """
        until = min(position + _WINDOW, self.reach)
        if self.pages is None:
            return until
        first = min(position + self.width, self.reach)
        likely = (count - done) * self.width
        if _PART * done > count:
            likely = (count - done) * (position - start) // done * _MORE // (_MORE - 1)
        return min(until, self.pages.ensure(position, first, position + likely))

    def _leap(
        self, position: int, until: int, start: int, done: int, count: int, places: Places | None
    ) -> tuple[int, int]:
        """Step over strings that are found all at once; not to the window's end where it has others."""
        from .chains import find_chain

        found = find_chain(self.buffer, position, until, self.width, self.order)[: count - done]
        if not len(found):
            return position, done
        if places is not None:
            places.frombytes(found.tobytes())
        done += len(found)
        return self._after(int(found[-1]), start, done - 1), done

    def _steps(
        self, position: int, until: int, start: int, done: int, count: int, places: Places | None
    ) -> tuple[int, int]:
        """Step over strings one by one until ``until`` is reached or ``count`` are done."""
        unpack, width, buffer = self._length.unpack_from, self.width, self.buffer
        note = None if places is None else places.append
        index, before = done, position
        try:
            for index in range(done, count):
                if position >= until:
                    count = index
                    break
                before = position
                if note is not None:
                    note(position)
                position += width + unpack(buffer, position)[0]
        except (struct.error, OverflowError):
            self._after(before, start, index)
            raise
        if position > self.reach:
            self._after(before, start, count - 1)
        return position, count

    def _after(self, position: int, start: int, index: int) -> int:
        """Where the string at ``position`` ends, with its index in the error if it does not."""
        return self.string(position, f"string {index} of the array at byte {start}")[1]
