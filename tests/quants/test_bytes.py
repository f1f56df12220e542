"""What every codec promises, checked against ggml's own C code bit for bit."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gguf_tools import quants
from gguf_tools.quants.kernels.half import scale_to_half, single_to_half
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.floats import assert_same_floats
from tests.quants.common import (
    ENCODABLE,
    PLAIN_TYPES,
    TYPES,
    WEIGHTED,
    assert_same_as_ggml,
    assert_same_blocks,
    encode,
    even_weights,
    every_encodable_type,
    some_blocks,
)
from tests.quants.inputs import INPUTS, LENGTH, ROWS, WEIGHTS, make, make_weights
from tests.references import ggml

HALF_ROUNDING: Final = 2.0**-11

BOUNDS: Final = {
    # type → the largest error: a part of the block's range plus a part of its largest magnitude
    GGMLType.F32: (0.0, 0.0),
    GGMLType.F16: (0.0, HALF_ROUNDING),
    GGMLType.BF16: (0.0, 2.0**-8),
    GGMLType.Q8_0: (0.0, 0.5 / 127 + HALF_ROUNDING),
    GGMLType.Q4_0: (0.0, 1 / 8 + HALF_ROUNDING),  # −8 to 7: what would be 8 is off by a whole level
    GGMLType.Q5_0: (0.0, 1 / 16 + HALF_ROUNDING),
    GGMLType.Q4_1: (0.5 / 15 + HALF_ROUNDING, HALF_ROUNDING),
    GGMLType.Q5_1: (0.5 / 31 + HALF_ROUNDING, HALF_ROUNDING),
}

SMALLEST_HALF: Final = 2.0**-24

TYPICAL: Final = {
    # type → relative root mean square error of normal values
    GGMLType.F32: 0.0,
    GGMLType.F16: 0.0002069,
    GGMLType.BF16: 0.001681,
    GGMLType.Q8_0: 0.005385,
    GGMLType.Q6_K: 0.0176,
    GGMLType.Q5_K: 0.03633,
    GGMLType.Q5_1: 0.03792,
    GGMLType.Q5_0: 0.04283,
    GGMLType.Q4_K: 0.07186,
    GGMLType.IQ4_NL: 0.07656,
    GGMLType.IQ4_XS: 0.07712,
    GGMLType.Q4_1: 0.07886,
    GGMLType.Q4_0: 0.08649,
    GGMLType.NVFP4: 0.09549,
    GGMLType.MXFP4: 0.1132,
    GGMLType.Q3_K: 0.1505,
    GGMLType.IQ3_S: 0.1639,
    GGMLType.IQ3_XXS: 0.2124,
    GGMLType.IQ2_S: 0.2652,
    GGMLType.Q2_K: 0.2974,
    GGMLType.IQ2_XS: 0.299,
    GGMLType.IQ2_XXS: 0.3401,
    GGMLType.IQ1_S: 0.4864,
    GGMLType.IQ1_M: 0.5801,  # 0.4502 with even weights; without any, ggml weighs by x²
    GGMLType.Q1_0: 0.6017,
    GGMLType.Q2_0: 0.7206,
    GGMLType.TQ1_0: 0.8043,
    GGMLType.TQ2_0: 0.8043,
}


# Bytes


@every_encodable_type
@pytest.mark.parametrize("name", INPUTS)
def test_encodes_to_the_bytes_of_ggml(type_: GGMLType, name: str) -> None:
    x = make(name)
    assert_same_as_ggml(encode(x, type_), x, type_, even_weights(type_, LENGTH))


@pytest.mark.parametrize("type_", WEIGHTED, ids=lambda type_: type_.name)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", INPUTS)
def test_encodes_with_importances_to_the_bytes_of_ggml(type_: GGMLType, weights: str, name: str) -> None:
    x, columns = make(name), make_weights(weights)
    assert_same_as_ggml(quants.quantize(x, type_, weights=columns), x, type_, columns)


@every_encodable_type
def test_encodes_rows_of_one_block(type_: GGMLType) -> None:
    """What a search takes from its whole row, such as the spread of the values, is then one block's."""
    length = BLOCK_SIZES[type_].elements
    x = np.concatenate([make(name)[:2].reshape(-1, length)[:48] for name in INPUTS])
    assert_same_as_ggml(encode(x, type_), x, type_, even_weights(type_, length))


@pytest.mark.parametrize("type_", WEIGHTED, ids=lambda type_: type_.name)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_encodes_rows_of_one_block_with_importances(type_: GGMLType, weights: str) -> None:
    length = BLOCK_SIZES[type_].elements
    x = np.concatenate([make(name)[:2].reshape(-1, length)[:48] for name in INPUTS])
    columns = make_weights(weights)[:length]
    assert_same_as_ggml(quants.quantize(x, type_, weights=columns), x, type_, columns)


@pytest.mark.parametrize("type_", ENCODABLE, ids=lambda type_: type_.name)
def test_types_without_a_weighted_encoder_are_those_of_ggml(type_: GGMLType) -> None:
    """ggml's bytes with importances are those without, exactly where a codec has no encoder for them."""
    codec = quants.codec(type_)
    x, columns = make("normal"), make_weights("uneven")
    if codec.needs_weights:
        assert codec.encode is None
        assert codec.weighted is not None
        return
    same = (ggml.encode(x, type_, columns) == ggml.encode(x, type_)).all()
    assert same == (codec.weighted is None)


@every_encodable_type
@pytest.mark.parametrize("name", INPUTS)
def test_decodes_to_the_bits_of_ggml(type_: GGMLType, name: str) -> None:
    data, _ = ggml.encode_possible(make(name), type_, even_weights(type_, LENGTH))
    ours = quants.dequantize(data, type_, (ROWS, LENGTH))
    assert_same_floats(ours, ggml.decode(data, type_, (ROWS, LENGTH)))


@pytest.mark.parametrize("type_", sorted(set(TYPES) - {GGMLType.Q8_1}), ids=lambda type_: type_.name)
def test_decodes_any_bytes_like_ggml(type_: GGMLType) -> None:
    """Also where scales are NaN or infinite: these files exist, and nothing may be read past a block.

    ggml has no function that decodes Q8_1, an intermediate format; ``test_naive`` has.
    """
    data = some_blocks(type_, 2000)
    shape = (2000, BLOCK_SIZES[type_].elements)
    assert_same_floats(quants.dequantize(data, type_, shape), ggml.decode(data, type_, shape))


@pytest.mark.parametrize("type_", [GGMLType.F16, GGMLType.BF16], ids=lambda type_: type_.name)
def test_decodes_every_value_of_16_bits(type_: GGMLType) -> None:
    data = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    ours = quants.dequantize(data, type_, (1 << 16,))
    assert_same_floats(ours, ggml.decode(data, type_, ours.shape))


@pytest.mark.parametrize("type_", PLAIN_TYPES, ids=lambda type_: type_.name)
def test_plain_types_encode_any_bits_like_ggml(type_: GGMLType) -> None:
    """NaN and infinities included, around every value of 16 bits and its roundings."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = (upper[:, None] | lower).view(np.float32)
    assert_same_blocks(quants.quantize(x, type_), ggml.encode(x, type_), type_)


def test_a_scale_that_is_a_nan_is_the_one_of_x86() -> None:
    """As processors differ in which sign they give a NaN, it comes from none of them."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    for word in upper.tolist():
        value = np.uint32(word).view(np.float32)
        assert scale_to_half(value) == (0xFE00 if np.isnan(value) else single_to_half(value))


def test_exponents_of_mxfp4_are_rounded_like_ggmls() -> None:
    """Around every power of two, and all small subnormal numbers, where a float32 logarithm is rounded."""
    powers = np.arange(1 << 23, 255 << 23, 1 << 23)
    subnormal = 1 << np.arange(1, 23)
    near = (np.concatenate([subnormal, powers])[:, None] + np.arange(-60, 4)).reshape(-1)
    words = np.concatenate([near[near > 0], np.arange(1, 4000)]).astype(np.uint32)
    x = np.zeros((words.size, 32), np.float32)
    x[:, 5] = words.view(np.float32)
    assert_same_blocks(encode(x, GGMLType.MXFP4), ggml.encode(x, GGMLType.MXFP4), GGMLType.MXFP4)


ANY_FINITE: Final = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROUND_NUMBERS: Final = st.one_of(st.integers(-130, 130).map(lambda n: n / 2), st.sampled_from([0.0, -0.0]))


@every_encodable_type
@settings(max_examples=60)
@given(data=st.data())
def test_encodes_whatever_comes_like_ggml(type_: GGMLType, data: st.DataObject) -> None:
    length = BLOCK_SIZES[type_].elements
    elements = data.draw(st.sampled_from([ANY_FINITE, ROUND_NUMBERS]))
    x = data.draw(arrays.arrays(np.float32, (1, length), elements=elements, fill=elements))
    assert_same_as_ggml(encode(x, type_), x, type_, even_weights(type_, length))


@pytest.mark.parametrize("type_", WEIGHTED, ids=lambda type_: type_.name)
@settings(max_examples=40)
@given(data=st.data())
def test_encodes_with_any_importances_like_ggml(type_: GGMLType, data: st.DataObject) -> None:
    length = BLOCK_SIZES[type_].elements
    elements = data.draw(st.sampled_from([ANY_FINITE, ROUND_NUMBERS]))
    x = data.draw(arrays.arrays(np.float32, (2, length), elements=elements, fill=elements))
    some = st.floats(0, 2.0**60, width=32, allow_subnormal=False)
    columns = data.draw(arrays.arrays(np.float32, (length,), elements=some, fill=some))
    assert_same_as_ggml(quants.quantize(x, type_, weights=columns), x, type_, columns)


# Values


@pytest.mark.parametrize("type_", BOUNDS, ids=lambda type_: type_.name)
@pytest.mark.parametrize("name", ["normal", "weights", "uniform", "heavy tails", "negative", "far from zero"])
def test_error_of_every_value_has_a_bound(type_: GGMLType, name: str) -> None:
    """What the format itself can promise. The K types search for a small mean error, and promise none."""
    x = make(name)
    error = np.abs(
        quants.dequantize(encode(x.astype(np.float32), type_), type_, x.shape).astype(np.float64) - x
    )
    elements = BLOCK_SIZES[type_].elements
    blocks = x.astype(np.float64).reshape(-1, elements)
    of_range, of_magnitude = BOUNDS[type_]
    bound = of_range * np.ptp(blocks, axis=1) + of_magnitude * np.abs(blocks).max(1)
    rounding = 0 if type_ is GGMLType.F32 else SMALLEST_HALF + np.abs(blocks).max(1) * 2.0**-22
    assert (error.reshape(-1, elements).max(1) <= bound + rounding).all()


@every_encodable_type
def test_typical_error(type_: GGMLType) -> None:
    x = make("normal").astype(np.float64)
    again = quants.dequantize(encode(x.astype(np.float32), type_), type_, x.shape)
    error = np.sqrt(((again - x) ** 2).sum() / (x**2).sum())
    assert error == pytest.approx(TYPICAL[type_], rel=0.03)
