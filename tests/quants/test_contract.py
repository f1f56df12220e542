"""What every codec promises, checked against ggml's own C code bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.errors import NonFiniteError, QuantizationError, UnsupportedError
from gguf_tools.quants.table import MODULES
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests import ggml
from tests.quants.inputs import INPUTS, LENGTH, ROWS, make

TYPES: Final = tuple(MODULES)
BLOCK_TYPES: Final = tuple(type_ for type_ in TYPES if BLOCK_SIZES[type_].elements > 1)
PLAIN_TYPES: Final = tuple(type_ for type_ in TYPES if type_ not in BLOCK_TYPES)

every_type = pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
every_block_type = pytest.mark.parametrize("type_", BLOCK_TYPES, ids=lambda type_: type_.name)

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
    GGMLType.F16: 0.00021,
    GGMLType.BF16: 0.00166,
    GGMLType.Q8_0: 0.00533,
    GGMLType.Q6_K: 0.01758,
    GGMLType.Q5_K: 0.03626,
    GGMLType.Q5_1: 0.03762,
    GGMLType.Q5_0: 0.04266,
    GGMLType.Q4_K: 0.07128,
    GGMLType.Q4_1: 0.07821,
    GGMLType.Q4_0: 0.08565,
}


def bits(x: NDArray[np.float32]) -> NDArray[np.uint32]:
    return x.view(np.uint32)


def blocks_of(data: NDArray[np.uint8], type_: GGMLType) -> NDArray[np.uint8]:
    return data.reshape(-1, BLOCK_SIZES[type_].bytes)


def assert_same_blocks(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], type_: GGMLType) -> None:
    """Equal, or a message with the first block that differs."""
    assert ours.shape == theirs.shape
    different = np.flatnonzero((blocks_of(ours, type_) != blocks_of(theirs, type_)).any(1))
    if different.size:
        at = int(different[0])
        pytest.fail(
            f"{different.size} blocks differ, the first is {at}:\n"
            f"ours {blocks_of(ours, type_)[at].tobytes().hex(' ')}\n"
            f"ggml {blocks_of(theirs, type_)[at].tobytes().hex(' ')}"
        )


def sample(type_: GGMLType, rows: int = 7, blocks: int = 3) -> NDArray[np.float32]:
    length = BLOCK_SIZES[type_].elements * blocks
    return np.random.default_rng(int(type_)).standard_normal((rows, length)).astype(np.float32)


# Bytes


@every_type
@pytest.mark.parametrize("name", INPUTS)
def test_encodes_to_the_bytes_of_ggml(type_: GGMLType, name: str) -> None:
    x = make(name)
    assert_same_blocks(quants.quantize(x, type_), ggml.encode(x, type_), type_)


@every_type
@pytest.mark.parametrize("name", INPUTS)
def test_decodes_to_the_bits_of_ggml(type_: GGMLType, name: str) -> None:
    data = ggml.encode(make(name), type_)
    ours = quants.dequantize(data, type_, (ROWS, LENGTH))
    np.testing.assert_array_equal(bits(ours), bits(ggml.decode(data, type_, (ROWS, LENGTH))))


@every_type
def test_decodes_any_bytes_like_ggml(type_: GGMLType) -> None:
    """Also where scales are NaN or infinite: these files exist, and nothing may be read past a block."""
    block = BLOCK_SIZES[type_]
    data = np.random.default_rng(3).integers(0, 256, (2000, block.bytes), np.uint8)
    shape = (2000, block.elements)
    np.testing.assert_array_equal(
        bits(quants.dequantize(data, type_, shape)), bits(ggml.decode(data, type_, shape))
    )


@pytest.mark.parametrize("type_", [GGMLType.F16, GGMLType.BF16], ids=lambda type_: type_.name)
def test_decodes_every_value_of_16_bits(type_: GGMLType) -> None:
    data = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    ours = quants.dequantize(data, type_, (1 << 16,))
    np.testing.assert_array_equal(bits(ours), bits(ggml.decode(data, type_, ours.shape)))


@pytest.mark.parametrize("type_", PLAIN_TYPES, ids=lambda type_: type_.name)
def test_plain_types_encode_any_bits_like_ggml(type_: GGMLType) -> None:
    """NaN and infinities included, around every value of 16 bits and its roundings."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = (upper[:, None] | lower).view(np.float32)
    assert_same_blocks(quants.quantize(x, type_), ggml.encode(x, type_), type_)


ANY_FINITE: Final = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROUND_NUMBERS: Final = st.one_of(st.integers(-130, 130).map(lambda n: n / 2), st.sampled_from([0.0, -0.0]))


@every_type
@settings(max_examples=60)
@given(data=st.data())
def test_encodes_whatever_comes_like_ggml(type_: GGMLType, data: st.DataObject) -> None:
    length = BLOCK_SIZES[type_].elements
    elements = data.draw(st.sampled_from([ANY_FINITE, ROUND_NUMBERS]))
    x = data.draw(arrays.arrays(np.float32, (1, length), elements=elements, fill=elements))
    ours = quants.quantize(x, type_)
    assert_same_blocks(ours, ggml.encode(x, type_), type_)


# Values


@pytest.mark.parametrize("type_", BOUNDS, ids=lambda type_: type_.name)
@pytest.mark.parametrize("name", ["normal", "weights", "uniform", "heavy tails", "negative", "far from zero"])
def test_error_of_every_value_has_a_bound(type_: GGMLType, name: str) -> None:
    """What the format itself can promise. The K types search for a small mean error, and promise none."""
    x = make(name)
    error = np.abs(quants.dequantize(quants.quantize(x, type_), type_, x.shape).astype(np.float64) - x)
    elements = BLOCK_SIZES[type_].elements
    blocks = x.astype(np.float64).reshape(-1, elements)
    of_range, of_magnitude = BOUNDS[type_]
    bound = of_range * np.ptp(blocks, axis=1) + of_magnitude * np.abs(blocks).max(1)
    rounding = 0 if type_ is GGMLType.F32 else SMALLEST_HALF + np.abs(blocks).max(1) * 2.0**-22
    assert (error.reshape(-1, elements).max(1) <= bound + rounding).all()


@pytest.mark.parametrize("type_", TYPICAL, ids=lambda type_: type_.name)
def test_typical_error(type_: GGMLType) -> None:
    x = make("normal").astype(np.float64)
    again = quants.dequantize(quants.quantize(x, type_), type_, x.shape)
    error = np.sqrt(((again - x) ** 2).sum() / (x**2).sum())
    assert error == pytest.approx(TYPICAL[type_], rel=0.03)


# Layout, rows, threads


@every_type
def test_layout_has_the_size_of_a_block(type_: GGMLType) -> None:
    codec = quants.codec(type_)
    assert codec.layout.itemsize == codec.block_bytes == BLOCK_SIZES[type_].bytes
    assert codec.type is type_


@every_type
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bytes_do_not_depend_on_threads(
    type_: GGMLType, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = make("heavy tails")
    data = quants.quantize(x, type_)
    values = quants.dequantize(data, type_, x.shape)
    monkeypatch.setattr(quants, "CHUNK_ELEMENTS", 5 * LENGTH)  # the last chunk is shorter than the others
    assert_same_blocks(quants.quantize(x, type_, threads=threads), data, type_)
    again = quants.dequantize(data, type_, x.shape, threads=threads)
    np.testing.assert_array_equal(bits(again), bits(values))


@every_type
def test_rows_do_not_depend_on_one_another(type_: GGMLType) -> None:
    """Any number of rows, also fewer than what kernels take at a time."""
    x = make("scales far apart")
    data = quants.quantize(x, type_)
    for start, stop in [(0, 1), (1, 4), (4, 9), (9, ROWS)]:
        assert_same_blocks(quants.encode_rows(x[start:stop], type_), data[start:stop], type_)
        rows = quants.decode_rows(data[start:stop], type_, LENGTH)
        np.testing.assert_array_equal(bits(rows), bits(quants.dequantize(data, type_, x.shape)[start:stop]))


@every_block_type
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 63, 64, 65])
def test_any_number_of_blocks(type_: GGMLType, blocks: int) -> None:
    x = sample(type_, rows=1, blocks=blocks)
    assert_same_blocks(quants.quantize(x, type_), ggml.encode(x, type_), type_)


@every_type
@pytest.mark.parametrize("shape", [(0, 256), (3, 0), (0, 0), (0,), (2, 0, 256)])
def test_empty_arrays(type_: GGMLType, shape: tuple[int, ...]) -> None:
    data = quants.quantize(np.zeros(shape, np.float32), type_)
    assert data.dtype == np.uint8
    assert data.size == 0
    assert quants.dequantize(data, type_, shape).shape == shape


@every_type
def test_rows_lie_along_the_last_dimension(type_: GGMLType) -> None:
    x = make("normal").reshape(2, 3, 2, LENGTH)
    data = quants.quantize(x, type_)
    assert data.shape == (ROWS, LENGTH // BLOCK_SIZES[type_].elements * BLOCK_SIZES[type_].bytes)
    assert_same_blocks(data, quants.quantize(x.reshape(ROWS, LENGTH), type_), type_)
    assert quants.dequantize(data, type_, x.shape).shape == x.shape
    assert quants.quantize(x[0, 0, 0], type_).shape == (1, data.shape[1])


def test_a_scalar_is_one_row_of_one() -> None:
    data = quants.quantize(1.5, "F16")
    assert data.tolist() == [[0x00, 0x3E]]
    assert quants.dequantize(data, "F16", ()) == np.float32(1.5)


# Kinds of arrays


def read_only(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.frombuffer(x.tobytes(), np.float32).reshape(x.shape)


def misaligned(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """As in a mapped safetensors file, whose header may have any length."""
    return np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(x.shape)


def strided(x: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.zeros((x.shape[0], 2 * x.shape[1]), np.float32)
    wide[:, ::2] = x
    return wide[:, ::2]


ARRAYS: Final[tuple[Callable[[NDArray[np.float32]], NDArray[np.generic]], ...]] = (
    read_only,
    misaligned,
    strided,
    np.asfortranarray,
    lambda x: x[::-1].copy()[::-1],
    lambda x: x.astype(">f4"),
    lambda x: x.astype(np.float64),
)


@every_type
@pytest.mark.parametrize("kind", ARRAYS, ids=lambda kind: kind.__name__.strip("<>"))
def test_kinds_of_arrays(type_: GGMLType, kind: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    x = sample(type_)
    array = kind(x)
    before = array.tobytes()
    data = quants.quantize(x, type_)
    assert_same_blocks(quants.quantize(array, type_), data, type_)
    if array.dtype == np.float32:
        assert_same_blocks(quants.encode_rows(array, type_), data, type_)
    assert array.tobytes() == before


@every_type
def test_decodes_read_only_and_strided_bytes(type_: GGMLType, tmp_path: Path) -> None:
    x = sample(type_)
    data = quants.quantize(x, type_)
    values = quants.dequantize(data, type_, x.shape)
    (tmp_path / "blocks").write_bytes(b"odd" + data.tobytes())
    mapped = np.memmap(tmp_path / "blocks", np.uint8, "r", offset=3).reshape(data.shape)
    wide = np.repeat(data, 2, axis=1)
    for array in (mapped, wide[:, ::2], np.asfortranarray(data)):
        again = quants.decode_rows(array, type_, x.shape[1])
        np.testing.assert_array_equal(bits(again), bits(values))


@every_type
def test_writes_into_the_array_given(type_: GGMLType) -> None:
    x = sample(type_)
    data = quants.quantize(x, type_)
    out = np.full_like(data, 0xAA)
    assert quants.encode_rows(x, type_, out) is out
    assert_same_blocks(out, data, type_)
    values = np.full_like(x, np.nan)
    assert quants.decode_rows(data, type_, x.shape[1], values) is values
    np.testing.assert_array_equal(bits(values), bits(quants.dequantize(data, type_, x.shape)))


# Errors


@every_block_type
@pytest.mark.parametrize("excess", [-1, 1])
def test_rows_that_are_not_whole_blocks(type_: GGMLType, excess: int) -> None:
    elements = BLOCK_SIZES[type_].elements
    x = np.zeros((2, elements + excess), np.float32)
    with pytest.raises(QuantizationError, match="whole blocks") as caught:
        quants.quantize(x, type_, name="blk.0.odd")
    assert caught.value.tensor == "blk.0.odd"
    assert f"a row of {elements + excess}" in str(caught.value)
    assert f"a multiple of {elements}" in str(caught.value)
    with pytest.raises(QuantizationError, match="whole blocks"):
        quants.encode_rows(x, type_)
    with pytest.raises(QuantizationError, match="whole blocks"):
        quants.dequantize(np.zeros(100, np.uint8), type_, (2, elements + excess))
    with pytest.raises(QuantizationError, match="whole blocks"):
        quants.decode_rows(np.zeros((2, 100), np.uint8), type_, elements + excess)


@every_type
def test_arrays_of_another_size(type_: GGMLType) -> None:
    """Kernels check no bounds; all of these would read or write past an array's end."""
    x = sample(type_)
    rows, length = x.shape
    data = quants.quantize(x, type_)
    for wrong in (data[:-1], data[:, :-1], data.ravel()[:-1], np.zeros(data.size + 1, np.uint8)):
        with pytest.raises(QuantizationError, match="number of bytes"):
            quants.dequantize(wrong, type_, x.shape)
    for out in (data[:-1].copy(), data[:, :-1].copy(), data.view(np.int8), np.zeros((rows, 0), np.uint8)):
        with pytest.raises(QuantizationError, match="another shape or type"):
            quants.encode_rows(x, type_, out)
    for values in (x[:-1].copy(), x[:, :-1].copy(), x.view(np.int32), strided(x)):
        with pytest.raises(QuantizationError, match="another shape or type"):
            quants.decode_rows(data, type_, length, values)
    for array in (data[:, :-1], np.zeros((rows, 2 * data.shape[1]), np.uint8), data.view(np.int8)):
        with pytest.raises(QuantizationError, match="another shape or type"):
            quants.decode_rows(array, type_, length)


@every_block_type
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_values_that_are_not_finite_are_located(type_: GGMLType, value: float) -> None:
    x = np.zeros((2, 3, 5, 512), np.float32)
    x[1, 2, 3, 321] = value
    x[1, 2, 4, 5] = np.nan  # the first counts
    with pytest.raises(NonFiniteError) as caught:
        quants.quantize(x, type_, name="blk.0.bad")
    error = caught.value
    assert (error.tensor, error.index, error.type_name) == ("blk.0.bad", (1, 2, 3, 321), type_.name)
    np.testing.assert_equal(error.value, value)
    assert "'blk.0.bad'" in str(error)
    assert "(1, 2, 3, 321)" in str(error)
    with pytest.raises(NonFiniteError) as caught:
        quants.encode_rows(x[1, 2], type_, name="blk.0.bad", first_row=25)
    assert caught.value.index == (28, 321)


@every_block_type
def test_the_first_value_that_is_not_finite_is_named_whatever_the_threads(
    type_: GGMLType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quants, "CHUNK_ELEMENTS", 512)
    x = np.zeros((40, 512), np.float32)
    x[7:, 3] = np.nan
    with pytest.raises(NonFiniteError) as caught:
        quants.quantize(x, type_, threads=4)
    assert caught.value.index == (7, 3)


@pytest.mark.parametrize(
    "call", [lambda t: quants.quantize([[0.0]], t), lambda t: quants.dequantize([], t, (0,))]
)
def test_types_that_do_not_exist(call: Callable[[str], object]) -> None:
    with pytest.raises(QuantizationError, match=r"did you mean Q4_K\?"):
        call("Q4_KK")
    with pytest.raises(UnsupportedError, match=r"IQ2_XXS .* supported are F32, "):
        call("IQ2_XXS")


def test_what_can_be_encoded_and_decoded() -> None:
    assert [type_ for type_ in GGMLType if quants.can_encode(type_)] == sorted(TYPES)
    assert [type_ for type_ in GGMLType if quants.can_decode(type_)] == sorted(TYPES)
    assert quants.can_encode("q4_k")
    assert not quants.can_decode("I32")


@every_type
def test_names_of_types_may_be_written_in_any_case(type_: GGMLType) -> None:
    x = sample(type_)
    assert_same_blocks(quants.quantize(x, type_.name.lower()), quants.quantize(x, type_), type_)
