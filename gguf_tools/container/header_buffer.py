"""Walking the bytes of a GGUF header without decoding them.

A vocabulary of 262,144 tokens is 262,144 length-prefixed strings: to find what comes after it, every
length must be visited, but no string need be made. `Wire` holds a header's bytes together with the facts
needed to step through them (byte order, width of lengths) and checks every count and length against the
bytes that are left before believing it.

The bytes come by position, a window at a time. They are never a mapping of the file: of one that is cut
short meanwhile, touching a mapping would end the process.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..errors import FormatError
from ..spec import MAX_ARRAY_DEPTH, ByteOrder, ValueType

if TYPE_CHECKING:
    from array import array

    import numpy as np
    from numpy.typing import NDArray

    from ..io.input_files import Buffer, Pages

__all__ = ["SCALAR_FORMATS", "Places", "Wire", "scalar_dtype"]

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


@dataclass(slots=True, eq=False)
class Wire:
    """The bytes of one file and how its numbers are written.

    Attributes:
        pages: what the bytes come from.
        order: byte order of every multi-byte value.
        width: bytes of a length, count or dimension: 4 in version 1, 8 since.
        path: the file's name, for errors.
        size: of the file, in bytes.
    """

    pages: Pages
    order: ByteOrder = "little"
    width: Literal[4, 8] = 8
    path: str | None = None
    size: int = field(init=False)
    _length: struct.Struct = field(init=False, repr=False)
    _window: tuple[int, Buffer] = field(init=False, repr=False)
    """What was read last, and where it starts. Replaced as a whole: other threads may be looking at it."""

    def __post_init__(self) -> None:
        self.size = self.pages.size
        self._length = struct.Struct(self.prefix + ("Q" if self.width == 8 else "I"))
        self._window = 0, b""

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

    def need(self, position: int, count: int, what: str) -> None:
        """Check that ``count`` more bytes follow ``position``.

        Raises:
            FormatError: they do not.
        """
        left = self.size - position
        if count > left:
            raise self.fault(
                f"the file ends inside {what}",
                position,
                found=f"{max(left, 0)} bytes",
                expected=f"{count} bytes",
            )

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, which are known to lie inside the file.

        Raises:
            FormatError: the file was changed or cut short meanwhile.
            RemoteError: they cannot be had.
        """
        return bytes(self._stretch(start, stop))

    def numbers(self, start: int, kind: ValueType, count: int) -> NDArray[Any]:
        """``count`` packed numbers, which are known to lie inside the file; read-only. Raises as `piece`."""
        import numpy as np

        dtype = scalar_dtype(kind, self.prefix)
        return np.frombuffer(self._stretch(start, start + count * dtype.itemsize).toreadonly(), dtype)

    def number(self, position: int, code: str, what: str) -> Any:
        """One number of `struct` code ``code``, checked to be inside the file. Raises as `piece` does."""
        code = self.prefix + code
        size = struct.calcsize(code)
        self.need(position, size, what)
        buffer, place = self._found(position, size)
        return struct.unpack_from(code, buffer, place)[0]

    def length(self, position: int, what: str) -> int:
        """A length, count or dimension. Raises as `piece` does."""
        self.need(position, self.width, what)
        buffer, place = self._found(position, self.width)
        return int(self._length.unpack_from(buffer, place)[0])

    def _found(self, position: int, count: int, likely: int = 0) -> tuple[Buffer, int]:
        """A buffer that has ``count`` bytes from ``position`` on, and where in it they start."""
        start, buffer = self._window
        place = position - start
        if place < 0 or place + count > len(buffer):
            buffer, place = self.pages.view(position, position + count, likely), 0
            self._window = position, buffer
        return buffer, place

    def _stretch(self, start: int, stop: int) -> memoryview:
        """Bytes ``start`` to ``stop``; what is read for them is not kept, as it may be large."""
        first, buffer = self._window
        if start < first or stop > first + len(buffer):
            first, buffer = start, self.pages.view(start, stop)
        return memoryview(buffer)[start - first : stop - first]

    def string(self, position: int, what: str) -> tuple[int, int]:
        """Where the bytes of a length-prefixed string start and end."""
        count = self.length(position, f"the length of {what}")
        start = position + self.width
        left = self.size - start
        if count > left:
            raise self.fault(
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
        left = self.size - start
        if count * smallest > left:
            raise self.fault(
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
            window = self._opened(position, start, done, count)
            first, until, before = position, position + len(window), done
            if leaping:
                position, done = self._leap(position, window, start, done, count, places)
            if (done < count and position < until - _TAIL) or done == before:
                # Up to this window's end, so that windows never cost more than the bytes they cover; at
                # least one step, so that the walk always advances or fails.
                rest = window[position - first :]
                position, done = self._steps(position, rest, start, done, count, places)
        return position

    def _opened(self, position: int, start: int, done: int, count: int) -> memoryview:
        """A window that starts at ``position``; at least a length is in it, if in the file.

        How far reading will go on is for certain as many bytes as the lengths still to come take, and likely,
        once some strings are done, as many as these had.
        """
        likely = (count - done) * self.width
        if _PART * done > count:
            likely = (count - done) * (position - start) // done * _MORE // (_MORE - 1)
        first = min(self.width, max(self.size - position, 0))
        buffer, place = self._found(position, first, position + likely)
        return memoryview(buffer)[place : place + _WINDOW]

    def _leap(
        self, position: int, window: memoryview, start: int, done: int, count: int, places: Places | None
    ) -> tuple[int, int]:
        """Step over strings that are found all at once; not to the window's end where it has others."""
        from .string_scan import find_chain

        found = find_chain(window, position, self.width, self.order)[: count - done]
        if not len(found):
            return position, done
        if places is not None:
            places.frombytes(found.tobytes())
        done += len(found)
        return self._after(int(found[-1]), start, done - 1), done

    def _steps(
        self, position: int, window: memoryview, start: int, done: int, count: int, places: Places | None
    ) -> tuple[int, int]:
        """Step over strings one by one to the end of a window that starts at ``position``, or ``count``."""
        unpack, width = self._length.unpack_from, self.width
        note = None if places is None else places.append
        last = max(len(window) - width, 0)
        index, place, before = done, 0, 0
        try:
            for index in range(done, count):
                if place > last:
                    count = index
                    break
                before = place
                if note is not None:
                    note(position + place)
                place += width + unpack(window, place)[0]
        except struct.error:
            self._after(position + before, start, index)
            raise
        if position + place > self.size:
            self._after(position + before, start, count - 1)
        return position + place, count

    def _after(self, position: int, start: int, index: int) -> int:
        """Where the string at ``position`` ends, with its index in the error if it does not."""
        return self.string(position, f"string {index} of the array at byte {start}")[1]
