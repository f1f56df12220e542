"""The comparison of decoded values takes any NaN for a NaN, and nothing else for something else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.floats import assert_same_floats, one_nan, same_floats

_PATTERNS = [0x7FC00000, 0xFFC00000, 0x7FFC0000, 0x7FC60000, 0x7F800001, 0xFFFFFFFF]
NANS = np.array(_PATTERNS, np.uint32).view(np.float32)
"""Quiet and signalling, of both signs, with several payloads."""


def single(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_any_nan_is_a_nan() -> None:
    assert_same_floats(NANS, NANS[::-1])
    assert_same_floats(np.float16(np.nan), -np.float16(np.nan))
    assert_same_floats(np.array([np.nan]), -np.array([np.nan]))
    assert len({bytes(value) for value in NANS}) == NANS.size
    assert len({bytes(value) for value in one_nan(NANS)}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.nan, 1.0),
        (np.nan, np.inf),
        (np.nan, 0.0),
        (0.0, -0.0),
        (np.inf, -np.inf),
        (np.inf, np.finfo(np.float32).max),
        (1.0, np.nextafter(np.float32(1), np.float32(2))),
        (2.0**-149, 0.0),
    ],
    ids=str,
)
def test_all_else_is_what_its_bits_are(one: float, other: float) -> None:
    for ours, theirs in [(one, other), (other, one)]:
        assert same_floats(single(ours, 3, ours), single(theirs, 3, ours)).tolist() == [False, True, True]
        with pytest.raises(AssertionError, match=r"^here: 1 of 3 values differ, the first at \(1,\)"):
            assert_same_floats(single(3, ours, ours), single(3, theirs, ours), "here")
    assert_same_floats(one_nan(single(one, other)), single(one, other))


def test_equal_values_are_the_same_however_they_lie() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert_same_floats(values[:, ::2], values[:, ::2].copy())
    assert_same_floats(values.T, values.T.copy())
    assert_same_floats(values[:0], values[:0].copy())


@pytest.mark.parametrize("other", [np.zeros((1, 3), np.float32), np.zeros(3), np.zeros(3, np.int32)])
def test_another_shape_or_type_is_refused(other: np.ndarray) -> None:
    for ours, theirs in [(np.zeros(3, np.float32), other), (other, np.zeros(3, np.float32))]:
        with pytest.raises(AssertionError):
            assert_same_floats(ours, theirs)
    with pytest.raises(AssertionError):
        same_floats(np.zeros(3, np.uint32), np.zeros(3, np.uint32))
