"""Encoders of the IQ2 and IQ3 types: every step, every group and every neighbour on its own.

Types that need an importance matrix have one of ones here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools.quants.kernels.grids import GRIDS, levels, neighbours, point_indices
from gguf_tools.spec import GGMLType
from tests.naive.k_searches import nearest, total
from tests.naive.parts import Block, Encoder, Levels, Values, bytes_of

ONE: Final = np.float32(1)
HALF: Final = np.float32(0.5)


@dataclass(frozen=True)
class Search:
    """What differs between types: the grid, values of a sub-block, steps, and what counts as zero.

    With ``even`` a group of eight has an even number of negative signs; with ``all_again`` all groups are
    rounded once more where one had moved or no step was any good, otherwise only those that had moved. With
    ``fitted`` all groups always are, and steps are around the scale of the best integers up to 4.
    """

    grid: str
    size: int
    largest: int
    width: float
    tries: int
    tiny: float
    even: bool
    all_again: bool = False
    fitted: bool = False

    def sub_blocks(self, x: Values, weights: Values) -> tuple[Values, list[Levels], list[Levels]]:
        """Scales, places and signs (a byte for each eight) of the sub-blocks of a block."""
        scales, places, signs = [], [], []
        for x_part, w_part in zip(x.reshape(-1, self.size), weights.reshape(-1, self.size), strict=True):
            x_part, negative = self.magnitudes(x_part, w_part)
            peak = x_part.max()
            first = peak / np.float32(self.largest)
            if self.fitted:
                first = fitted_scale(x_part, w_part, 4)
                peak = np.float32(3) * first
            if peak < self.tiny or peak == 0:
                scale, place = np.float32(0), np.zeros(self.size // GRIDS[self.grid].elements, np.int64)
                negative = np.zeros_like(negative)
            else:
                scale, place = self.search(x_part, w_part, peak, first)
            scales.append(abs(scale))
            places.append(place)
            signs.append(negative)
        return np.array(scales, np.float32), places, signs

    def magnitudes(self, x: Values, weights: Values) -> tuple[Values, Levels]:
        negative = ~(x >= 0)
        x = np.where(negative, -x, x).reshape(-1, 8)
        negative = negative.reshape(-1, 8)
        if self.even:
            for group, bits, matters in zip(x, negative, weights.reshape(-1, 8) * x * x, strict=True):
                if bits.sum() % 2:
                    least = int(np.argmin(matters))
                    bits[least] = not bits[least]
                    group[least] = -group[least]
        return x.reshape(-1), np.packbits(negative, axis=1, bitorder="little").reshape(-1)

    def search(
        self, x: Values, weights: Values, peak: np.float32, scale: np.float32
    ) -> tuple[np.float32, Levels]:
        """``peak`` is what becomes the largest multiple, ``scale`` the scale if no step is any good."""
        best = np.float32(0)
        chosen = np.full(x.size // GRIDS[self.grid].elements, neighbours(self.grid).places[0], np.int64)
        again = np.full(chosen.size, self.all_again or self.fitted)
        for step in range(-self.tries, self.tries + 1):
            inverse = (np.float32(self.largest) + np.float32(step) * np.float32(self.width)) / peak
            places, moved = self.round(x, weights, inverse, ONE / inverse)
            sum_qx, sum_q2 = self.sums(x, weights, places)
            if sum_q2 > 0 and sum_qx * sum_qx > best * sum_q2:
                scale = sum_qx / sum_q2
                best, chosen = scale * sum_qx, places
                again = np.full(moved.size, moved.any()) if self.all_again else moved | self.fitted
        if again.any() and scale > 0:
            places, _ = self.round(x, weights, ONE / scale, scale)
            chosen = np.where(again, places, chosen)
            sum_qx, sum_q2 = self.sums(x, weights, chosen)
            scale = sum_qx / sum_q2 if sum_q2 > 0 else scale
        return scale, chosen

    def round(
        self, x: Values, weights: Values, inverse: np.float32, scale: np.float32
    ) -> tuple[Levels, NDArray[np.bool_]]:
        """The places of all groups' points, and which groups had to move to them."""
        spec, found = GRIDS[self.grid], neighbours(self.grid)
        rounded = np.clip(nearest(HALF * (inverse * x - ONE)), 0, len(spec.values) - 1)
        index = point_indices(self.grid, rounded.reshape(-1, spec.elements).astype(np.int8))
        places = found.places[index].astype(np.int64)
        moved = places < 0
        for k in np.flatnonzero(moved):
            at = -1 - places[k]
            candidates = found.lists[at + 1 : at + 1 + int(found.lists[at])]
            part = slice(k * spec.elements, (k + 1) * spec.elements)
            difference = scale * self.multiples(candidates) - x[part]
            distances = total(np.sqrt(weights[part]) * difference * difference)
            places[k] = candidates[np.argmin(distances)]
        return places, moved

    def sums(self, x: Values, weights: Values, places: Levels) -> tuple[np.float32, np.float32]:
        q = self.multiples(places).reshape(1, -1)
        return total(weights * x * q)[0], total(weights * q * q)[0]

    def multiples(self, places: NDArray[np.integer]) -> Values:
        return (2 * levels(self.grid)[places] + 1).astype(np.float32)


def fitted_scale(x: Values, weights: Values, top: int) -> np.float32:
    """The scale of the best integers 0 to ``top``, as ggml's ``make_qp_quants`` finds them."""
    largest = max(np.float32(0), *x)
    if largest < np.float32(1e-15):
        return np.float32(0)

    def integers(step: np.float32, limit: int) -> Values:
        return np.minimum(nearest(step * x), limit).astype(np.float32)

    def error(step: np.float32, limit: int) -> np.float32:
        difference = x - ONE / step * integers(step, limit)
        return np.float32(total((weights * difference * difference).reshape(1, -1))[0])

    step = np.float32(top) / largest
    best = error(step, 255)
    for tenths in (-4, -3, -2, -1, 1, 2, 3, 4):
        tried = (np.float32(0.1) * np.float32(tenths) + np.float32(top)) / largest
        if error(tried, top) < best:
            best, step = error(tried, top), tried
    l = integers(step, top)  # noqa: E741
    sum_xl, sum_l2 = (total(part.reshape(1, -1))[0] for part in (weights * x * l, weights * l * l))
    for _ in range(5):
        for i in range(x.size):
            xl, l2 = sum_xl - weights[i] * x[i] * l[i], sum_l2 - weights[i] * l[i] * l[i]
            if xl > 0 and l2 > 0:
                moved = np.float32(min(top, nearest((x[i] * l2 / xl).reshape(1))[0]))
                new_xl, new_l2 = xl + weights[i] * x[i] * moved, l2 + weights[i] * moved * moved
                if moved != l[i] and new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2:
                    l[i], sum_xl, sum_l2 = np.float32(int(moved) & 255), new_xl, new_l2
    return sum_xl / sum_l2 if sum_l2 > 0 else np.float32(0)


def spread(x: Values, times: int) -> np.float32:
    return np.float32(times) * total((x * x).reshape(1, -1))[0] / np.float32(x.size)


def scale_bytes(scales: Values, factor: float) -> tuple[Block, Levels]:
    """The block's scale as a half, and the sub-blocks' as levels 0 to 15."""
    largest = scales.max()
    if largest == 0:
        return np.zeros(2, np.uint8), np.zeros(scales.size, np.int64)
    d = largest / np.float32(31)
    return bytes_of(d * np.float32(factor)), np.clip(nearest(HALF * (ONE / d * scales - ONE)), 0, 15)


def pairs(numbers: Levels) -> Block:
    """4-bit numbers, two in a byte."""
    return (numbers[::2] | numbers[1::2] << 4).astype(np.uint8)


def high_bits(places: Levels, width: int) -> Block:
    """The bits of places above the lower eight, ``width`` of each, lowest first."""
    high = (places >> 8).reshape(-1, 8 // width)
    return (high << np.arange(0, 8, width)).sum(1).astype(np.uint8)


def signs_and_scales(signs: list[Levels], scales: Levels) -> Block:
    """For each sub-block four times seven signs and a scale, in four bytes."""
    sevens = (np.stack(signs) & 127).astype(np.int64) << np.arange(0, 28, 7)
    return (sevens.sum(1) | scales << 28).astype("<u4").view(np.uint8)


def encode_iq2_xxs(x: Values) -> Block:
    search = Search("iq2_xxs", 32, 5, 0.1, 6, 0.0, even=True, fitted=True)
    scales, places, signs = search.sub_blocks(x, np.sqrt(spread(x, 1) + x * x))
    if scales.max() == 0:
        return np.zeros(66, np.uint8)
    d, small = scale_bytes(scales, 1)
    words = signs_and_scales(signs, small)
    parts = np.concatenate([np.stack(places).astype(np.uint8), words.reshape(8, 4)], axis=1)
    return np.concatenate([d, parts.reshape(-1)])


def encode_iq2_xs(x: Values) -> Block:
    search = Search("iq2_xs", 16, 5, 0.1, 9, 1e-15, even=True)
    scales, places, signs = search.sub_blocks(x, np.sqrt(spread(x, 1) + x * x))
    if scales.max() == 0:
        return np.zeros(74, np.uint8)
    d, small = scale_bytes(scales, 1)
    packed = (np.concatenate(places) | (np.concatenate(signs) & 127).astype(np.int64) << 9).astype("<u2")
    return np.concatenate([d, packed.view(np.uint8), pairs(small)])


def encode_iq2_s(x: Values) -> Block:
    search = Search("iq2_s", 16, 5, 0.1, 9, 1e-8, even=False)
    scales, places, signs = search.sub_blocks(x, np.float32(0.25) * spread(x, 2) + x * x)
    d, small = scale_bytes(scales, 0.9875)
    place = np.concatenate(places)
    return np.concatenate(
        [d, place.astype(np.uint8), np.concatenate(signs), high_bits(place, 2), pairs(small)]
    )


def encode_iq3_xxs(x: Values) -> Block:
    search = Search("iq3_xxs", 32, 15, 0.2, 15, 1e-8, even=True)
    scales, places, signs = search.sub_blocks(x, x * x)
    if scales.max() == 0:
        return np.zeros(98, np.uint8)
    d, small = scale_bytes(scales, 1.0125)
    return np.concatenate([d, np.concatenate(places).astype(np.uint8), signs_and_scales(signs, small)])


def encode_iq3_s(x: Values) -> Block:
    search = Search("iq3_s", 32, 15, 0.2, 9, 2.0**-149, even=False, all_again=True)
    scales, places, signs = search.sub_blocks(x, x * x)
    d, small = scale_bytes(scales, 1.033)
    # ggml does not leave room for sub-blocks of zeros here: those after them move up
    kept = [k for k, part in enumerate(x.reshape(8, 32)) if (part != 0).any()]
    low, sign = np.zeros((8, 8), np.uint8), np.zeros((8, 4), np.uint8)
    for at, k in enumerate(kept):
        low[at], sign[at] = places[k].astype(np.uint8), signs[k]
    high = high_bits(np.concatenate(places), 1)
    return np.concatenate([d, low.reshape(-1), high, sign.reshape(-1), pairs(small)])


ENCODERS: Final[dict[GGMLType, Encoder]] = {
    GGMLType.IQ2_XXS: encode_iq2_xxs,
    GGMLType.IQ2_XS: encode_iq2_xs,
    GGMLType.IQ2_S: encode_iq2_s,
    GGMLType.IQ3_XXS: encode_iq3_xxs,
    GGMLType.IQ3_S: encode_iq3_s,
}
