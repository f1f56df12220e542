from __future__ import annotations

import math
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.container import Array, open_gguf
from gguf_tools.container import header_buffer as wire
from gguf_tools.container.header_buffer import Wire
from gguf_tools.errors import FormatError, QuantizationError, UnsupportedError
from gguf_tools.source import Source
from gguf_tools.spec import BLOCK_SIZES, GGMLType, ValueType
from tests import builders as b


@pytest.fixture
def write(tmp_path: Path):
    def save(data: bytes, name: str = "model.gguf") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


EVERY_VALUE = [
    ("u8", b.U8, 255),
    ("i8", b.I8, -128),
    ("u16", b.U16, 65535),
    ("i16", b.I16, -32768),
    ("u32", b.U32, 2**32 - 1),
    ("i32", b.I32, -(2**31)),
    ("f32", b.F32, 0.5),
    ("bool", b.BOOL, 1),
    ("string", b.STRING, "naïve\0text"),
    ("u64", b.U64, 2**64 - 1),
    ("i64", b.I64, -(2**63)),
    ("f64", b.F64, 0.1),
    ("empty string", b.STRING, ""),
    ("empty array", b.ARRAY, (b.U8, [])),
    ("u8 array", b.ARRAY, (b.U8, [0, 255])),
    ("i8 array", b.ARRAY, (b.I8, [-1, 1])),
    ("u16 array", b.ARRAY, (b.U16, [0, 65535])),
    ("i16 array", b.ARRAY, (b.I16, [-2, 2])),
    ("u32 array", b.ARRAY, (b.U32, [0, 7])),
    ("i32 array", b.ARRAY, (b.I32, [-7, 7])),
    ("f32 array", b.ARRAY, (b.F32, [0.25, -math.inf])),
    ("bool array", b.ARRAY, (b.BOOL, [0, 1])),
    ("string array", b.ARRAY, (b.STRING, ["a", "", "ü", "x" * 300, "\0"])),
    ("u64 array", b.ARRAY, (b.U64, [2**64 - 1])),
    ("i64 array", b.ARRAY, (b.I64, [-(2**63)])),
    ("f64 array", b.ARRAY, (b.F64, [0.1, 1e300])),
    ("nested", b.ARRAY, (b.ARRAY, [(b.U8, [1]), (b.STRING, ["p", "q"]), (b.ARRAY, [(b.I16, [-1])])])),
]

VARIANTS = [(1, "little"), (2, "little"), (3, "little"), (3, "big")]


def plain(value: object) -> object:
    """Arrays as the tuples the builders take."""
    if isinstance(value, Array):
        return int(value.element_type), [plain(item) for item in value]
    return value


class TestValues:
    @pytest.mark.parametrize(("version", "order"), VARIANTS)
    def test_every_type_in_every_variant(self, write, version: int, order: str) -> None:
        with open_gguf(write(b.build(EVERY_VALUE, version=version, order=order))) as file:
            assert (file.version, file.byte_order) == (version, order)
            assert list(file.metadata) == [key for key, _, _ in EVERY_VALUE]
            for key, kind, value in EVERY_VALUE:
                assert file.metadata.type_of(key) == kind
                assert plain(file.metadata[key]) == value
                assert type(file.metadata[key]) in (int, float, bool, str, Array)

    def test_float32_keeps_its_width(self, write) -> None:
        with open_gguf(write(b.build([("x", b.F32, 0.1)]))) as file:
            assert file.metadata["x"] == float(np.float32(0.1)) != 0.1

    def test_bool_other_than_0_and_1_is_true(self, write) -> None:
        with open_gguf(write(b.build([("x", b.BOOL, 2), ("y", b.ARRAY, (b.BOOL, [0, 7]))]))) as file:
            assert file.metadata["x"] is True
            assert list(file.metadata["y"]) == [False, True]
            assert file.metadata.odd_bools == ["x", "y"]

    def test_strings_that_are_not_utf8_are_kept(self, write) -> None:
        with open_gguf(write(b.build([("x", b.ARRAY, (b.STRING, [b"\xff\xc3", b"\xed\xa0\x80"]))]))) as file:
            texts = file.metadata["x"]
            assert [text.encode("utf-8", "surrogateescape") for text in texts] == [
                b"\xff\xc3",
                b"\xed\xa0\x80",
            ]
            assert texts[0] == next(iter(texts))

    def test_metadata_outlives_the_file(self, write) -> None:
        with open_gguf(write(b.small())) as file:
            metadata = file.metadata
        assert list(metadata["tokenizer.ggml.tokens"])[:3] == ["<unk>", "", "▁a"]


@pytest.fixture(params=[True, False], ids=["with numpy", "without numpy"])
def numpy_is_there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings are found in two ways."""
    monkeypatch.setattr(wire, "_numpy_is_there", lambda: request.param)


class TestArrays:
    def strings(self, write, items: list[str], **variant: object) -> Array:
        array = open_gguf(write(b.build([("x", b.ARRAY, (b.STRING, items))], **variant))).metadata["x"]
        assert isinstance(array, Array)
        return array

    @pytest.mark.parametrize(("version", "order"), VARIANTS)
    @pytest.mark.parametrize(
        "length",
        [
            lambda i: i % 19,
            lambda i: 3,
            lambda i: 0,
            lambda i: 300 if i % 97 == 0 else 5,
            lambda i: 255 + i % 3,
        ],
        ids=["mixed", "equal", "empty", "some long", "long"],
    )
    @pytest.mark.usefixtures("numpy_is_there")
    def test_large_ones(self, write, version: int, order: str, length) -> None:
        items = [chr(97 + i % 26) * length(i) for i in range(40_000)]
        array = self.strings(write, items, version=version, order=order)
        assert list(array) == items
        assert [array[i] for i in (0, 1, 19_999, -1)] == [items[i] for i in (0, 1, 19_999, -1)]

    @pytest.mark.usefixtures("numpy_is_there")
    def test_nul_bytes_do_not_confuse_the_walk(self, write) -> None:
        random = np.random.default_rng(7)
        items = [("\0" * int(n)) + "x" * int(m) for n, m in random.integers(0, 20, (30_000, 2))]
        assert list(self.strings(write, items)) == items

    def test_one_item_decodes_no_other(self, write, monkeypatch: pytest.MonkeyPatch) -> None:
        array = self.strings(write, ["a", "b", "c"])
        spans = []
        string = Wire.string
        monkeypatch.setattr(
            Wire, "string", lambda self, *a: spans.append(string(self, *a)) or string(self, *a)
        )
        assert array[2] == "c"  # finds the places of those before it, too
        spans.clear()
        assert array[1] == "b"
        assert len(spans) == 1

    def test_places_are_found_as_far_as_they_are_asked_for(
        self, write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        items = [f"{i}" for i in range(20_000)]
        array = self.strings(write, items)
        walked = []
        walk = Wire.walk_strings
        monkeypatch.setattr(Wire, "walk_strings", lambda self, *a: walked.append(a[1]) or walk(self, *a))
        assert array[3] == "3"
        assert walked == [4]
        assert [array[i] for i in range(len(array))] == items
        assert len(walked) < 20
        assert sum(walked) == len(items)

    def test_threads_may_ask_at_the_same_time(self, write) -> None:
        items = [f"{i}" for i in range(20_000)]
        array = self.strings(write, items)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(array.__getitem__, range(len(items)))) == items

    def test_nested_ones(self, write) -> None:
        items = [(b.I32, list(range(i % 5))) for i in range(100)]
        with open_gguf(write(b.build([("x", b.ARRAY, (b.ARRAY, items))]))) as file:
            array = file.metadata["x"]
        assert [list(array[i]) for i in (7, 2, 99)] == [[0, 1], [0, 1], [0, 1, 2, 3]]
        assert [list(item) for item in array] == [item for _, item in items]

    def test_indices_and_slices(self, write) -> None:
        array = self.strings(write, ["a", "b", "c"])
        assert array[-1] == "c"
        assert array[1:] == ["b", "c"]
        assert array[::-1].element_type is ValueType.STRING
        for index in (3, -4):
            with pytest.raises(IndexError):
                array[index]

    def test_numeric_arrays_are_numpy(self, write) -> None:
        for order in ("little", "big"):
            data = b.build(
                [("x", b.ARRAY, (b.F32, [1.0, 2.5])), ("f", b.ARRAY, (b.BOOL, [1, 0]))], order=order
            )
            with open_gguf(write(data)) as file:
                array = file.metadata["x"].numpy()
                assert array.dtype == np.float32
                assert array.dtype.isnative
                assert array.flags.aligned
                assert array.tolist() == [1.0, 2.5]
                assert file.metadata["f"].numpy().tolist() == [True, False]

    def test_strings_are_not_numpy(self, write) -> None:
        with pytest.raises(FormatError, match="not numeric"):
            self.strings(write, ["a"]).numpy()


def test_a_large_vocabulary_opens_without_being_decoded(write, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def unpack(self: Array, items: Any, position: int) -> Any:
        decoded.append(position)
        return original(self, items, position)

    original = Array._unpack
    monkeypatch.setattr(Array, "_unpack", unpack)
    tokens = [f"▁token{i}" for i in range(262_144)]
    merges = [f"{i} {i + 1}" for i in range(514_906)]
    path = write(b.build([("tokens", b.ARRAY, (b.STRING, tokens)), ("merges", b.ARRAY, (b.STRING, merges))]))
    with open_gguf(path) as file:
        assert len(file.metadata["merges"]) == len(merges)
        assert not decoded
        assert file.metadata["merges"][500_000] == merges[500_000]
    assert len(decoded) == 1


def stored(kind: GGMLType, values: NDArray[np.generic]) -> bytes:
    return values.tobytes()


NUMBERS = {
    GGMLType.F32: "f4",
    GGMLType.F16: "f2",
    GGMLType.F64: "f8",
    GGMLType.I8: "i1",
    GGMLType.I16: "i2",
    GGMLType.I32: "i4",
    GGMLType.I64: "i8",
}


class TestTensors:
    @pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.name)
    @pytest.mark.parametrize("order", ["little", "big"])
    def test_numbers(self, write, kind: GGMLType, order: str) -> None:
        values = np.array([[1, -2, 3], [100, 0, -128]])
        native = values.astype(np.dtype(NUMBERS[kind]).newbyteorder("<" if order == "little" else ">"))
        data = b.build(tensors=[b.Tensor("x", (3, 2), int(kind), native.tobytes())], order=order)
        with open_gguf(write(data)) as file:
            tensor = file.tensors["x"]
            assert isinstance(tensor, Source)
            assert (tensor.shape, tensor.type, tensor.storage) == ((2, 3), kind, kind)
            assert np.array_equal(tensor.dequantize(), values.astype(np.float32))
            assert tensor.rows(1, 2).dtype == np.float32
            assert tensor.raw(1, 2).tobytes() == values[1].astype("<" + NUMBERS[kind]).tobytes()

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_bfloat16(self, write, order: str) -> None:
        bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], np.uint16)
        data = bits.astype("<u2" if order == "little" else ">u2").tobytes()
        with open_gguf(write(b.build(tensors=[b.Tensor("x", (4,), 30, data)], order=order))) as file:
            assert file.tensors["x"].dequantize().tolist() == [1.0, -2.0, math.inf, 2.0**-133]

    @pytest.mark.parametrize("kind", GGMLType, ids=lambda kind: kind.name)
    def test_every_type_is_decoded_as_its_blocks_are(self, write, kind: GGMLType) -> None:
        elements, size = BLOCK_SIZES[kind]
        data = np.random.default_rng(int(kind)).integers(0, 256, (3, 2 * size), np.uint8)
        tensor = b.Tensor("x", (2 * elements, 3), int(kind), data.tobytes())
        expected = quants.dequantize(data, kind, (3, 2 * elements))
        with open_gguf(write(b.build(tensors=[tensor]))) as file:
            assert np.array_equal(file.tensors["x"].rows(1, 3), expected[1:], equal_nan=True)
            assert np.array_equal(file.tensors["x"].dequantize(), expected, equal_nan=True)

    def test_large_tensors_are_decoded_in_pieces(self, write) -> None:
        values = np.arange(6_000_000, dtype=np.float32).reshape(6000, 1000)
        with open_gguf(write(b.build(tensors=[b.Tensor("x", (1000, 6000), 0, values.tobytes())]))) as file:
            assert np.array_equal(file.tensors["x"].dequantize(), values)

    def test_scalars(self, write) -> None:
        with open_gguf(write(b.build(tensors=[b.Tensor("x", (), 0, b.floats(7))]))) as file:
            tensor = file.tensors["x"]
            assert (tensor.shape, tensor.nbytes) == ((), 4)
            assert tensor.dequantize() == np.float32(7)
            assert tensor.raw(0, 1).shape == (1, 4)

    @pytest.mark.parametrize("dims", [(0,), (0, 3), (3, 0), (32, 0, 2), (0, 0, 0, 0)])
    def test_dimensions_of_zero_make_empty_tensors(self, write, dims: tuple[int, ...]) -> None:
        tensors = [b.Tensor("x", dims, 0), b.Tensor("y", (1,), 0, b.floats(5))]
        with open_gguf(write(b.build(tensors=tensors))) as file:
            tensor = file.tensors["x"]
            assert tensor.nbytes == 0
            assert tensor.dequantize().shape == tuple(reversed(dims))
            assert file.tensors["y"].dequantize().tolist() == [5.0]

    @pytest.mark.parametrize("dims", [(4,), (4, 3), (4, 3, 2), (4, 3, 2, 2)])
    def test_dimensions_are_numpys_order(self, write, dims: tuple[int, ...]) -> None:
        values = np.arange(math.prod(dims), dtype=np.float32).reshape(dims[::-1])
        with open_gguf(write(b.build(tensors=[b.Tensor("x", dims, 0, values.tobytes())]))) as file:
            assert np.array_equal(file.tensors["x"].dequantize(), values)

    @pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 3), (2, 1), (3, 3)])
    def test_rows_that_do_not_exist(self, write, start: int, stop: int) -> None:
        with open_gguf(write(b.build(tensors=[b.Tensor("x", (1, 2), 0, b.floats(1, 2))]))) as file:
            with pytest.raises(QuantizationError, match="no such rows"):
                file.tensors["x"].rows(start, stop)
            assert file.tensors["x"].rows(1, 1).shape == (0, 1)

    @pytest.mark.parametrize(
        ("number", "name"), [(4, "removed Q4_2 (4)"), (31, "removed Q4_0_4_4 (31)"), (99, "unknown (99)")]
    )
    def test_unknown_types_hide_nothing_else(self, write, number: int, name: str) -> None:
        tensors = [
            b.Tensor("before", (2,), 0, b.floats(1, 2)),
            b.Tensor("odd", (5, 7), number, b"?" * 70),
            b.Tensor("after", (2,), 0, b.floats(3, 4)),
        ]
        with open_gguf(write(b.build([b.ARCHITECTURE], tensors))) as file:
            odd = file.tensors["odd"]
            assert (odd.type, odd.type_name, odd.nbytes, odd.storage) == (number, name, None, None)
            assert (odd.shape, odd.offset - file.data_offset) == ((7, 5), 32)
            assert file.tensors["after"].dequantize().tolist() == [3.0, 4.0]
            assert file.metadata["general.architecture"] == "llama"
            for read in (lambda: odd.rows(0, 1), lambda: odd.raw(0, 1), odd.dequantize):
                with pytest.raises(UnsupportedError, match=r"tensor 'odd': the tensor's type is"):
                    read()

    @pytest.mark.parametrize("alignment", [1, 8, 32, 64, 4096])
    def test_alignment(self, write, alignment: int) -> None:
        tensors = [b.Tensor("x", (3,), 0, b.floats(1, 2, 3)), b.Tensor("y", (1,), 0, b.floats(4))]
        data = b.build([("general.alignment", b.U32, alignment)], tensors, alignment=alignment)
        with open_gguf(write(data)) as file:
            assert file.alignment == alignment
            assert file.data_offset % alignment == 0
            assert file.tensors["y"].dequantize().tolist() == [4.0]

    def test_padding_after_the_last_tensor_is_optional(self, write) -> None:
        data = b.build(tensors=[b.Tensor("x", (3,), 0, b.floats(1, 2, 3))])
        with open_gguf(write(data[:-20])) as file:
            assert file.tensors["x"].dequantize().tolist() == [1.0, 2.0, 3.0]

    def test_long_names_are_readable(self, write) -> None:
        with open_gguf(write(b.build(tensors=[b.Tensor("n" * 200, (1,), 0, b.floats(1))]))) as file:
            assert list(file.tensors) == ["n" * 200]

    def test_a_closed_file_says_so(self, write) -> None:
        with open_gguf(write(b.small())) as file:
            pass
        with pytest.raises(FormatError, match=r"tensor 'norm\.weight': the file has been closed"):
            file.tensors["norm.weight"].rows(0, 1)

    def test_a_file_that_shrinks_is_an_error(self, write) -> None:
        path = write(b.small())
        with open_gguf(path) as file:
            os.truncate(path, file.data_offset + 4)
            with pytest.raises(FormatError, match=r"the file ends inside the data"):
                file.tensors["norm.weight"].rows(0, 1)

    def test_files_are_closed_without_being_told(self, write) -> None:
        path = write(b.small())
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            open_gguf(path)
        assert len(os.listdir("/proc/self/fd")) <= before + 2


class TestUnchecked:
    def test_a_truncated_file_still_shows_its_header(self, write) -> None:
        path = write(b.small()[:-40])
        with open_gguf(path, check=False) as file:
            assert file.metadata["llama.block_count"] == 1
            assert file.tensors["norm.weight"].dequantize().tolist() == [1.0, 2.0, 3.0]
            with pytest.raises(FormatError, match="past the end of the file"):
                file.tensors["blk.0.attn_q.weight"].dequantize()

    def test_no_memory_is_taken_for_data_that_is_not_there(self, write) -> None:
        path = write(b.build(tensors=[b.Tensor("x", (2**40,), 0)]))
        with open_gguf(path, check=False) as file, pytest.raises(FormatError, match="past the end"):
            file.tensors["x"].dequantize()


@pytest.mark.parametrize("version", [0, 4, 2**16 - 1])
def test_unknown_versions(write, version: int) -> None:
    data = b"GGUF" + struct.pack("<IQQ", version, 0, 0)
    with pytest.raises(UnsupportedError, match=rf"at byte 4: unknown version of GGUF \(found {version}"):
        open_gguf(write(data))
