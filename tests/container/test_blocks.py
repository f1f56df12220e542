from __future__ import annotations

import ctypes
from pathlib import Path

import libggml
import numpy as np
import pytest

from gguf_tools import quants
from gguf_tools.container.block_fields import nonfinite_blocks, swap_blocks
from gguf_tools.quants.layouts import LAYOUTS, Field, Role, fields
from gguf_tools.spec import BLOCK_SIZES, GGMLType

INF, NAN, LARGEST = 0x7C00, 0x7E01, 0x7BFF
ALL = pytest.mark.parametrize("kind", GGMLType, ids=lambda kind: kind.name)


def blank(kind: GGMLType, blocks: int = 5) -> np.ndarray:
    """Blocks of zeros, one a row."""
    return np.zeros((blocks, BLOCK_SIZES[kind].bytes), np.uint8)


@ALL
def test_fields_follow_one_another_and_fill_the_block(kind: GGMLType) -> None:
    end = 0
    for field in fields(kind):
        assert field.offset == end
        end += field.width * field.words
    assert end == LAYOUTS[kind].itemsize == BLOCK_SIZES[kind].bytes


@ALL
def test_a_block_of_the_other_byte_order_is_the_same_block(kind: GGMLType) -> None:
    """The same numbers, field by field, written by numpy in either order."""
    layout = LAYOUTS[kind]
    little, big = np.empty(7, layout), np.empty(7, layout.newbyteorder(">"))
    random = np.random.default_rng(int(kind))
    for name in layout.names:
        words = random.integers(0, 256, (7, layout[name].itemsize)).astype(np.uint8).view(layout[name].base)
        little[name] = big[name] = words.reshape(little[name].shape)
    given = big.view(np.uint8).reshape(7, -1)
    assert np.array_equal(swap_blocks(given, kind), little.view(np.uint8).reshape(given.shape))


@ALL
def test_swapping_twice_changes_nothing(kind: GGMLType) -> None:
    data = np.random.default_rng(3).integers(0, 256, (4, 3 * BLOCK_SIZES[kind].bytes)).astype(np.uint8)
    before = data.copy()
    swapped = swap_blocks(data, kind)
    assert swapped.shape == data.shape
    assert np.array_equal(data, before)
    assert np.array_equal(swap_blocks(swapped, kind), data)
    wide = any(field.width > 1 for field in fields(kind))
    assert np.array_equal(swapped, data) is not wide


@ALL
def test_no_blocks_at_all(kind: GGMLType) -> None:
    assert swap_blocks(blank(kind, 0), kind).shape == (0, BLOCK_SIZES[kind].bytes)
    assert nonfinite_blocks(blank(kind, 0), kind).shape == (0,)


@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        (GGMLType.Q8_0, {0: 1}),
        (GGMLType.Q4_K, {0: 1, 2: 3}),
        (GGMLType.Q6_K, {208: 209}),
        (GGMLType.Q5_0, {0: 1, 2: 5, 3: 4}),
        (GGMLType.TQ2_0, {64: 65}),
        (GGMLType.IQ4_XS, {0: 1, 2: 3}),
        (GGMLType.MXFP4, {}),
    ],
)
def test_which_bytes_change_places(kind: GGMLType, moves: dict[int, int]) -> None:
    data = np.arange(BLOCK_SIZES[kind].bytes).astype(np.uint8).reshape(1, -1)
    expected = list(range(data.size))
    for one, other in moves.items():
        expected[one], expected[other] = other, one
    assert swap_blocks(data, kind)[0].tolist() == [value % 256 for value in expected]


NAN_WORDS = {
    Role.F16: np.uint16(NAN),
    Role.BF16: np.uint16(0x7FC0),
    Role.F32: np.uint32(0x7FC0_0000),
    Role.F64: np.uint64(0x7FF8_0000_0000_0000),
    Role.E8M0: np.uint8(0xFF),
    Role.SPREAD_F16: np.array([0x1000, 0x0000, 0xE000, 0x7000], "<u2"),
}

NOT_DECODED = {
    (GGMLType.Q8_1, "s"),  # a sum, which dot products need
    (GGMLType.MXFP4, "e"),  # ggml takes 0xFF for 2^128
}

SCALES = [(kind, field) for kind in GGMLType for field in fields(kind) if field.role is not Role.BITS]


@pytest.mark.parametrize(
    ("kind", "field"), SCALES, ids=[f"{kind.name}.{field.name}" for kind, field in SCALES]
)
def test_a_scale_that_is_nan_is_found_and_decodes_to_nan(kind: GGMLType, field: Field) -> None:
    """Planted by the field's name, it is one to the check and to the kernel alike."""
    data = blank(kind)
    words = data.reshape(-1).view(LAYOUTS[kind])[field.name].view(f"<u{field.width}")
    words[2] = NAN_WORDS[field.role]
    assert nonfinite_blocks(data, kind).tolist() == [False, False, True, False, False]
    values = quants.dequantize(data, kind, (5, BLOCK_SIZES[kind].elements))
    nan_rows = np.isnan(values).all(1).tolist()
    if (kind, field.name) not in NOT_DECODED:
        assert nan_rows == [False, False, True, False, False]


@ALL
def test_types_have_a_scale_or_are_known_to_have_none(kind: GGMLType) -> None:
    without = {GGMLType.NVFP4, GGMLType.I8, GGMLType.I16, GGMLType.I32, GGMLType.I64}
    assert all(field.role is Role.BITS for field in fields(kind)) == (kind in without)


FLOAT_FIELDS = [
    (kind, field, word)
    for kind in GGMLType
    for field in fields(kind)
    for word in range(field.words)
    if field.role is Role.F16
]


@pytest.mark.parametrize("bits", [INF, INF | 0x8000, NAN], ids=["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    ("kind", "field", "word"),
    FLOAT_FIELDS,
    ids=[f"{kind.name}.{field.name}" for kind, field, _ in FLOAT_FIELDS],
)
def test_every_half_precision_field_is_looked_at(kind, field, word: int, bits: int) -> None:
    data = blank(kind)
    place = field.offset + 2 * word
    data[3, place : place + 2] = np.array([bits], "<u2").view(np.uint8)
    data[1, place : place + 2] = np.array([LARGEST], "<u2").view(np.uint8)
    assert nonfinite_blocks(data, kind).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        (GGMLType.F32, 0, np.float32(np.inf)),
        (GGMLType.F32, 0, np.float32(np.nan)),
        (GGMLType.F64, 0, np.float64(-np.inf)),
        (GGMLType.BF16, 0, np.uint16(0x7FC0)),
        (GGMLType.Q8_K, 0, np.float32(np.nan)),
        (GGMLType.MXFP4, 0, np.uint8(255)),
    ],
)
def test_other_floats(kind: GGMLType, place: int, value: np.generic) -> None:
    data = blank(kind)
    raw = np.frombuffer(value.tobytes(), np.uint8)
    data[2, place : place + len(raw)] = raw
    assert nonfinite_blocks(data, kind).tolist() == [False, False, True, False, False]


def test_the_scale_that_is_spread_over_four_words() -> None:
    data = blank(GGMLType.IQ1_M, 3)
    data[0, 48:] = 0xFF
    data[0, 55] = 0x0F  # top nibble 0: exponent not all ones
    data[1, 55] = 0x70
    data[1, 53] = 0xC0
    assert nonfinite_blocks(data, GGMLType.IQ1_M).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", [GGMLType.NVFP4, GGMLType.I8, GGMLType.I64], ids=lambda kind: kind.name)
def test_types_that_cannot_be_faulty(kind: GGMLType) -> None:
    assert not nonfinite_blocks(blank(kind) + 255, kind).any()


class TestAgainstGgml:
    """`ggml_validate_row_data` of the C library is the judge of which blocks are faulty."""

    @pytest.fixture
    def judge(self):
        (path,) = Path(libggml.__file__).parent.rglob("libggml-base.so")
        function = ctypes.CDLL(str(path)).ggml_validate_row_data
        function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        function.restype = ctypes.c_bool
        return lambda kind, data: bool(function(int(kind), data.ctypes.data, data.nbytes))

    @pytest.mark.parametrize(
        "kind",
        # The library knows no newer types, does not check Q8_1, and narrows F64 to single precision first.
        [kind for kind in GGMLType if kind <= GGMLType.MXFP4 and kind not in {GGMLType.Q8_1, GGMLType.F64}],
        ids=lambda kind: kind.name,
    )
    def test_random_blocks(self, judge, kind: GGMLType, capfd: pytest.CaptureFixture[str]) -> None:
        random = np.random.default_rng(int(kind))
        size = BLOCK_SIZES[kind].bytes
        data = random.integers(0, 256, (600, size)).astype(np.uint8)
        # Uniform bytes make every 32nd half a NaN; single-precision ones and E8M0 need help.
        data[::7, max(0, size - 16 if size < 8 else 0) : 4] |= 0x7F
        data[::9] = 0xFF
        ours = nonfinite_blocks(data, kind)
        theirs = [not judge(kind, block) for block in data]
        capfd.readouterr()
        assert ours.tolist() == theirs
        integers = not any(field.role is not Role.BITS for field in fields(kind))
        assert ours.any() is np.False_ if integers else 0 < ours.sum() < len(ours)
