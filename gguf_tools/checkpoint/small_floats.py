"""Floats of 8 and fewer bits, as tables of all their values.

Layouts from "OCP 8-bit Floating Point Specification (OFP8)" 1.0 and "OCP Microscaling Formats (MX)
Specification" 1.0; the FNUZ kinds from the ONNX operator documentation ("Float stored in 8 bits").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["E2M1", "E4M3", "E4M3FNUZ", "E5M2", "E5M2FNUZ", "E8M0"]


def _table(exponent_bits: int, mantissa_bits: int, bias: int) -> NDArray[np.float32]:
    """Sign, exponent, mantissa, all of whose patterns are finite numbers."""
    codes = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    mantissa = codes & ((1 << mantissa_bits) - 1)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    significand = np.where(exponent > 0, mantissa + (1 << mantissa_bits), mantissa)
    magnitude = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    negative = (codes >> (exponent_bits + mantissa_bits)) & 1
    signed: NDArray[np.float64] = np.where(negative == 1, -magnitude, magnitude)
    return signed.astype(np.float32)


def _e4m3() -> NDArray[np.float32]:
    """ "fn": no infinities, NaN where all bits but the sign are ones."""
    table = _table(4, 3, 7)
    table[[0x7F, 0xFF]] = np.nan
    return table


def _e5m2() -> NDArray[np.float32]:
    """As IEEE 754 would have it."""
    table = _table(5, 2, 15)
    table[[0x7C, 0xFC]] = np.inf, -np.inf
    table[[0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]] = np.nan
    return table


def _fnuz(exponent_bits: int, mantissa_bits: int, bias: int) -> NDArray[np.float32]:
    """No infinities, no negative zero: its pattern is the NaN."""
    table = _table(exponent_bits, mantissa_bits, bias)
    table[0x80] = np.nan
    return table


def _e8m0() -> NDArray[np.float32]:
    """Powers of two; 255 is NaN."""
    powers: NDArray[np.float64] = np.ldexp(1.0, np.arange(256) - 127)
    powers[255] = np.nan
    return powers.astype(np.float32)


E4M3: Final = _e4m3()
E5M2: Final = _e5m2()
E4M3FNUZ: Final = _fnuz(4, 3, 8)
E5M2FNUZ: Final = _fnuz(5, 2, 16)
E8M0: Final = _e8m0()
E2M1: Final = _table(2, 1, 1)
"""0, ½, 1, 1½, 2, 3, 4, 6 and their negatives."""
