"""GPT-2's bytes as characters: how byte-level BPE writes any byte string as printable text.

Printable Latin-1 bytes stand for themselves; the other 68, in order, are U+0100 onwards: a space is Ġ
(U+0120), a newline Ċ. From the ``bytes_to_unicode`` of OpenAI's GPT-2 encoder.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BYTE_OF", "SPACE", "to_bytes"]

_PRINTABLE: Final = frozenset([*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)])
_OTHERS: Final = [byte for byte in range(256) if byte not in _PRINTABLE]

BYTE_OF: Final = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(256 + place): byte for place, byte in enumerate(_OTHERS)
}
"""Byte of every character."""

SPACE: Final = "\u0120"


def to_bytes(text: str) -> bytes | None:
    """The bytes a text stands for, or None when a character stands for none."""
    try:
        return bytes([BYTE_OF[letter] for letter in text])
    except KeyError:
        return None
