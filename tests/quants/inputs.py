"""Arrays that lead quantizers into their corners: finite float32 of shape (ROWS, LENGTH), by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["INPUTS", "LENGTH", "ROWS", "WEIGHTS", "make", "make_weights"]

ROWS: Final = 12
LENGTH: Final = 1024
_SHAPE: Final = (ROWS, LENGTH)
_AT: Final = np.arange(LENGTH)
_TINIEST: Final = 2.0**-149
_HUGEST: Final = float(np.finfo(np.float32).max)

Maker = Callable[[Generator], NDArray[np.float64]]


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same row for all of them."""
    return np.broadcast_to(values, _SHAPE)


def _mostly_zero(rng: Generator) -> NDArray[np.float64]:
    return np.where(rng.random(_SHAPE) < 0.03, rng.standard_normal(_SHAPE), 0.0)


def _outlier(rng: Generator) -> NDArray[np.float64]:
    values = rng.standard_normal(_SHAPE)
    values[:, 37] = 1e6
    values[:, 700] = -1e9
    return values


def _opposite_peaks(rng: Generator) -> NDArray[np.float64]:
    """Both signs reach the largest magnitude of a block; which comes first decides the scale's sign."""
    values = rng.uniform(-1, 1, _SHAPE)
    place = rng.integers(0, 16, (ROWS, LENGTH // 16))
    sign = rng.choice([-1.0, 1.0], (ROWS, LENGTH // 16))
    np.put_along_axis(values.reshape(ROWS, -1, 16), place[:, :, None], sign[:, :, None], 2)
    return values


def _one_per_sub_block(rng: Generator) -> NDArray[np.float64]:
    return np.repeat(rng.standard_normal((ROWS, LENGTH // 16)), 16, axis=1)


def _scales_apart(rng: Generator) -> NDArray[np.float64]:
    """Sub-blocks of very different sizes: the scales of the small ones are rounded to zero."""
    return rng.standard_normal(_SHAPE) * np.repeat(
        10.0 ** rng.uniform(-7, 2, (ROWS, LENGTH // 16)), 16, axis=1
    )


def _finite_bits(rng: Generator) -> NDArray[np.float64]:
    values = rng.integers(0, 1 << 32, _SHAPE).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(values), values, 0).astype(np.float64)


def _clustered_bits(rng: Generator) -> NDArray[np.float64]:
    """Any bits, but exponents of a super-block near one another."""
    exponent = np.repeat(rng.integers(1, 250, (ROWS, LENGTH // 256)), 256, axis=1) + rng.integers(
        0, 4, _SHAPE
    )
    bits = rng.integers(0, 2, _SHAPE) << 31 | exponent << 23 | rng.integers(0, 1 << 23, _SHAPE)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


INPUTS: Final[dict[str, Maker]] = {
    "normal": lambda rng: rng.standard_normal(_SHAPE),
    "weights": lambda rng: rng.standard_normal(_SHAPE) * 0.02,
    "uniform": lambda rng: rng.uniform(-1, 1, _SHAPE),
    "heavy tails": lambda rng: rng.standard_t(1.2, _SHAPE),
    "zeros": lambda rng: np.zeros(_SHAPE),
    "negative zeros": lambda rng: np.full(_SHAPE, -0.0),
    "zeros of both signs": lambda rng: np.where(rng.random(_SHAPE) < 0.5, 0.0, -0.0),
    "a negative zero first": lambda rng: _spread(
        np.where(_AT % 64 == 0, -0.0, np.where(_AT % 64 > 32, 1, 0.0))
    ),
    "positive constant": lambda rng: np.full(_SHAPE, 0.37),
    "negative constant": lambda rng: np.full(_SHAPE, -0.37),
    "equal in every sub-block": _one_per_sub_block,
    "positive": lambda rng: np.abs(rng.standard_normal(_SHAPE)),
    "negative": lambda rng: -np.abs(rng.standard_normal(_SHAPE)),
    "far from zero": lambda rng: 1000 + rng.standard_normal(_SHAPE) * 1e-3,
    "far below zero": lambda rng: -1000 + rng.standard_normal(_SHAPE) * 1e-3,
    "half of them zero": lambda rng: np.maximum(rng.standard_normal(_SHAPE), 0),
    "mostly zero": _mostly_zero,
    "one outlier": _outlier,
    "single spike": lambda rng: np.where(_AT == 301, rng.standard_normal((ROWS, 1)), 0.0),
    "single spikes of sub-blocks": lambda rng: np.where(_AT % 32 == 21, rng.standard_normal(_SHAPE), 0.0),
    "peaks of both signs": _opposite_peaks,
    "alternating signs": lambda rng: _spread(np.where(_AT % 2 == 0, 1.0, -1.0)),
    "ascending": lambda rng: np.sort(rng.standard_normal(_SHAPE), axis=1),
    "descending": lambda rng: -np.sort(rng.standard_normal(_SHAPE), axis=1),
    "ramp": lambda rng: _spread(np.linspace(-1, 1, LENGTH)),
    "integers": lambda rng: rng.integers(-100, 101, _SHAPE).astype(np.float64),
    "ties of 8 bits": lambda rng: np.where(_AT % 32 == 5, 127.0, rng.integers(-254, 255, _SHAPE) / 2),
    "ties of 6 bits": lambda rng: np.where(_AT % 16 == 5, -32.0, rng.integers(-63, 64, _SHAPE) / 2),
    "ties of 5 bits": lambda rng: np.where(_AT % 32 == 5, -16.0, rng.integers(-31, 32, _SHAPE) / 2),
    "ties of 4 bits": lambda rng: np.where(_AT % 32 == 5, -8.0, rng.integers(-15, 16, _SHAPE) / 2),
    "ties of 3 bits": lambda rng: np.where(_AT % 16 == 5, -4.0, rng.integers(-7, 8, _SHAPE) / 2),
    "ties of 2 bits": lambda rng: np.where(_AT % 16 == 5, 3.0, rng.integers(0, 7, _SHAPE) / 2),
    "ties of odd numbers up to 5": lambda rng: np.where(_AT % 16 == 5, 5.0, rng.integers(-4, 5, _SHAPE)),
    "ties of odd numbers up to 15": lambda rng: np.where(_AT % 16 == 5, 15.0, rng.integers(-14, 15, _SHAPE)),
    "scales far apart": _scales_apart,
    "scale is a denormal half": lambda rng: rng.standard_normal(_SHAPE) * 1e-5,
    "scale underflows a half": lambda rng: rng.standard_normal(_SHAPE) * 1e-8,
    "scale overflows a half": lambda rng: rng.standard_normal(_SHAPE) * 1e7,
    "denormal": lambda rng: rng.standard_normal(_SHAPE) * 1e-40,
    "tiniest": lambda rng: rng.integers(-20, 21, _SHAPE) * _TINIEST,
    "below 1e-15": lambda rng: rng.standard_normal(_SHAPE) * 3e-16,
    "squares overflow": lambda rng: rng.standard_normal(_SHAPE) * 1e25,
    "huge": lambda rng: np.clip(rng.standard_normal(_SHAPE) * 3e38, -_HUGEST, _HUGEST),
    "largest of both signs": lambda rng: np.where(rng.random(_SHAPE) < 0.5, _HUGEST, -_HUGEST),
    "random bits": _finite_bits,
    "random bits, exponents close": _clustered_bits,
}


def make(name: str, seed: int = 0) -> NDArray[np.float32]:
    """The input of this name, always the same for a seed."""
    values = INPUTS[name](np.random.default_rng([seed, *name.encode()]))
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


WEIGHTS: Final[dict[str, Callable[[Generator], NDArray[np.float64]]]] = {
    "uneven": lambda rng: rng.standard_normal(LENGTH) ** 2,
    "even": lambda rng: np.ones(LENGTH),
    "mostly zero": lambda rng: np.where(rng.random(LENGTH) < 0.1, rng.random(LENGTH), 0.0),
    "zero": lambda rng: np.zeros(LENGTH),
    "huge": lambda rng: rng.standard_normal(LENGTH) ** 2 * 1e30,
    "tiny": lambda rng: rng.standard_normal(LENGTH) ** 2 * 1e-30,
    "of all sizes": lambda rng: 10.0 ** rng.uniform(-12, 12, LENGTH),
}


def make_weights(name: str) -> NDArray[np.float32]:
    """Importances of LENGTH columns, always the same."""
    return WEIGHTS[name](np.random.default_rng([*name.encode()])).astype(np.float32)
