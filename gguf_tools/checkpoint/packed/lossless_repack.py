"""Integers with scales that a GGUF type holds exactly: the same integers and scales in its blocks.

    4 bits, zero point 8, groups of a multiple of 32     Q4_0    d: f16 │ 16 × (q[i] | q[i+16] << 4)
    8 bits, no zero point, groups of a multiple of 32    Q8_0    d: f16 │ 32 × q: i8

Both sides mean integer × scale, and every block of 32 takes the scale of its group. That is exact for scales
in float16, and for those in bfloat16 from 2^−17 to 65504; smaller ones, which no type with float16 scales
holds, are rounded to the nearest. With other zero points nothing is gained: Q4_1 needs scale × zero point
in float16, which has too few bits for most of them.

Layouts from ggml's ``block_q4_0`` and ``block_q8_0``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CheckpointError
from ...spec import GGMLType
from .components import checked_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["exact_type", "repacked"]

_BLOCK: Final = 32
_TYPES: Final = {4: GGMLType.Q4_0, 8: GGMLType.Q8_0}
_HALVES: Final = ("F16", "BF16")


def exact_type(bits: int, group: int, scales: str) -> GGMLType | None:
    """The type that holds symmetric integers exactly, or None.

    Args:
        bits: of an integer.
        group: columns that share a scale.
        scales: their dtype, as safetensors calls it.
    """
    return _TYPES.get(bits) if group > 0 and group % _BLOCK == 0 and scales in _HALVES else None


def repacked(data: NDArray[np.uint8], bits: int, scales: NDArray[np.float32], name: str) -> NDArray[np.uint8]:
    """Rows of blocks of the type that `exact_type` names.

    Args:
        data: uint8 (rows, columns × bits / 8): integers plus 2^(bits − 1), the first one lowest.
        bits: 4 or 8.
        scales: float32 (rows, groups).
        name: of the scales, for errors.

    Raises:
        CheckpointError: a scale is no number, 0, or beyond float16.
    """
    rows, blocks = len(data), data.shape[1] * 8 // bits // _BLOCK
    out = np.empty((rows, blocks, 2 + _BLOCK * bits // 8), np.uint8)
    halves = _halves(scales, name)
    out[:, :, :2] = np.repeat(halves, blocks // max(scales.shape[1], 1), axis=1)[:, :, None].view(np.uint8)
    stored = data.reshape(rows, blocks, _BLOCK * bits // 8)
    if bits == 8:
        out[:, :, 2:] = stored ^ np.uint8(0x80)
    else:
        near, far = stored[:, :, :8], stored[:, :, 8:]
        out[:, :, 2::2] = near & 15 | far << 4
        out[:, :, 3::2] = near >> 4 | far & 0xF0
    return out.reshape(rows, blocks * out.shape[2])


def _halves(scales: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    checked_scales(scales, name)
    with np.errstate(over="ignore"):
        halves = scales.astype("<f2")
    if not np.isfinite(halves).all():
        at = tuple(np.argwhere(~np.isfinite(halves))[0].tolist())
        raise CheckpointError(
            f"a scale is beyond float16 at {at}; another type than Q4_0 or Q8_0 can hold it",
            tensor=name,
            found=float(scales[at]),
            expected="at most 65504",
        )
    return halves
