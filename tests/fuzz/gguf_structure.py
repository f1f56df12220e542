"""GGUF files from a description that chance makes up, and changes that keep a file's structure in mind.

Random bytes rarely get past the first length that does not fit. Here a count is changed as a count, a pair
repeated as a pair, and what follows stays where a reader looks for it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, Literal, NamedTuple

from gguf_tools.spec import BLOCK_SIZES
from tests import builders
from tests.builders import ARRAY, BOOL, STRING, U32, Tensor
from tests.fuzz.damage import damaged

__all__ = ["generated", "mutated"]

KEYS: Final = (
    *("general.architecture", "general.name", "general.file_type", "llama.block_count", "split.count", "a"),
    *("tokenizer.ggml.tokens", "x.y", "é", b"\xff", b"a\0b", b"a\0c", "", " ", "k" * 64, "k" * 65_535),
    "k" * 65_536,
)
NAMES: Final = (
    *("token_embd.weight", "output.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight", "x", "y", "z", ""),
    *("n" * 62, "n" * 63, "n" * 64, "n" * 200, b"\xff\xfe", b"n\0a", b"n\0b", "é"),
)
TEXTS: Final = (b"", b"x", b"llama", "▁a".encode(), b"\xff\xfe", b"b\0c", b"\0", b"long" * 300)
EXTENTS: Final = (1, 1, 2, 3, 4, 7, 32, 64, 256)
ODD_EXTENTS: Final = (
    *(0, 5, 31, 33, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 61, 1 << 62, (1 << 63) - 1),
    *(1 << 63, (1 << 64) - 1),
)
NUMBERS: Final = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 16, 24, 31, 32, 33, 38, 39, 40, 41, 42, 43, 48, 63, 64, 65, 96),
    *(127, 128, 255, 256, 1000, 65_535, 65_536, 1 << 20, 1 << 21, (1 << 31) - 1, 1 << 31, (1 << 32) - 1),
    *(1 << 32, 1 << 40, 1 << 60, (1 << 61) - 1, 1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 32),
    (1 << 64) - 1,
)
"""Values where readers decide something: types, versions, limits, and where sums and products overflow."""

MOST_DATA: Final = 1 << 14
"""Bytes of a tensor that are worth making."""

MOST_NUMBERS: Final = 2000
"""Numbers of a file that are found; more are the items of long arrays."""


def generated(dice: random.Random) -> bytes:
    """A file of a few pairs and tensors. Most are sound; in others one thing or several are odd."""
    odd = dice.choice([0.0, 0.0, 0.05, 0.3])
    alignment = dice.choice([None, None, None, 8, 16, 32, 64, 128])
    if dice.random() < odd:
        alignment = dice.choice([0, 1, 2, 4, 24, 4096, 1 << 20, 1 << 21, 1 << 31])
    pairs: list[tuple[str | bytes, int, Any]] = []
    if alignment is not None:
        kind = dice.choice([builders.I32, builders.U64, builders.U8, STRING]) if dice.random() < odd else U32
        fits = kind == U32 or (kind != STRING and alignment < 128)
        stated = alignment if fits else (b"32" if kind == STRING else 32)
        pairs.append(("general.alignment", kind, stated))
    names = dice.sample(KEYS[:9], dice.randrange(6))
    names += [dice.choice(KEYS) for _ in range(2) if dice.random() < odd]
    pairs += [(name, *_value(dice, odd)) for name in names]
    dice.shuffle(pairs)
    version, order = 3, "little"
    if dice.random() < 0.1:
        version = dice.choice([1, 2, 2]) if dice.random() > odd else dice.choice(NUMBERS[:12])
        version = min(version, 255)
    if dice.random() < 0.03:
        order = "big"
    return builders.build(
        pairs,
        _tensors(dice, odd, 4 if version == 1 else 8),
        version=version,
        order=order,
        alignment=min(alignment or 32, 4096),
    )


def _value(dice: random.Random, odd: float, depth: int = 0) -> tuple[int, Any]:
    kind = dice.randrange(13)
    if kind == STRING:
        return kind, dice.choice(TEXTS)
    if kind == ARRAY:
        element = dice.randrange(13)
        if element == ARRAY and (dice.random() > odd or depth > 9):
            element = STRING
        count = dice.choice([0, 1, 2, 3, 17, 100])
        if element == ARRAY:
            return kind, (element, [_value_of(dice, ARRAY, odd, depth + 1)] * dice.choice([0, 1, 2]))
        return kind, (element, [_value_of(dice, element, odd, depth) for _ in range(count)])
    return kind, _value_of(dice, kind, odd, depth)


def _value_of(dice: random.Random, kind: int, odd: float, depth: int) -> Any:
    if kind == STRING:
        return dice.choice(TEXTS)
    if kind == ARRAY:
        while True:
            found, value = _value(dice, min(1.0, odd * 2), depth)
            if found == ARRAY:
                return value
    if kind == BOOL:
        return dice.choice([0, 1]) if dice.random() > odd else dice.choice([2, 128, 255])
    if kind in (builders.F32, builders.F64):
        return dice.choice([0.0, -0.0, 1.5, 1e-40, 3e38, float("inf"), float("nan")])
    code = builders._CODES[kind]
    bits = 8 * struct.calcsize("<" + code)
    number = dice.choice(NUMBERS) if dice.random() < 0.5 else dice.getrandbits(bits)
    number %= 1 << bits
    return number - (1 << bits) if code.islower() and number >> (bits - 1) else number


def _tensors(dice: random.Random, odd: float, width: int) -> list[Tensor]:
    names = dice.sample(NAMES[:8], dice.randrange(5))
    names += [dice.choice(NAMES) for _ in range(2) if dice.random() < odd]
    made = []
    for name in names:
        kind = dice.choice(list(BLOCK_SIZES))
        block = BLOCK_SIZES[kind]
        dims = [dice.choice(EXTENTS) for _ in range(dice.randrange(5))]
        if block.elements > 1:
            dims = [block.elements * dice.choice([1, 1, 2]), *dims[1:4]]
        number = int(kind)
        if dice.random() < odd:
            dims = [dice.choice(ODD_EXTENTS) if dice.random() < 0.5 else size for size in dims or [1]]
        if dice.random() < odd / 2:
            dims = (dims + [dice.choice(EXTENTS) for _ in range(3)])[: dice.randrange(7)]
        if dice.random() < odd / 2:
            number = dice.choice(NUMBERS[:33])
        dims = [size % (1 << 8 * width) for size in dims]
        nbytes = prod(dims) // block.elements * block.bytes
        offset = dice.choice(NUMBERS) if dice.random() < odd / 4 else None
        made.append(Tensor(name, tuple(dims), number, bytes(nbytes if nbytes <= MOST_DATA else 0), offset))
    return made


# Finding the parts of a file ----------------------------------------------------------------------------

Role = Literal["version", "count", "length", "type", "rank", "extent", "offset", "value"]


class Number(NamedTuple):
    """A number in a file: where it stands, how many bytes it takes, and what it is."""

    at: int
    size: int
    role: Role


@dataclass
class Layout:
    """Where the parts of a header stand; as far as one can follow it.

    Attributes:
        keys: those of the pairs.
        prefix: byte order, as `struct` writes it.
        width: bytes of a length.
        end: where the header ends; None where it cannot be followed so far.
    """

    data: bytes
    prefix: str = "<"
    width: int = 8
    numbers: list[Number] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    tensors: list[tuple[int, int]] = field(default_factory=list)
    end: int | None = None
    alignment: int = 32
    at: int = 4

    def take(self, size: int, role: Role) -> int:
        """The number that stands next."""
        value: int = struct.unpack_from(self.prefix + _CODES[size], self.data, self.at)[0]
        if len(self.numbers) < MOST_NUMBERS:
            self.numbers.append(Number(self.at, size, role))
        self.at += size
        return value

    def take_string(self) -> bytes:
        """The string that stands next, length first."""
        length = self.take(self.width, "length")
        if length > len(self.data) - self.at:
            raise ValueError
        self.at += length
        return self.data[self.at - length : self.at]

    def take_value(self, kind: int, depth: int = 0) -> int:
        """The value that stands next; the last number in it."""
        if kind == STRING:
            self.take_string()
            return 0
        if kind == ARRAY:
            element, count = self.take(4, "type"), self.take(self.width, "length")
            if count > len(self.data) or depth > 20:
                raise ValueError
            for _ in range(count):
                self.take_value(element, depth + 1)
            return 0
        return self.take(_SIZES[kind], "value")


_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_SIZES: Final = {kind: struct.calcsize("<" + code) for kind, code in builders._CODES.items()}


def layout(data: bytes) -> Layout:
    """Where the parts of a file are, up to the first that makes no sense."""
    found = Layout(data)
    try:
        version = struct.unpack_from("<I", data, 4)[0]
        if version & 0xFFFF == 0:
            found.prefix, version = ">", struct.unpack_from(">I", data, 4)[0]
        found.width = 4 if version == 1 else 8
        found.take(4, "version")
        tensors, pairs = found.take(found.width, "count"), found.take(found.width, "count")
        for _ in range(pairs):
            start = found.at
            key = found.take_string()
            found.keys.append(key)
            value = found.take_value(found.take(4, "type"))
            if key == b"general.alignment" and 0 < value <= 4096:
                found.alignment = value
            found.pairs.append((start, found.at))
        for _ in range(tensors):
            start = found.at
            found.take_string()
            for _ in range(min(found.take(4, "rank"), 8)):
                found.take(found.width, "extent")
            found.take(4, "type")
            found.take(8, "offset")
            found.tensors.append((start, found.at))
        found.end = found.at
    except (struct.error, ValueError, KeyError):
        pass
    return found


# Changing them ------------------------------------------------------------------------------------------


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A copy of a file with one thing changed or two, as its structure has it or byte by byte."""
    for _ in range(dice.choice([1, 1, 1, 1, 2])):
        data = dice.choice(_CHANGES)(data, dice)
    return data


def _put(found: Layout, number: Number, value: int) -> bytes:
    packed = struct.pack(found.prefix + _CODES[number.size], value % (1 << 8 * number.size))
    return found.data[: number.at] + packed + found.data[number.at + number.size :]


def _change_number(data: bytes, dice: random.Random) -> bytes:
    found = layout(data)
    if not found.numbers:
        return damaged(data, dice)
    role = dice.choice(sorted({number.role for number in found.numbers}))
    number = dice.choice([number for number in found.numbers if number.role == role])
    old = struct.unpack_from(found.prefix + _CODES[number.size], data, number.at)[0]
    nearby = (old + 1, old - 1, old * 2, old + 32, old - 32, old ^ 1 << dice.randrange(8 * number.size))
    return _put(found, number, dice.choice(nearby if dice.random() < 0.5 else NUMBERS))


def _swap_numbers(data: bytes, dice: random.Random) -> bytes:
    """Two numbers of one role change places: offsets of tensors, extents, types."""
    found = layout(data)
    role = dice.choice(["offset", "extent", "type", "length"])
    same = [number for number in found.numbers if number.role == role]
    if len(same) < 2:
        return _change_number(data, dice)
    a, b = dice.sample(same, 2)
    values = [struct.unpack_from(found.prefix + _CODES[n.size], data, n.at)[0] for n in (a, b)]
    once = _put(found, a, values[1])
    return _put(Layout(once, found.prefix, found.width), b, values[0])


def _change_pieces(data: bytes, dice: random.Random) -> bytes:
    """A pair or tensor more, less, or elsewhere; mostly counted, and the data where it belongs."""
    found = layout(data)
    which = dice.choice(["pairs", "tensors"])
    spans = found.pairs if which == "pairs" else found.tensors
    if not spans or found.end is None:
        return _change_number(data, dice)
    pieces = [data[start:stop] for start, stop in spans]
    at = dice.randrange(len(pieces))
    match dice.randrange(4):
        case 0:
            pieces.insert(dice.randrange(len(pieces) + 1), pieces[at])
        case 1:
            del pieces[at]
        case 2:
            dice.shuffle(pieces)
        case _:
            pieces[at] = _resized(pieces[at], found, dice)
    changed = data[: spans[0][0]] + b"".join(pieces) + data[spans[-1][1] : found.end]
    if dice.random() < 0.9:
        count = found.numbers[1 if which == "tensors" else 2]
        changed = _put(Layout(changed, found.prefix, found.width), count, len(pieces))
    return _padded(changed, found) + data[_up(found.end, found.alignment) :]


def _resized(piece: bytes, found: Layout, dice: random.Random) -> bytes:
    """A pair or tensor with another name, whose length fits."""
    old = struct.unpack_from(found.prefix + _CODES[found.width], piece)[0]
    name = dice.choice([*KEYS, *NAMES])
    name = name.encode() if isinstance(name, str) else name
    return struct.pack(found.prefix + _CODES[found.width], len(name)) + name + piece[found.width + old :]


def _change_end(data: bytes, dice: random.Random) -> bytes:
    """A file that ends early, or goes on."""
    if dice.random() < 0.5:
        return data[: len(data) - dice.choice([1, 4, 31, 32, 33, dice.randrange(len(data) + 1)])]
    return data + bytes(dice.choice([1, 8, 31, 32, 33, 4096]))


def _turn(data: bytes, dice: random.Random) -> bytes:
    """A file in the other byte order, all of its header; or but for one number."""
    found = layout(data)
    if len(found.numbers) == MOST_NUMBERS:
        return data
    left_out = dice.randrange(len(found.numbers)) if found.numbers and dice.random() < 0.2 else -1
    changed = bytearray(data)
    for place, (at, size, _) in enumerate(found.numbers):
        if place != left_out:
            changed[at : at + size] = changed[at : at + size][::-1]
    return bytes(changed)


def _realign(data: bytes, dice: random.Random) -> bytes:
    """Another alignment, which the places of the tensors may not have."""
    found = layout(data)
    stated = builders.Bytes(
        order="little" if found.prefix == "<" else "big", width=8 if found.width == 8 else 4
    )
    if found.end is None or len(found.numbers) < 3:
        return _change_number(data, dice)
    alignment = dice.choice([0, 1, 2, 8, 16, 32, 48, 64, 256])
    pair = stated.pair("general.alignment", U32, alignment)
    first = found.numbers[2].at + found.width
    changed = data[:first] + pair + data[first : found.end]
    changed = _put(Layout(changed, found.prefix, found.width), found.numbers[2], len(found.pairs) + 1)
    kept = found.alignment if dice.random() < 0.5 or not alignment else alignment
    return changed + bytes(-len(changed) % kept) + data[_up(found.end, found.alignment) :]


def _up(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _padded(header: bytes, found: Layout) -> bytes:
    return header + bytes(-len(header) % found.alignment) if found.tensors else header


_CHANGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    *(_change_number, _change_number, _change_number, _swap_numbers, _change_pieces, _change_pieces),
    *(_swap_numbers, _change_pieces, _change_end, _change_end, _realign, damaged, damaged),
    _turn,
)


def files(seed: int | str) -> Iterator[bytes]:
    """Files without end, always the same ones for a seed: one made up, then a few changes of it."""
    dice = random.Random(seed)
    while True:
        data = generated(dice)
        yield data
        for _ in range(3):
            yield mutated(data, dice)
