"""GGUF files made byte by byte, without any of the package's code: what the reader is tested against.

Everything can be told to lie: counts, lengths, offsets and types are written as they are given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
"""Value types."""

_CODES = dict(zip((U8, I8, U16, I16, U32, I32, F32, BOOL, U64, I64, F64), "BbHhIifBQqd", strict=True))


@dataclass(frozen=True)
class Bytes:
    """How numbers are written: byte order, and the width of lengths (4 in version 1)."""

    order: Literal["little", "big"] = "little"
    width: int = 8

    def number(self, code: str, value: Any) -> bytes:
        return struct.pack(("<" if self.order == "little" else ">") + code, value)

    def length(self, value: int) -> bytes:
        return self.number("Q" if self.width == 8 else "I", value)

    def string(self, text: str | bytes) -> bytes:
        data = text.encode() if isinstance(text, str) else text
        return self.length(len(data)) + data

    def value(self, kind: int, value: Any) -> bytes:
        """A value without its type; arrays are ``(element type, [values])``."""
        if kind == STRING:
            return self.string(value)
        if kind == ARRAY:
            element, items = value
            packed = b"".join(self.value(element, item) for item in items)
            return self.number("I", element) + self.length(len(items)) + packed
        return self.number(_CODES[kind], value)

    def pair(self, key: str | bytes, kind: int, value: Any) -> bytes:
        return self.string(key) + self.number("I", kind) + self.value(kind, value)

    def tensor(self, name: str | bytes, dims: Iterable[int], kind: int, offset: int) -> bytes:
        dims = list(dims)
        return (
            self.string(name)
            + self.number("I", len(dims))
            + b"".join(self.length(size) for size in dims)
            + self.number("I", kind)
            + self.number("Q", offset)
        )


@dataclass(frozen=True)
class Tensor:
    """A tensor to build: ``dims`` fastest first, as files have them; ``offset`` where it should lie."""

    name: str | bytes
    dims: tuple[int, ...]
    type: int
    data: bytes = b""
    offset: int | None = None


def build(
    pairs: Iterable[tuple[str | bytes, int, Any] | bytes] = (),
    tensors: Iterable[Tensor] = (),
    *,
    version: int = 3,
    order: Literal["little", "big"] = "little",
    alignment: int = 32,
    key_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    """A whole file. Pairs may be ready bytes; counts may be forged; without tensors nothing is padded."""
    wire = Bytes(order, 4 if version == 1 else 8)
    packed = [pair if isinstance(pair, bytes) else wire.pair(*pair) for pair in pairs]
    entries, data = [], b""
    for tensor in tensors:
        offset = len(data) if tensor.offset is None else tensor.offset
        entries.append(wire.tensor(tensor.name, tensor.dims, tensor.type, offset))
        data += tensor.data + bytes(-len(tensor.data) % alignment)
    header = (
        b"GGUF"
        + wire.number("I", version)
        + wire.length(len(entries) if tensor_count is None else tensor_count)
        + wire.length(len(packed) if key_count is None else key_count)
        + b"".join(packed)
        + b"".join(entries)
    )
    return header + (bytes(-len(header) % alignment) + data if entries else b"")


def floats(*values: float) -> bytes:
    """Little-endian float32."""
    return struct.pack(f"<{len(values)}f", *values)


ARCHITECTURE = ("general.architecture", STRING, "llama")

SMALL_PAIRS = (
    ARCHITECTURE,
    ("llama.block_count", U32, 1),
    ("llama.rope.freq_base", F32, 10000.0),
    ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<unk>", "", "▁a", b"\xff\xfe", "b\0c"])),
    ("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.0, -3.0, -4.0])),
    ("tokenizer.ggml.token_type", ARRAY, (I32, [2, 1, 1, 1, 1])),
    ("nested", ARRAY, (ARRAY, [(U8, [1, 2]), (STRING, ["x", "yz"]), (ARRAY, [])])),
    ("flag", BOOL, 1),
)

SMALL_TENSORS = (
    Tensor("norm.weight", (3,), 0, floats(1, 2, 3)),
    Tensor("blk.0.attn_q.weight", (32, 2), 8, (b"\x00\x3c" + bytes(range(32))) * 2),
)


def small() -> bytes:
    """A small valid file with strings, arrays, a nested array and two tensors."""
    return build(SMALL_PAIRS, SMALL_TENSORS)
