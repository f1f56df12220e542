"""SentencePiece models put together field by field."""

from __future__ import annotations

import struct


def varint(value: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, kind: int, body: bytes = b"") -> bytes:
    """A field with a ready body."""
    return varint(number << 3 | kind) + body


def text(number: int, body: bytes, length: int | None = None) -> bytes:
    """A field of bytes; the length may lie."""
    return field(number, 2, varint(len(body) if length is None else length) + body)


def piece(body: bytes = b"a", score: float = 0.0, kind: int | None = None, more: bytes = b"") -> bytes:
    """A piece as a field of a model."""
    message = text(1, body) + field(2, 5, struct.pack("<f", score))
    if kind is not None:
        message += field(3, 0, varint(kind))
    return text(1, message + more)
