"""Damage that any file can take: bytes changed, repeated, lost, cut off."""

from __future__ import annotations

import random

__all__ = ["damaged"]


def damaged(data: bytes, dice: random.Random) -> bytes:
    """A copy with a few bytes changed, a piece repeated or taken out, or its end cut off."""
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 8])):
        at = dice.randrange(len(changed) + 1)
        piece = changed[at : at + dice.choice([1, 4, 8, 64])]
        match dice.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                changed[at:at] = piece
            case 2:
                del changed[at : at + len(piece)]
            case 3:
                changed[at : at + 8] = dice.choice([b"\xff" * 8, bytes(8), b"\0" * 7 + b"\x80", b"1e999,[]"])
            case _:
                del changed[at:]
    return bytes(changed)
