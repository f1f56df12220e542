"""Half precision in integer arithmetic, as numba has no float16 on the CPU.

Rounding is to nearest, ties to even, with denormals and overflow to infinity: the same halves as ggml's
``ggml_fp32_to_fp16``, which turns every NaN into the quiet NaN 0x7e00 with the sign kept.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel

__all__ = ["half_to_single", "scale_to_half", "single_from_bits", "single_to_half"]

_SIGN = np.uint32(0x8000)
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)
_OVERFLOW = np.uint32(0x477F_F000)  # 65520: halfway between the largest half and the next power of two
_SMALLEST_NORMAL = np.uint32(0x3880_0000)  # 2^-14
_HALF_INFINITY = np.uint32(0x7C00)
_HALF_NAN = np.uint32(0x7E00)
_SCALE_NAN = np.uint16(0xFE00)
_REBIAS = np.uint32(0xC800_0FFF)  # exponent − 112, and just under half a unit of the last place kept
_ONE = np.uint32(1)
_13 = np.uint32(13)
_16 = np.uint32(16)
_HALF_ULP_MAGIC = np.float32(0.5)  # adding it leaves a denormal half in the low bits, rounded by the FPU
_HALF_MAGIC_BITS = np.uint32(0x3F00_0000)

_EXPONENT_MASK = np.uint32(0x0F80_0000)  # a half's exponent after the shift
_REBIAS_UP = np.uint32(0x3800_0000)  # (127 − 15) << 23
_DENORMAL_MAGIC_BITS = np.uint32(0x3880_0000)
_DENORMAL_MAGIC = np.float32(2.0**-14)
_QUIET = np.uint32(0x0040_0000)
_HALF_MAGNITUDE = np.uint32(0x7FFF)


@kernel
def single_to_half(value):
    """float32 → bits of the half, as uint16."""
    bits = np.float32(value).view(np.uint32)
    magnitude = np.uint32(bits & _MAGNITUDE)
    sign = np.uint32((bits >> _16) & _SIGN)
    normal = np.uint32(np.uint32(magnitude + _REBIAS) + np.uint32((magnitude >> _13) & _ONE)) >> _13
    small = np.float32(magnitude.view(np.float32) + _HALF_ULP_MAGIC).view(np.uint32) - _HALF_MAGIC_BITS
    half = np.uint32(small) if magnitude < _SMALLEST_NORMAL else np.uint32(normal)
    half = _HALF_INFINITY if magnitude >= _OVERFLOW else half
    half = _HALF_NAN if magnitude > _INFINITY else half
    return np.uint16(sign | half)


@kernel
def scale_to_half(value):
    """`single_to_half` of a block's scale or offset, whose NaN has no sign of its own.

    Where the sums of a search overflow, a scale becomes ∞ − ∞ or ∞ × 0. x86 makes that a negative NaN, other
    processors a positive one. Blocks get the one of x86 on all of them: ggml's bytes are those of x86.
    """
    bits = np.uint32(np.float32(value).view(np.uint32) & _MAGNITUDE)
    return _SCALE_NAN if bits > _INFINITY else single_to_half(value)


@kernel
def half_to_single(half):
    """Bits of a half (uint16) → float32, exactly. A NaN keeps its payload and becomes quiet."""
    bits = np.uint32(half)
    sign = np.uint32((bits & _SIGN) << _16)
    shifted = np.uint32((bits & _HALF_MAGNITUDE) << _13)
    exponent = np.uint32(shifted & _EXPONENT_MASK)
    normal = np.uint32(shifted + _REBIAS_UP)
    special = np.uint32(normal + _REBIAS_UP)
    tiny = np.float32(np.uint32(shifted + _DENORMAL_MAGIC_BITS).view(np.float32) - _DENORMAL_MAGIC).view(
        np.uint32
    )
    special = np.uint32(special | _QUIET) if shifted > _EXPONENT_MASK else special
    result = special if exponent == _EXPONENT_MASK else normal
    result = tiny if exponent == np.uint32(0) else result
    return np.uint32(result | sign).view(np.float32)


@kernel
def single_from_bits(bits):
    """uint32 → the float32 with these bits. A function because numba views no variable a loop assigns to."""
    return np.uint32(bits).view(np.float32)
