"""Arrays of metadata values, and the text and numbers they are made of."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Final, overload

from ..errors import FormatError
from ..spec import ValueType
from .header_buffer import SCALAR_FORMATS, Places, Wire, scalar_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FLOATS", "Array", "checked_numbers", "checked_text", "decode_text", "encode_text", "prefixed"]

FLOATS: Final = frozenset({ValueType.FLOAT32, ValueType.FLOAT64})

_TEXTS: Final = 4096
"""Strings decoded from one piece of a file when iterating: few enough that the piece stays in the cache."""

_BOOLS: Final = 1 << 16
"""Bools looked at together: an array of them may be as long as the file, and must not be had whole."""


def decode_text(data: bytes) -> str:
    """Text of bytes that should be UTF-8 but, in vocabularies, sometimes are not.

    Bytes that are not UTF-8 become lone surrogates (Python's ``surrogateescape``), which `encode_text`
    turns back into the same bytes: the pair is lossless for every byte string.
    """
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str | bytes) -> bytes:
    """The bytes of a text; inverse of `decode_text`. Bytes pass through.

    Raises:
        FormatError: the text has surrogates that stand for no byte.
    """
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise FormatError("a text cannot be written as UTF-8", found=ascii(text)) from error


@dataclass(frozen=True, slots=True)
class _Packed:
    """Items that still stand packed in a file. Numbers are looked at where they stand; see `Array._read`."""

    wire: Wire
    start: int
    end: int
    count: int
    depth: int


class Array(Sequence[Any]):
    """An array of values of one type.

    Items are int, float, bool, str or (nested) `Array`. Numeric arrays are numpy arrays inside; string
    arrays read from a file stay packed, and asking for one item decodes that item only. numpy itself is
    imported when somebody asks for a number: a header is read, and its texts, without it.

    Args:
        element_type: the type of every item.
        items: the values; a numpy array for numeric types is taken without a detour.

    Raises:
        FormatError: an item does not fit the element type.
    """

    __slots__ = ("_items", "_places", "element_type")

    element_type: ValueType

    def __init__(self, element_type: ValueType, items: Iterable[Any] = ()) -> None:
        self.element_type = ValueType(element_type)
        self._items: NDArray[Any] | list[Any] | _Packed
        self._places: Places = array("q")
        if self.element_type is ValueType.STRING:
            self._items = [checked_text(item) for item in items]
        elif self.element_type is ValueType.ARRAY:
            self._items = list(items)
            for item in self._items:
                if not isinstance(item, Array):
                    raise FormatError("an item of a nested array must be an Array", found=repr(item))
        else:
            self._items = checked_numbers(self.element_type, items)

    @classmethod
    def at(cls, wire: Wire, position: int, depth: int = 0) -> tuple[Array, int]:
        """The array that stands at ``position`` of a file, and where it ends. Nothing is decoded.

        Raises:
            FormatError: it is not well formed or does not end inside the file.
        """
        kind, count, start = wire.array(position)
        end = wire.skip_elements(start, kind, count, depth)
        made = cls.__new__(cls)
        made.element_type = kind
        made._places = array("q")
        made._items = _Packed(wire, start, end, count, depth)
        return made, end

    def __len__(self) -> int:
        return self._items.count if isinstance(self._items, _Packed) else len(self._items)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Array: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            if self.element_type in SCALAR_FORMATS:
                return self._slice(place)
            return Array(self.element_type, (self[i] for i in range(*place.indices(len(self)))))
        if self.element_type in SCALAR_FORMATS:
            value = self._numbers()[place].item()
            return bool(value) if self.element_type is ValueType.BOOL else value
        items = self._items
        if isinstance(items, _Packed):
            i = range(len(self))[place]
            return self._unpack(items, self._positions(items, i + 1)[i])
        return items[place]

    def __iter__(self) -> Iterator[Any]:
        if self.element_type in SCALAR_FORMATS:
            return iter(self.numpy().tolist())
        items = self._items
        if isinstance(items, _Packed):
            if self.element_type is ValueType.STRING:
                return self._texts(items)
            return (self._unpack(items, position) for position in self._positions(items))
        return iter(items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Array):
            if self.element_type is not other.element_type or len(self) != len(other):
                return False
            if self.element_type in SCALAR_FORMATS:
                return bool((self.numpy() == other.numpy()).all())
            return all(a == b for a, b in zip(self, other, strict=True))
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(item) for item in self[:3])
        return (
            f"Array({self.element_type.name}, {len(self)} items: [{shown}{', …' if len(self) > 3 else ''}])"
        )

    def numpy(self) -> NDArray[Any]:
        """The items of a numeric or bool array as a one-dimensional, possibly read-only numpy array.

        Raises:
            FormatError: the items are strings or arrays.
        """
        import numpy as np

        if self.element_type not in SCALAR_FORMATS:
            raise FormatError(f"an array of {self.element_type.name} is not numeric")
        items = self._numbers()
        if self.element_type is ValueType.BOOL:
            return items.astype(np.bool_)
        return np.require(items, scalar_dtype(self.element_type, "="), ["C", "A"])

    def to_bytes(self) -> bytes:
        """The array as a version 3 little-endian file has it: element type, count, elements."""
        head = struct.pack("<IQ", self.element_type, len(self))
        if self.element_type in SCALAR_FORMATS:
            numbers = self.numpy()
            if self.element_type is ValueType.BOOL:
                return head + numbers.tobytes()
            return head + numbers.astype(scalar_dtype(self.element_type), copy=False).tobytes()
        items = self._items
        if self.element_type is ValueType.ARRAY:
            return b"".join([head, *(item.to_bytes() for item in self)])
        if isinstance(items, _Packed):
            if items.wire.canonical:
                return head + items.wire.piece(items.start, items.end)
            spans = (items.wire.string(position, "a string") for position in self._positions(items))
            return head + b"".join(prefixed(items.wire.piece(start, end)) for start, end in spans)
        return head + b"".join(prefixed(encode_text(item)) for item in items)

    def has_odd_bools(self) -> bool:
        """Whether this is an array of bools read from a file with a byte that is neither 0 nor 1."""
        items = self._items
        return (
            self.element_type is ValueType.BOOL
            and isinstance(items, _Packed)
            and any(
                items.wire.piece(first, min(first + _BOOLS, items.end)).translate(None, b"\0\1")
                for first in range(items.start, items.end, _BOOLS)
            )
        )

    def _numbers(self) -> NDArray[Any]:
        """Numeric items as they are kept; packed ones are read the first time."""
        items = self._items
        if isinstance(items, _Packed):
            items = self._items = items.wire.numbers(items.start, self.element_type, items.count)
        assert not isinstance(items, list)
        return items

    def _slice(self, place: slice) -> Array:
        """Some of an array's numbers. Of a remote file no others are read."""
        items = self._items
        first, last, step = place.indices(len(self))
        if not isinstance(items, _Packed) or step != 1:
            return Array(self.element_type, self.numpy()[place])
        size = scalar_dtype(self.element_type).itemsize
        part = Array(self.element_type)
        part._items = items.wire.numbers(items.start + first * size, self.element_type, max(last - first, 0))
        return part

    def _positions(self, items: _Packed, count: int | None = None) -> Places:
        """Where each packed item starts, or at least each of the first ``count``; found when somebody asks.

        Whoever asks for one item after the other walks over each a few times, not once for every item.
        """
        places = self._places
        count = items.count if count is None else count
        if len(places) < count:
            places = array("q", places)  # another one: other threads may be reading these
            count = min(max(count, 2 * len(places)), items.count)
            if self.element_type is ValueType.STRING:
                start = items.wire.string(places[-1], "a string")[1] if places else items.start
                items.wire.walk_strings(start, count - len(places), places)
            else:
                skip = items.wire.skip
                while len(places) < count:
                    places.append(
                        skip(places[-1], ValueType.ARRAY, items.depth + 1) if places else items.start
                    )
            self._places = places
        return places

    def _texts(self, items: _Packed) -> Iterator[str]:
        """All packed strings, several times faster than one by one: each ends where the next one starts."""
        places = self._positions(items)
        for first in range(0, items.count, _TEXTS):
            starts = places[first : first + _TEXTS].tolist()
            after = first + _TEXTS
            end = places[after] if after < items.count else items.end
            base, width = starts[0], items.wire.width
            data = items.wire.piece(base, end)
            for start, stop in zip(starts, [*starts[1:], end], strict=True):
                yield data[start - base + width : stop - base].decode("utf-8", "surrogateescape")

    def _unpack(self, items: _Packed, position: int) -> str | Array:
        if self.element_type is ValueType.ARRAY:
            return Array.at(items.wire, position, items.depth + 1)[0]
        start, end = items.wire.string(position, "a string")
        return decode_text(items.wire.piece(start, end))


def prefixed(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def checked_text(value: object) -> str:
    if isinstance(value, bytes):
        return decode_text(value)
    if not isinstance(value, str):
        raise FormatError("a value does not fit its type", found=repr(value), expected="str")
    encode_text(value)
    return value


def checked_numbers(kind: ValueType, items: Iterable[Any]) -> NDArray[Any]:
    """Items as a numpy array of exactly the element type; nothing is wrapped, truncated or overflown."""
    import numpy as np

    dtype = scalar_dtype(kind, "=")
    given = items if isinstance(items, np.ndarray) else list(items)
    if isinstance(given, np.ndarray):
        if given.ndim != 1:
            raise FormatError(
                "a metadata array has one dimension", found=f"{given.ndim} dimensions", expected="1"
            )
        if given.dtype == (np.bool_ if kind is ValueType.BOOL else dtype):
            return given.astype(dtype)
        given = given.tolist()
    if kind is ValueType.BOOL:
        for item in given:
            if not isinstance(item, bool | np.bool_):
                raise FormatError("a value does not fit its type", found=repr(item), expected="bool")
        return np.array(given, dtype)
    if kind in FLOATS:
        return _floats(kind, dtype, given)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for item in given:
        if (
            isinstance(item, bool | np.bool_)
            or not hasattr(item, "__index__")
            or not low <= index(item) <= high
        ):
            raise FormatError(
                f"a value does not fit {kind.name}", found=repr(item), expected=f"an int from {low} to {high}"
            )
    return np.array([index(item) for item in given], dtype)


def _floats(kind: ValueType, dtype: np.dtype[Any], given: list[Any]) -> NDArray[Any]:
    import numpy as np

    for item in given:
        if isinstance(item, bool | np.bool_) or not isinstance(item, int | float | np.integer | np.floating):
            raise FormatError(f"a value does not fit {kind.name}", found=repr(item), expected="a float")
    try:
        wide = np.array([float(item) for item in given], np.float64)
    except OverflowError as error:
        raise FormatError(f"a value overflows {kind.name}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        result = wide.astype(dtype)
    overflown = np.isinf(result) & np.isfinite(wide)
    if overflown.any():
        raise FormatError(f"a value overflows {kind.name}", found=float(wide[overflown.argmax()]))
    return result
