"""How codecs treat arrays: rows, threads, memory layouts, and input that is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.errors import NonFiniteError, QuantizationError, UnsupportedError
from gguf_tools.quants.kernels.numbers import NUMBERS
from gguf_tools.quants.layouts import LAYOUTS
from gguf_tools.quants.table import DECODED_ONLY
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.floats import assert_same_floats
from tests.quants.common import (
    ENCODABLE,
    TYPES,
    WEIGHTED,
    assert_same_blocks,
    encode,
    encode_rows,
    even_weights,
    every_block_type,
    every_encodable_type,
    every_type,
    ggml_encode,
    sample,
)
from tests.quants.inputs import LENGTH, ROWS, make, make_weights
from tests.references import ggml

# Layout, rows, threads


@every_type
def test_layout_has_the_size_of_a_block(type_: GGMLType) -> None:
    codec = quants.codec(type_)
    assert codec.layout.itemsize == codec.block_bytes == BLOCK_SIZES[type_].bytes
    assert codec.type is type_


@every_encodable_type
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bytes_do_not_depend_on_threads(
    type_: GGMLType, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = make("heavy tails")
    data = encode(x, type_)
    values = quants.dequantize(data, type_, x.shape)
    monkeypatch.setattr(quants, "CHUNK_ELEMENTS", 5 * LENGTH)  # the last chunk is shorter than the others
    assert_same_blocks(encode(x, type_, threads=threads), data, type_)
    again = quants.dequantize(data, type_, x.shape, threads=threads)
    assert_same_floats(again, values)


@every_encodable_type
def test_rows_do_not_depend_on_one_another(type_: GGMLType) -> None:
    """Any number of rows, also fewer than what kernels take at a time."""
    x = make("scales far apart")
    data = encode(x, type_)
    for start, stop in [(0, 1), (1, 4), (4, 9), (9, ROWS)]:
        assert_same_blocks(encode_rows(x[start:stop], type_), data[start:stop], type_)
        rows = quants.decode_rows(data[start:stop], type_, LENGTH)
        assert_same_floats(rows, quants.dequantize(data, type_, x.shape)[start:stop])


@every_block_type
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 63, 64, 65])
def test_any_number_of_blocks(type_: GGMLType, blocks: int) -> None:
    x = sample(type_, rows=1, blocks=blocks)
    assert_same_blocks(encode(x, type_), ggml_encode(x, type_), type_)


@every_encodable_type
@pytest.mark.parametrize("shape", [(0, 256), (3, 0), (0, 0), (0,), (2, 0, 256)])
def test_empty_arrays(type_: GGMLType, shape: tuple[int, ...]) -> None:
    data = encode(np.zeros(shape, np.float32), type_)
    assert data.dtype == np.uint8
    assert data.size == 0
    assert quants.dequantize(data, type_, shape).shape == shape


@every_encodable_type
def test_rows_lie_along_the_last_dimension(type_: GGMLType) -> None:
    x = make("normal").reshape(2, 3, 2, LENGTH)
    data = encode(x, type_)
    assert data.shape == (ROWS, LENGTH // BLOCK_SIZES[type_].elements * BLOCK_SIZES[type_].bytes)
    assert_same_blocks(data, encode(x.reshape(ROWS, LENGTH), type_), type_)
    assert quants.dequantize(data, type_, x.shape).shape == x.shape
    assert encode(x[0, 0, 0], type_).shape == (1, data.shape[1])


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


@every_encodable_type
@pytest.mark.parametrize("kind", ARRAYS, ids=lambda kind: kind.__name__.strip("<>"))
def test_kinds_of_arrays(type_: GGMLType, kind: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    x = sample(type_)
    array = kind(x)
    before = array.tobytes()
    data = encode(x, type_)
    assert_same_blocks(encode(array, type_), data, type_)
    if array.dtype == np.float32:
        assert_same_blocks(encode_rows(array, type_), data, type_)
    assert array.tobytes() == before


@every_encodable_type
def test_decodes_read_only_and_strided_bytes(type_: GGMLType, tmp_path: Path) -> None:
    x = sample(type_)
    data = encode(x, type_)
    values = quants.dequantize(data, type_, x.shape)
    (tmp_path / "blocks").write_bytes(b"odd" + data.tobytes())
    mapped = np.memmap(tmp_path / "blocks", np.uint8, "r", offset=3).reshape(data.shape)
    wide = np.repeat(data, 2, axis=1)
    for array in (mapped, wide[:, ::2], np.asfortranarray(data)):
        again = quants.decode_rows(array, type_, x.shape[1])
        assert_same_floats(again, values)


@every_encodable_type
def test_writes_into_the_array_given(type_: GGMLType) -> None:
    x = sample(type_)
    data = encode(x, type_)
    out = np.full_like(data, 0xAA)
    assert encode_rows(x, type_, out) is out
    assert_same_blocks(out, data, type_)
    values = np.full_like(x, np.nan)
    assert quants.decode_rows(data, type_, x.shape[1], values) is values
    assert_same_floats(values, quants.dequantize(data, type_, x.shape))


# Errors


@every_block_type
@pytest.mark.parametrize("excess", [-1, 1])
def test_rows_that_are_not_whole_blocks(type_: GGMLType, excess: int) -> None:
    elements = BLOCK_SIZES[type_].elements
    x = np.zeros((2, elements + excess), np.float32)
    with pytest.raises(QuantizationError, match="whole blocks") as caught:
        encode(x, type_, name="blk.0.odd")
    assert caught.value.tensor == "blk.0.odd"
    assert f"a row of {elements + excess}" in str(caught.value)
    assert f"a multiple of {elements}" in str(caught.value)
    with pytest.raises(QuantizationError, match="whole blocks"):
        encode_rows(x, type_)
    with pytest.raises(QuantizationError, match="whole blocks"):
        quants.dequantize(np.zeros(100, np.uint8), type_, (2, elements + excess))
    with pytest.raises(QuantizationError, match="whole blocks"):
        quants.decode_rows(np.zeros((2, 100), np.uint8), type_, elements + excess)


@every_encodable_type
def test_arrays_of_another_size(type_: GGMLType) -> None:
    """Kernels check no bounds; all of these would read or write past an array's end."""
    x = sample(type_)
    rows, length = x.shape
    data = encode(x, type_)
    for wrong in (data[:-1], data[:, :-1], data.ravel()[:-1], np.zeros(data.size + 1, np.uint8)):
        with pytest.raises(QuantizationError, match="number of bytes"):
            quants.dequantize(wrong, type_, x.shape)
    for out in (data[:-1].copy(), data[:, :-1].copy(), data.view(np.int8), np.zeros((rows, 0), np.uint8)):
        with pytest.raises(QuantizationError, match="another shape or type"):
            encode_rows(x, type_, out)
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
        encode(x, type_, name="blk.0.bad")
    error = caught.value
    assert (error.tensor, error.index, error.type_name) == ("blk.0.bad", (1, 2, 3, 321), type_.name)
    np.testing.assert_equal(error.value, value)
    assert "'blk.0.bad'" in str(error)
    assert "(1, 2, 3, 321)" in str(error)
    with pytest.raises(NonFiniteError) as caught:
        encode_rows(x[1, 2], type_, name="blk.0.bad", first_row=25)
    assert caught.value.index == (28, 321)


@every_block_type
def test_the_first_value_that_is_not_finite_is_named_whatever_the_threads(
    type_: GGMLType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quants, "CHUNK_ELEMENTS", 512)
    x = np.zeros((40, 512), np.float32)
    x[7:, 3] = np.nan
    with pytest.raises(NonFiniteError) as caught:
        encode(x, type_, threads=4)
    assert caught.value.index == (7, 3)


@pytest.mark.parametrize(
    "call", [lambda t: quants.quantize([[0.0]], t), lambda t: quants.dequantize([], t, (0,))]
)
def test_types_that_do_not_exist(call: Callable[[str], object]) -> None:
    with pytest.raises(QuantizationError, match=r"did you mean Q4_K\?"):
        call("Q4_KK")


@pytest.mark.parametrize("type_", [*sorted(NUMBERS), *sorted(DECODED_ONLY)], ids=lambda type_: type_.name)
def test_types_that_cannot_be_encoded(type_: GGMLType) -> None:
    with pytest.raises(UnsupportedError, match=rf"{type_.name} cannot be encoded; F32, F16, .*Q2_0 can"):
        quants.quantize(np.zeros((1, 256)), type_)


@pytest.mark.parametrize("type_", sorted(NUMBERS), ids=lambda type_: type_.name)
def test_plain_numbers_are_cast(type_: GGMLType) -> None:
    stored = LAYOUTS[type_]["value"]
    data = np.random.default_rng(9).integers(0, 256, (3, 5 * stored.itemsize), np.uint8)
    values = data.view(stored)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(quants.dequantize(data, type_, (3, 5)), values.astype(np.float32))


def test_doubles_that_single_precision_cannot_hold_are_infinite() -> None:
    """And nobody is warned: that is what decoding them to float32 means."""
    data = np.array([[1e300, -1e300, np.nan, 0.1]], "<f8").view(np.uint8)
    found = quants.dequantize(data, "F64", (1, 4))
    np.testing.assert_array_equal(found, np.array([[np.inf, -np.inf, np.nan, 0.1]], np.float32))


def test_single_precision_is_not_copied() -> None:
    data = np.arange(6, dtype=np.float32).reshape(2, 3).view(np.uint8)
    assert np.shares_memory(quants.decode_rows(data, "F32", 3), data)


def test_what_can_be_encoded_and_decoded() -> None:
    assert [type_ for type_ in GGMLType if quants.can_encode(type_)] == sorted(ENCODABLE)
    for type_ in TYPES:
        codec = quants.codec(type_)
        assert (codec.encode or codec.weighted) if type_ in ENCODABLE else not codec.encode
    assert sorted([*TYPES, *NUMBERS]) == sorted(GGMLType)
    assert quants.can_encode("q4_k")


@every_encodable_type
def test_names_of_types_may_be_written_in_any_case(type_: GGMLType) -> None:
    x = sample(type_)
    data = quants.quantize(x, type_.name.lower(), weights=even_weights(type_, x.shape[1]))
    assert_same_blocks(data, encode(x, type_), type_)


# Importances


@pytest.mark.parametrize("type_", WEIGHTED, ids=lambda type_: type_.name)
def test_importances_go_with_columns_whatever_the_rows_and_threads(
    type_: GGMLType, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, columns = make("normal"), make_weights("uneven")
    data = ggml.encode(x, type_, columns)
    monkeypatch.setattr(quants, "CHUNK_ELEMENTS", 5 * LENGTH)
    assert_same_blocks(quants.quantize(x, type_, weights=columns, threads=3), data, type_)
    for start, stop in [(0, 1), (1, 4), (4, ROWS)]:
        rows = quants.encode_rows(x[start:stop], type_, weights=columns)
        assert_same_blocks(rows, data[start:stop], type_)
    columns.flags.writeable = False
    for given in (columns, np.repeat(columns, 2)[::2], columns.astype(np.float64)):
        assert_same_blocks(quants.quantize(x, type_, weights=given), data, type_)


@every_encodable_type
@pytest.mark.parametrize("wrong", [np.ones(LENGTH - 1), np.ones((1, LENGTH)), np.ones(0)])
def test_importances_of_another_number(type_: GGMLType, wrong: NDArray[np.float64]) -> None:
    with pytest.raises(QuantizationError, match="another shape or type"):
        quants.quantize(make("normal"), type_, weights=wrong)


@every_encodable_type
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_importances_that_are_not_finite(type_: GGMLType, value: float) -> None:
    columns = np.ones(LENGTH)
    columns[77] = value
    with pytest.raises(QuantizationError, match="column 77"):
        quants.quantize(make("normal"), type_, weights=columns, name="blk.0.w")


def test_types_that_need_importances_say_so() -> None:
    needing = [type_ for type_ in TYPES if quants.codec(type_).needs_weights]
    for type_ in needing:
        with pytest.raises(QuantizationError, match=f"{type_.name} needs an importance matrix"):
            quants.quantize(make("normal"), type_)
