"""Finding packed strings many at a time, with numpy. `Wire.walk_strings` says when that is worth it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec import ByteOrder

__all__ = ["find_chain"]


def find_chain(stretch: bytes | memoryview, start: int, width: int, order: ByteOrder) -> NDArray[np.int64]:
    """Positions of strings shorter than 256 bytes that follow each other from the start of a stretch.

    Most strings of a vocabulary are that short, so that their prefix is one byte and a run of zeros: such
    runs are found for the whole stretch at once, and the chain they form is checked to link up from one
    string to the next. It ends where it does not (at a long, empty or NUL-bearing string).

    Args:
        stretch: the bytes from the first of them on. The last string found may go beyond.
        start: where in the file it starts.
        width: bytes of a length.
        order: byte order of lengths.
    """
    window = np.frombuffer(stretch, np.uint8)
    if len(window) < 2 * width:
        return np.empty(0, np.int64)
    zero = window == 0
    pairs = zero[:-1] & zero[1:]
    if width == 8:
        fours = pairs[:-2] & pairs[2:]
        runs = fours[:-3] & fours[3:]
    else:
        runs = pairs[:-1] & pairs[1:]
    if order == "little":
        prefixes = np.flatnonzero(runs[1:])
        lengths = window[prefixes]
    else:
        prefixes = np.flatnonzero(runs[: len(window) - width + 1])
        lengths = window[prefixes + (width - 1)]
    if not len(prefixes) or prefixes[0] != 0:
        return np.empty(0, np.int64)
    linked = prefixes[1:] == prefixes[:-1] + lengths[:-1] + width
    good = len(prefixes) if linked.all() else int(linked.argmin()) + 1
    return prefixes[:good].astype(np.int64) + start
