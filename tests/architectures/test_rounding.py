"""Exponentials, logarithms and powers are the float32 nearest to the exact value, whoever computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools.architectures import rounding
from tests.floats import assert_same_floats

Values = NDArray[np.float32]

HARD = np.array([float.fromhex("-0x1.d2259a0000000p+3")], np.float32)
"""e to its power lies within 2^-51 of halfway between two float32."""

FUNCTIONS: dict[str, tuple[Callable[[Values], Values], Callable[[Decimal], Decimal], Values]] = {
    "exponentials": (
        rounding.exponentials,
        Decimal.exp,
        np.concatenate(
            [HARD, np.linspace(-104, 88.7, 4000, dtype=np.float32), 2.0 ** -np.arange(20, 30, dtype="f4")]
        ),
    ),
    "logarithms": (
        rounding.logarithms,
        Decimal.ln,
        np.concatenate(
            [np.geomspace(1e-44, 3e38, 4000).astype("f4"), 1 - 2.0 ** -np.arange(10, 25, dtype="f4")]
        ),
    ),
    "powers": (
        lambda x: rounding.powers(500000.0, x),
        lambda x: (Decimal(500000).ln() * x).exp(),
        np.arange(0, 4000, dtype=np.float32) / np.float32(4000),
    ),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def nearest(exact: Decimal, guess: np.float32) -> np.float32:
    """The float32 nearest to an exact number, of those around a guess."""
    down = np.nextafter(guess, np.float32(-np.inf))
    up = np.nextafter(guess, np.float32(np.inf))
    return min((down, guess, up), key=lambda one: abs(Decimal(float(one)) - exact))


@each_function
def test_values_are_rounded_correctly(name: str) -> None:
    ours, exact, x = FUNCTIONS[name]
    found = ours(x)
    assert found.dtype == np.float32
    with localcontext(prec=80):
        expected = [nearest(exact(Decimal(float(one))), made) for one, made in zip(x, found, strict=True)]
    assert_same_floats(found, np.array(expected, np.float32))
    assert_same_floats(ours(x[:24].reshape(2, 3, 4)), found[:24].reshape(2, 3, 4))


class Inexact:
    """numpy, with a less exact library of functions: off by 50 units of the last place of a double."""

    def __init__(self, sign: int) -> None:
        self._factor = 1 + sign * 50 * 2.0**-53

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def exp(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(x) * self._factor

    def log(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log(x) * self._factor


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", ["exponentials", "logarithms"])
def test_the_library_does_not_matter(name: str, sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _, x = FUNCTIONS[name]
    x = np.concatenate([x, np.random.default_rng(0).uniform(0.1, 16, 1 << 20).astype(np.float32)])
    expected = ours(x)
    monkeypatch.setattr(rounding, "np", Inexact(sign))
    assert_same_floats(ours(x), expected)


def test_a_hard_case_is_one() -> None:
    """Without decimals, a library that is off by one unit would decide."""
    near = np.exp(HARD.astype(np.float64))
    assert np.float32(near * (1 - 2.0**-51)) != np.float32(near * (1 + 2.0**-51))


def test_what_has_no_finite_value() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 89, -200, 0, -0.0], np.float32)
    assert_same_floats(rounding.exponentials(x), np.array([np.nan, np.inf, 0, np.inf, 0, 1, 1], np.float32))
    x = np.array([np.nan, np.inf, 0, -0.0, -1, 1], np.float32)
    inf, nan = np.inf, np.nan
    assert_same_floats(rounding.logarithms(x), np.array([nan, inf, -inf, -inf, nan, 0], np.float32))
    assert rounding.powers(-2.0, np.array([0.5], np.float32)).tolist() == pytest.approx([nan], nan_ok=True)


def test_the_largest_number_is_rounded_to_not_to_infinity() -> None:
    """Around where rounding becomes infinite, on either side."""
    last = np.float32(math.log(float(np.finfo(np.float32).max)))
    x = np.nextafter(last, np.float32(0)) + np.arange(3, dtype=np.float32) * np.spacing(last)
    found = rounding.exponentials(x.astype(np.float32))
    with localcontext(prec=60):
        limit = Decimal(2) ** 128 - Decimal(2) ** 103
        assert np.isinf(found).tolist() == [Decimal(float(one)).exp() >= limit for one in x]
    assert np.isinf(found).any()
    assert np.isfinite(found).any()


def test_scalars() -> None:
    assert rounding.power(1000.0, 128 / 126) == pytest.approx(math.pow(1000.0, 128 / 126), rel=1e-15)
    assert rounding.power(0.0, 1.5) == 0
    root = math.sqrt(1 + math.log(32) / math.log(4096))
    assert rounding.square_root_of_logarithms(32.0, 4096) == pytest.approx(root, rel=1e-15)


def test_no_share_of_gemma3n_is_near_halfway() -> None:
    """Of its quantiles, which Python's C code computes, the rounding to float32 hides the last bits."""
    for share in range(1, 1000):
        doubled = float(np.float32(2) * np.float32(share / 1000) - np.float32(1))
        near = NormalDist().inv_cdf((doubled + 1) / 2) / math.sqrt(2)
        assert np.float32(near * (1 - 2.0**-46)) == np.float32(near * (1 + 2.0**-46))
