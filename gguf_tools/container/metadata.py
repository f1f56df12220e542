"""Typed, ordered metadata: what a GGUF file says about its model besides the tensors.

Values keep the exact type they are stored with (an INT32 stays an INT32), and arrays their element type,
so that what was read is written back byte for byte. Values read from a file are decoded when they are
asked for: a `Metadata` of a 262,144-token vocabulary is made without making one token.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload

import numpy as np

from ..errors import FormatError
from ..spec import MAX_KEY_BYTES, ValueType
from .wire import SCALAR_FORMATS, Wire, scalar_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Array", "Metadata", "Scalar", "Value", "decode_text", "encode_text"]

Scalar = int | float | bool | str
T = TypeVar("T")

_FLOATS: Final = frozenset({ValueType.FLOAT32, ValueType.FLOAT64})

_TEXTS: Final = 4096
"""Strings decoded from one piece of a file when iterating: few enough that the piece stays in the cache."""


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
    """Strings or arrays that still stand packed in a file."""

    wire: Wire
    start: int
    end: int
    count: int
    depth: int


class Array(Sequence[Any]):
    """An array of values of one type.

    Items are int, float, bool, str or (nested) `Array`. Numeric arrays are numpy arrays inside; string
    arrays read from a file stay packed, and asking for one item decodes that item only.

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
        self._places: NDArray[np.int64] | None = None
        if self.element_type is ValueType.STRING:
            self._items = [_text(item) for item in items]
        elif self.element_type is ValueType.ARRAY:
            self._items = list(items)
            for item in self._items:
                if not isinstance(item, Array):
                    raise FormatError("an item of a nested array must be an Array", found=item)
        else:
            self._items = _numbers(self.element_type, items)

    @classmethod
    def at(cls, wire: Wire, position: int, depth: int = 0) -> tuple[Array, int]:
        """The array that stands at ``position`` of a file, and where it ends. Nothing is decoded.

        Raises:
            FormatError: it is not well formed or does not end inside the file.
        """
        kind, count, start = wire.array(position)
        end = wire.skip_elements(start, kind, count, depth)
        array = cls.__new__(cls)
        array.element_type = kind
        array._places = None
        if kind in SCALAR_FORMATS:
            array._items = np.frombuffer(wire.buffer, scalar_dtype(kind, wire.prefix), count, start)
        else:
            array._items = _Packed(wire, start, end, count, depth)
        return array, end

    def __len__(self) -> int:
        return self._items.count if isinstance(self._items, _Packed) else len(self._items)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Array: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            if isinstance(self._items, np.ndarray):
                return Array(self.element_type, self.numpy()[place])
            return Array(self.element_type, (self[i] for i in range(*place.indices(len(self)))))
        items = self._items
        if isinstance(items, _Packed):
            i = range(len(self))[place]
            return self._unpack(items, int(self._positions(items)[i]))
        if isinstance(items, np.ndarray):
            value = items[place].item()
            return bool(value) if self.element_type is ValueType.BOOL else value
        return items[place]

    def __iter__(self) -> Iterator[Any]:
        items = self._items
        if isinstance(items, _Packed):
            if self.element_type is ValueType.STRING:
                return self._texts(items)
            return (self._unpack(items, position) for position in self._positions(items).tolist())
        return iter(self.numpy().tolist() if isinstance(items, np.ndarray) else items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Array):
            if self.element_type is not other.element_type or len(self) != len(other):
                return False
            if self.element_type in SCALAR_FORMATS:
                return bool(np.array_equal(self.numpy(), other.numpy()))
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
        if not isinstance(self._items, np.ndarray):
            raise FormatError(f"an array of {self.element_type.name} is not numeric")
        if self.element_type is ValueType.BOOL:
            return self._items.astype(np.bool_)
        return np.require(self._items, scalar_dtype(self.element_type, "="), ["C", "A"])

    def to_bytes(self) -> bytes:
        """The array as a version 3 little-endian file has it: element type, count, elements."""
        head = struct.pack("<IQ", self.element_type, len(self))
        items = self._items
        if isinstance(items, np.ndarray):
            if self.element_type is ValueType.BOOL:
                return head + items.astype(np.bool_).tobytes()
            return head + items.astype(scalar_dtype(self.element_type), copy=False).tobytes()
        if self.element_type is ValueType.ARRAY:
            return b"".join([head, *(item.to_bytes() for item in self)])
        if isinstance(items, _Packed):
            if items.wire.canonical:
                return head + items.wire.buffer[items.start : items.end]
            spans = (items.wire.string(position, "a string") for position in self._positions(items).tolist())
            return head + b"".join(_prefixed(items.wire.buffer[start:end]) for start, end in spans)
        return head + b"".join(_prefixed(encode_text(item)) for item in items)

    def has_odd_bools(self) -> bool:
        """Whether this is an array of bools read from a file with a byte that is neither 0 nor 1."""
        items = self._items
        if self.element_type is not ValueType.BOOL or not isinstance(items, np.ndarray):
            return False
        return bool(np.any(items > 1))

    def _positions(self, items: _Packed) -> NDArray[np.int64]:
        """Where each packed item starts; found by one walk, the first time somebody asks."""
        if self._places is None:
            places = np.empty(items.count, np.int64)
            if self.element_type is ValueType.STRING:
                items.wire.walk_strings(items.start, items.count, places)
            else:
                position = items.start
                for i in range(items.count):
                    places[i] = position
                    position = items.wire.skip(position, ValueType.ARRAY, items.depth + 1)
            self._places = places
        return self._places

    def _texts(self, items: _Packed) -> Iterator[str]:
        """All packed strings, several times faster than one by one: each ends where the next one starts."""
        places = self._positions(items)
        for first in range(0, items.count, _TEXTS):
            starts = places[first : first + _TEXTS].tolist()
            after = first + _TEXTS
            end = int(places[after]) if after < items.count else items.end
            base, width = starts[0], items.wire.width
            data = items.wire.buffer[base:end]
            for start, stop in zip(starts, [*starts[1:], end], strict=True):
                yield data[start - base + width : stop - base].decode("utf-8", "surrogateescape")

    def _unpack(self, items: _Packed, position: int) -> str | Array:
        if self.element_type is ValueType.ARRAY:
            return Array.at(items.wire, position, items.depth + 1)[0]
        start, end = items.wire.string(position, "a string")
        return decode_text(items.wire.buffer[start:end])


Value = int | float | bool | str | Array


class _StoredText(NamedTuple):
    """A string value that still stands in a file: it may be megabytes nobody asks for."""

    wire: Wire
    start: int
    end: int

    def to_bytes(self) -> bytes:
        return self.wire.buffer[self.start : self.end]


class _Entry(NamedTuple):
    """A value with its type. Floats are numpy scalars of their width, which keep the bits of a NaN."""

    kind: ValueType
    stored: int | bool | str | Array | _StoredText | np.floating[Any]

    @property
    def value(self) -> Value:
        if isinstance(self.stored, _StoredText):
            return decode_text(self.stored.to_bytes())
        if isinstance(self.stored, np.floating):
            return float(self.stored)
        return self.stored


class Metadata(Mapping[str, Value]):
    """The key-value pairs of a GGUF file, in order, each with the type it is stored as.

    >>> m = Metadata([("general.architecture", ValueType.STRING, "llama")])
    >>> m.set("llama.block_count", 16, ValueType.UINT32)
    >>> m["llama.block_count"], m.type_of("llama.block_count").name
    (16, 'UINT32')

    Args:
        entries: triples of key, type and value, as `entries` yields them.
        path: the file they come from, for errors.

    Attributes:
        odd_bools: keys read from a file whose bool bytes are neither 0 nor 1; such a byte reads as true
            and is written as 1.
    """

    __slots__ = ("_entries", "odd_bools", "path")

    def __init__(
        self, entries: Iterable[tuple[str, ValueType, Value]] = (), *, path: str | None = None
    ) -> None:
        self._entries: dict[str, _Entry] = {}
        self.odd_bools: list[str] = []
        self.path = path
        self.extend(entries)

    def __getitem__(self, key: str) -> Value:
        return self._entries[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return len(self) == len(other) and all(
            key in other and other.type_of(key) is kind and other[key] == value
            for key, kind, value in self.entries()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Metadata({len(self)} keys)"

    def type_of(self, key: str) -> ValueType:
        """The type a value is stored as (ARRAY for arrays, whose items have ``element_type``).

        Raises:
            KeyError: there is no such key.
        """
        return self._entries[key].kind

    def entries(self) -> Iterator[tuple[str, ValueType, Value]]:
        """Triples of key, type and value, in order."""
        return ((key, entry.kind, entry.value) for key, entry in self._entries.items())

    def extend(self, entries: Iterable[tuple[str, ValueType, Value]]) -> None:
        """`set` every triple of key, type and value."""
        for key, kind, value in entries:
            self.set(key, value, kind)

    def set(self, key: str, value: Any, type: ValueType) -> None:  # noqa: A002
        """Set a value: in place where the key exists, else at the end.

        Args:
            key: not empty, at most 65,535 bytes of UTF-8.
            value: an int, float, bool, str, bytes (taken as the bytes of a text) or `Array`.
            type: what to store it as; the value must fit it exactly, except that a float may be rounded
                to FLOAT32 and an int may be given for a float.

        Raises:
            FormatError: the key is not allowed, or the value does not fit the type.
        """
        check_key(key, self.path)
        kind = ValueType(type)
        try:
            self._entries[key] = _Entry(kind, _checked(kind, value))
        except FormatError as error:
            error.key, error.path = key, self.path
            raise

    def copy(self) -> Metadata:
        """An independent copy; values, which are never changed in place, are shared."""
        other = Metadata(path=self.path)
        other._entries = dict(self._entries)
        return other

    def require(self, key: str, kind: type[T]) -> T:
        """The value of a key that must be there and be an ``int``, ``float``, ``bool``, ``str`` or `Array`.

        A bool is not taken for an int, nor an int for a float: file formats mean what they say.

        Raises:
            FormatError: the key is missing or its value is of another kind; names key, found and expected.
        """
        entry = self._entries.get(key)
        if entry is None:
            raise FormatError("the key is missing", path=self.path, key=key, expected=kind.__name__)
        value = entry.value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise FormatError(
                "the value is of the wrong type",
                path=self.path,
                key=key,
                found=entry.kind.name,
                expected=kind.__name__,
            )
        return value

    @overload
    def optional(self, key: str, kind: type[T]) -> T | None: ...
    @overload
    def optional(self, key: str, kind: type[T], default: T) -> T: ...
    def optional(self, key: str, kind: type[T], default: T | None = None) -> T | None:
        """Like `require`, but ``default`` where the key is missing.

        Raises:
            FormatError: the value is there and of another kind.
        """
        return self.require(key, kind) if key in self._entries else default

    def to_bytes(self) -> bytes:
        """All pairs as a version 3 little-endian file has them."""
        parts = []
        for key, (kind, stored) in self._entries.items():
            parts.append(_prefixed(key.encode()) + struct.pack("<I", kind))
            if isinstance(stored, Array):
                parts.append(stored.to_bytes())
            elif isinstance(stored, _StoredText):
                parts.append(_prefixed(stored.to_bytes()))
            elif isinstance(stored, str):
                parts.append(_prefixed(encode_text(stored)))
            elif isinstance(stored, np.floating):
                parts.append(np.asarray(stored, scalar_dtype(kind)).tobytes())
            else:
                parts.append(struct.pack("<" + SCALAR_FORMATS[kind], stored))
        return b"".join(parts)

    def read_value(self, key: str, wire: Wire, position: int) -> int:
        """Append the value whose type id stands at ``position`` of a file; returns where it ends.

        Raises:
            FormatError: it is not well formed, or the key is there already; names the key.
        """
        try:
            if key in self._entries:
                raise wire.fault("the key occurs twice", position)
            kind = wire.value_type(position, "the type of the value")
            position += 4
            stored: Any
            odd = False
            if kind is ValueType.ARRAY:
                stored, end = Array.at(wire, position)
                odd = stored.has_odd_bools()
            elif kind is ValueType.STRING:
                start, end = wire.string(position, "a string")
                stored = _StoredText(wire, start, end)
            else:
                end = wire.skip(position, kind)
                stored = np.frombuffer(wire.buffer, scalar_dtype(kind, wire.prefix), 1, position)[0]
                if kind is ValueType.BOOL:
                    stored, odd = bool(stored), stored > 1
                elif kind not in _FLOATS:
                    stored = stored.item()
            if odd:
                self.odd_bools.append(key)
            self._entries[key] = _Entry(kind, stored)
        except FormatError as error:
            error.key = key
            raise
        return end


def check_key(key: str, path: str | None = None) -> None:
    """Check that a metadata key may be written.

    Raises:
        FormatError: it is empty, not UTF-8 or longer than `MAX_KEY_BYTES`.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise FormatError("a key is not UTF-8", path=path, key=key) from error
    if not 0 < size <= MAX_KEY_BYTES:
        raise FormatError(
            "a key is of a length that is not allowed",
            path=path,
            key=key,
            found=f"{size} bytes",
            expected=f"1 to {MAX_KEY_BYTES}",
        )


def _prefixed(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return decode_text(value)
    if not isinstance(value, str):
        raise FormatError("a value does not fit its type", found=value, expected="str")
    encode_text(value)
    return value


def _checked(kind: ValueType, value: Any) -> Any:
    """A value as `_Entry` stores it, or an error when it does not fit."""
    if kind is ValueType.ARRAY:
        if not isinstance(value, Array):
            raise FormatError("a value does not fit its type", found=value, expected="Array")
        return value
    if kind is ValueType.STRING:
        return _text(value)
    if kind is ValueType.BOOL:
        if not isinstance(value, bool | np.bool_):
            raise FormatError("a value does not fit its type", found=value, expected="bool")
        return bool(value)
    array = _numbers(kind, [value])
    return array[0] if kind in _FLOATS else array[0].item()


def _numbers(kind: ValueType, items: Iterable[Any]) -> NDArray[Any]:
    """Items as a numpy array of exactly the element type; nothing is wrapped, truncated or overflown."""
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
                raise FormatError("a value does not fit its type", found=item, expected="bool")
        return np.array(given, dtype)
    if kind in _FLOATS:
        return _floats(kind, dtype, given)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for item in given:
        if (
            isinstance(item, bool | np.bool_)
            or not hasattr(item, "__index__")
            or not low <= index(item) <= high
        ):
            raise FormatError(
                f"a value does not fit {kind.name}", found=item, expected=f"an int from {low} to {high}"
            )
    return np.array([index(item) for item in given], dtype)


def _floats(kind: ValueType, dtype: np.dtype[Any], given: list[Any]) -> NDArray[Any]:
    for item in given:
        if isinstance(item, bool | np.bool_) or not isinstance(item, int | float | np.integer | np.floating):
            raise FormatError(f"a value does not fit {kind.name}", found=item, expected="a float")
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
