"""Typed, ordered metadata: what a GGUF file says about its model besides the tensors.

Values keep the exact type they are stored with (an INT32 stays an INT32), and arrays their element type,
so that what was read is written back byte for byte. Values read from a file are decoded when they are
asked for: a `Metadata` of a 262,144-token vocabulary is made without making one token.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, overload

from ..errors import FormatError
from ..spec import MAX_KEY_BYTES, ValueType
from .array import FLOATS, Array, checked_numbers, checked_text, decode_text, encode_text, prefixed
from .header_buffer import SCALAR_FORMATS, Wire, scalar_dtype

__all__ = ["Array", "Metadata", "Scalar", "Value", "decode_text", "encode_text"]

Scalar = int | float | bool | str
Value = int | float | bool | str | Array
T = TypeVar("T")


class _StoredText(NamedTuple):
    """A string value that still stands in a file: it may be megabytes nobody asks for."""

    wire: Wire
    start: int
    end: int

    def to_bytes(self) -> bytes:
        return self.wire.piece(self.start, self.end)


class _Entry(NamedTuple):
    """A value with its type. Floats are the bytes they are written as, which keep the bits of a NaN."""

    kind: ValueType
    stored: int | bool | str | bytes | Array | _StoredText

    @property
    def value(self) -> Value:
        if isinstance(self.stored, _StoredText):
            return decode_text(self.stored.to_bytes())
        if isinstance(self.stored, bytes):
            return float(struct.unpack("<" + SCALAR_FORMATS[self.kind], self.stored)[0])
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

    def renamed(self, names: Mapping[str, str]) -> Metadata:
        """A copy in which keys have other names (new by old) and keep their places.

        Raises:
            FormatError: a new name is not allowed, or two keys would have the same.
        """
        other = Metadata(path=self.path)
        for key, entry in self._entries.items():
            name = names.get(key, key)
            check_key(name, self.path)
            if name in other._entries:
                raise FormatError("two keys would have this name", path=self.path, key=name)
            other._entries[name] = entry
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
            parts.append(prefixed(key.encode()) + struct.pack("<I", kind))
            if isinstance(stored, Array):
                parts.append(stored.to_bytes())
            elif isinstance(stored, _StoredText):
                parts.append(prefixed(stored.to_bytes()))
            elif isinstance(stored, str):
                parts.append(prefixed(encode_text(stored)))
            elif isinstance(stored, bytes):
                parts.append(stored)
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
                stored = wire.number(position, SCALAR_FORMATS[kind], "a number")
                if kind is ValueType.BOOL:
                    stored, odd = bool(stored), stored > 1
                elif kind in FLOATS:
                    data = wire.piece(position, end)
                    stored = data if wire.order == "little" else data[::-1]
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


def _checked(kind: ValueType, value: Any) -> Any:
    """A value as `_Entry` stores it, or an error when it does not fit."""
    if kind is ValueType.ARRAY:
        if not isinstance(value, Array):
            raise FormatError("a value does not fit its type", found=repr(value), expected="Array")
        return value
    if kind is ValueType.STRING:
        return checked_text(value)
    if kind is ValueType.BOOL:
        return bool(checked_numbers(kind, [value])[0])
    numbers = checked_numbers(kind, [value])
    return numbers.astype(scalar_dtype(kind)).tobytes() if kind in FLOATS else numbers[0].item()
