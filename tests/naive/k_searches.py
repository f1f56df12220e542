"""The searches of the K types without importances, one super-block at a time, all its sub-blocks at once.

Sub-blocks are rows. Sums go from left to right in float32, one addition at a time.
"""

from __future__ import annotations

import numpy as np

from tests.naive.parts import Levels, Values

__all__ = [
    "TINY",
    "greatest",
    "largest_magnitude",
    "nearest",
    "relative",
    "scale_and_min",
    "scale_by_least_squares",
    "scale_by_moves",
    "total",
]

MAGIC = np.float32(12582912)
TINY = np.float32(1e-15)


def nearest(x: Values) -> Levels:
    """The nearest integer, ties to even, as long as it is less than 2²² away from zero."""
    return ((x + MAGIC).view(np.int32) & 0x7FFFFF) - 0x400000


def total(x: Values) -> Values:
    return np.cumsum(x, axis=1, dtype=np.float32)[:, -1]


def relative(numbers: Values, top: int) -> tuple[Levels, np.float32]:
    """Positive numbers as integers up to ``top`` times a factor."""
    largest = max(np.float32(0), *numbers)
    inverse = np.float32(top) / largest if largest > 0 else np.float32(0)
    return nearest(inverse * numbers) & 255, largest / np.float32(top)


def scale_and_min(
    x: Values, weights: Values, top: int, steps: tuple[float, int], absolute: bool
) -> tuple[Values, Values, Levels]:
    """x ≈ scale × level − min, levels 0 to ``top``. ``steps``: where they start, in levels, and how many."""
    low, high = np.minimum(x.min(1), 0), x.max(1)
    constant = low == high
    sum_w, sum_x = total(weights), total(weights * x)

    def divide(step: Values) -> Levels:
        return np.clip(nearest(step[:, None] * (x - low[:, None])), 0, top)

    def error(scale: Values, low: Values, levels: Levels) -> Values:
        difference = scale[:, None] * levels.astype(np.float32) + low[:, None] - x
        return total(weights * (np.abs(difference) if absolute else difference * difference))

    first = np.float32(top) / (high - low)
    scale = np.float32(1) / first
    levels = divide(first)
    best = error(scale, low, levels)
    for step in range(steps[1] + 1):
        wider = np.float32(steps[0]) + np.float32(0.1) * np.float32(step) + np.float32(top)
        tried = divide(wider / (high - low))
        l = tried.astype(np.float32)  # noqa: E741
        sum_l, sum_l2, sum_xl = total(weights * l), total(weights * l * l), total(weights * l * x)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        new_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        above = new_low > 0
        new_scale, new_low = np.where(above, sum_xl / sum_l2, new_scale), np.where(above, 0, new_low)
        new_error = error(new_scale, new_low.astype(np.float32), tried)
        better = (determinant > 0) & (new_error < best) & ~constant
        best, scale = np.where(better, new_error, best), np.where(better, new_scale, scale)
        low = np.where(better, new_low, low).astype(np.float32)
        levels = np.where(better[:, None], tried, levels)
    return np.where(constant, 0, scale).astype(np.float32), -low, np.where(constant[:, None], 0, levels)


def largest_magnitude(x: Values) -> Values:
    return np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)[:, 0]


def greatest(scales: Values) -> np.float32:
    """The first of largest magnitude; a scale that is no number is none of them."""
    return np.float32(max(np.nan_to_num(scales, posinf=np.inf, neginf=-np.inf), key=abs))


def scale_by_least_squares(x: Values, half: int) -> tuple[Values, Levels]:
    """x ≈ scale × (level − half), levels 0 to 2 half − 1, weighted with x²."""
    largest = largest_magnitude(x)
    scale = best = np.zeros_like(largest)
    levels = np.zeros(x.shape, np.int64)
    for tenths in (0, *range(-9, 0), *range(1, 10)):
        step = -(np.float32(half) + np.float32(0.1) * np.float32(tenths)) / largest
        tried = np.clip(nearest(step[:, None] * x), -half, half - 1)
        l = tried.astype(np.float32)  # noqa: E741
        sum_xl, sum_l2 = total(x * x * x * l), total(x * x * l * l)
        better = (sum_l2 > 0) & (sum_xl * sum_xl > best * sum_l2) if tenths else np.full(len(x), True)
        new = np.where(sum_l2 != 0, sum_xl / sum_l2, 0)
        scale, best = np.where(better, new, scale), np.where(better, new * sum_xl, best)
        levels = np.where(better[:, None], tried + half, levels)
    empty = np.abs(largest) < TINY
    return np.where(empty, 0, scale).astype(np.float32), np.where(empty[:, None], 0, levels)


def scale_by_moves(x: Values, half: int) -> tuple[Values, Levels]:
    """The same form; levels move one after the other to where the others' best scale has them."""
    largest = largest_magnitude(x)
    levels = np.clip(nearest((-np.float32(half) / largest)[:, None] * x), -half, half - 1)
    w = x * x
    sum_xl = total(w * x * levels.astype(np.float32))
    sum_l2 = total(w * levels.astype(np.float32) * levels.astype(np.float32))
    for i in [*range(x.shape[1])] * 5:
        before = levels[:, i].astype(np.float32)
        xl, l2 = sum_xl - w[:, i] * x[:, i] * before, sum_l2 - w[:, i] * before * before
        there = np.clip(nearest(x[:, i] * l2 / xl), -half, half - 1)
        l = there.astype(np.float32)  # noqa: E741
        new_xl, new_l2 = xl + w[:, i] * x[:, i] * l, l2 + w[:, i] * l * l
        better = (xl > 0) & (there != levels[:, i]) & (new_l2 > 0)
        better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
        levels[:, i] = np.where(better, there, levels[:, i])
        sum_xl, sum_l2 = np.where(better, new_xl, sum_xl), np.where(better, new_l2, sum_l2)
    empty = np.abs(largest) < TINY
    scale = np.where(empty | ~(sum_l2 > 0), 0, sum_xl / sum_l2).astype(np.float32)
    return scale, np.where(empty[:, None], 0, levels + half)
