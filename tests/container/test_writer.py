from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import pytest

from gguf_tools.container import Array, Metadata, TensorInfo, header_bytes, open_gguf, write_gguf
from gguf_tools.errors import FormatError, OutputError, QuantizationError
from gguf_tools.source import ArraySource
from gguf_tools.spec import BLOCK_SIZES, GGMLType, ValueType
from tests import builders as b

V = ValueType


def rewritten(path: Path) -> bytes:
    """The bytes of a file read and written again."""
    again = path.with_name("again.gguf")
    with open_gguf(path) as file:
        write_gguf(
            again, file.metadata, ((t.name, t) for t in file.tensors.values()), long_names=True, force=True
        )
    return again.read_bytes()


class TestByteIdentity:
    @pytest.mark.parametrize("alignment", [1, 8, 32, 64, 4096])
    def test_built_by_hand(self, tmp_path: Path, alignment: int) -> None:
        pairs = (*b.SMALL_PAIRS, ("general.alignment", b.U32, alignment), ("x", b.ARRAY, (b.F64, [0.1])))
        data = b.build(pairs, b.SMALL_TENSORS, alignment=alignment)
        (tmp_path / "a.gguf").write_bytes(data)
        assert rewritten(tmp_path / "a.gguf") == data

    def test_without_tensors(self, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b.build(b.SMALL_PAIRS))
        assert rewritten(tmp_path / "a.gguf") == b.build(b.SMALL_PAIRS)

    def test_every_known_type(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        tensors = [
            b.Tensor(f"t{kind.name}", (2 * size.elements, 3), int(kind), random.bytes(6 * size.bytes))
            for kind, size in BLOCK_SIZES.items()
        ]
        data = b.build([b.ARCHITECTURE], tensors)
        (tmp_path / "a.gguf").write_bytes(data)
        assert rewritten(tmp_path / "a.gguf") == data

    @pytest.mark.parametrize("alignment", [None, 64])
    def test_from_the_gguf_package(self, tmp_path: Path, alignment: int | None) -> None:
        path = tmp_path / "a.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if alignment is not None:
            writer.add_custom_alignment(alignment)
        writer.add_block_count(2)
        writer.add_rope_freq_base(1e6)
        writer.add_bool("flag", True)
        writer.add_token_list(["<unk>", "▁a", "b"])
        writer.add_token_scores([0.0, -1.0, -2.5])
        writer.add_token_types([2, 1, 1])
        writer.add_tensor("norm", np.arange(7, dtype=np.float32))
        writer.add_tensor("half", np.arange(6, dtype=np.float16).reshape(2, 3))
        blocks = gguf.quants.quantize(np.ones((3, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blocks", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        assert rewritten(path) == path.read_bytes()

    @pytest.mark.parametrize(("version", "order"), [(1, "little"), (2, "little"), (3, "big")])
    def test_other_variants_become_canonical(self, tmp_path: Path, version: int, order: str) -> None:
        scale = b"\x00\x3c" if order == "little" else b"\x3c\x00"
        values = np.array([1, 2, 3], "<f4" if order == "little" else ">f4").tobytes()
        tensors = [
            b.Tensor("norm.weight", (3,), 0, values),
            b.Tensor("blk.0.attn_q.weight", (32, 2), 8, (scale + bytes(range(32))) * 2),
        ]
        (tmp_path / "a.gguf").write_bytes(b.build(b.SMALL_PAIRS, tensors, version=version, order=order))
        assert rewritten(tmp_path / "a.gguf") == b.small()


def test_the_gguf_package_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    metadata = Metadata(
        [
            ("general.architecture", V.STRING, "llama"),
            ("n", V.INT16, -5),
            ("f", V.FLOAT32, 0.25),
            ("tokens", V.ARRAY, Array(V.STRING, ["a", "é"])),
            ("types", V.ARRAY, Array(V.INT32, [1, -1])),
        ]
    )
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_gguf(path, metadata, [("x", values), ("y", values.astype(np.float16))])
    reader = gguf.GGUFReader(path)
    contents = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert contents == {
        "general.architecture": "llama",
        "n": -5,
        "f": 0.25,
        "tokens": ["a", "é"],
        "types": [1, -1],
    }
    assert [(t.name, t.data.tolist()) for t in reader.tensors] == [
        ("x", values.tolist()),
        ("y", values.tolist()),
    ]


class TestLayout:
    def test_sizes_are_exact(self, tmp_path: Path) -> None:
        metadata = Metadata([("general.alignment", V.UINT32, 64)])
        infos = [
            TensorInfo("a", (3,), GGMLType.F32),
            TensorInfo("b", (2, 256), GGMLType.Q4_K),
            TensorInfo("c", (), GGMLType.F16),
        ]
        layout = header_bytes(metadata, infos)
        assert layout.sizes == [12, 288, 2]
        assert layout.offsets == [len(layout.header), len(layout.header) + 64, len(layout.header) + 384]
        assert layout.total_size == len(layout.header) + 448
        assert len(layout.header) % 64 == 0
        data = [
            (i.name, np.zeros(size, np.uint8), i.type, i.shape)
            for i, size in zip(infos, layout.sizes, strict=True)
        ]
        assert write_gguf(tmp_path / "a.gguf", metadata, data) == layout
        assert (tmp_path / "a.gguf").stat().st_size == layout.total_size

    def test_empty_tensors_take_no_room(self) -> None:
        infos = [TensorInfo("a", (0, 32), GGMLType.Q8_0), TensorInfo("b", (1,), GGMLType.F32)]
        layout = header_bytes(Metadata(), infos)
        assert layout.sizes == [0, 4]
        assert layout.offsets[0] == layout.offsets[1]

    @pytest.mark.parametrize(
        ("infos", "message"),
        [
            ([("", (1,), GGMLType.F32)], "name is empty"),
            (
                [("n" * 64, (1,), GGMLType.F32)],
                r"too long for llama\.cpp \(found 64 bytes, expected at most 63",
            ),
            ([("é" * 32, (1,), GGMLType.F32)], r"found 64 bytes"),
            ([("x", (1,), GGMLType.F32)] * 2, r"tensor 'x': two tensors have the same name"),
            ([("x", (1,) * 5, GGMLType.F32)], r"tensor 'x': too many dimensions \(found 5"),
            ([("x", (-1,), GGMLType.F32)], r"tensor 'x': the shape is not usable"),
            ([("x", (2**32, 2**32), GGMLType.F32)], r"tensor 'x': the shape is not usable"),
            (
                [("x", (2, 100), GGMLType.Q4_K)],
                r"tensor 'x': a row of 100 elements is not a multiple of Q4_K",
            ),
        ],
    )
    def test_refused(self, infos: list[tuple[str, tuple[int, ...], GGMLType]], message: str) -> None:
        with pytest.raises(FormatError, match=message):
            header_bytes(Metadata(), [TensorInfo(*info) for info in infos])

    def test_long_names_on_request(self) -> None:
        layout = header_bytes(Metadata(), [TensorInfo("n" * 64, (1,), GGMLType.F32)], long_names=True)
        assert b"n" * 64 in layout.header

    @pytest.mark.parametrize(
        ("kind", "value"), [(V.UINT32, 0), (V.UINT32, 33), (V.UINT32, 2**31), (V.INT32, 32)]
    )
    def test_unusable_alignment(self, kind: ValueType, value: int) -> None:
        with pytest.raises(FormatError, match=r"key 'general\.alignment': the alignment is"):
            header_bytes(Metadata([("general.alignment", kind, value)]), [])

    def test_alignment_that_contradicts_the_metadata(self) -> None:
        with pytest.raises(FormatError, match=r"contradicts the metadata \(found 64, expected 32\)"):
            header_bytes(Metadata(), [], alignment=64)


class TestWrite:
    def test_numpy_dtypes(self, tmp_path: Path) -> None:
        arrays = [
            np.arange(-3, 3).reshape(2, 3).astype(code)
            for code in ("f4", "f2", "f8", "i1", "i2", "i4", "i8", ">f4", ">i2")
        ]
        write_gguf(tmp_path / "a.gguf", Metadata(), [(str(i), array) for i, array in enumerate(arrays)])
        with open_gguf(tmp_path / "a.gguf") as file:
            for tensor, array in zip(file.tensors.values(), arrays, strict=True):
                assert np.array_equal(tensor.dequantize(), array.astype(np.float32))
            assert [t.type_name for t in file.tensors.values()] == [
                "F32",
                "F16",
                "F64",
                "I8",
                "I16",
                "I32",
                "I64",
                "F32",
                "I16",
            ]

    def test_views_that_are_not_contiguous(self, tmp_path: Path) -> None:
        values = np.arange(12, dtype=np.float32).reshape(3, 4).T
        write_gguf(tmp_path / "a.gguf", Metadata(), [("x", values), ("s", np.float32(3))])
        with open_gguf(tmp_path / "a.gguf") as file:
            assert np.array_equal(file.tensors["x"].dequantize(), values)
            assert file.tensors["s"].shape == ()

    def test_sources(self, tmp_path: Path) -> None:
        values = np.arange(3_000_000, dtype=np.float32).reshape(3000, 1000)
        write_gguf(tmp_path / "a.gguf", Metadata(), [("x", ArraySource(values)), ("y", values[:1])])
        with open_gguf(tmp_path / "a.gguf") as file:
            assert np.array_equal(file.tensors["x"].dequantize(), values)
            assert np.array_equal(file.tensors["y"].dequantize(), values[:1])

    def test_rows_without_stored_bytes(self, tmp_path: Path) -> None:
        class Computed(ArraySource):
            storage = None

        write_gguf(tmp_path / "a.gguf", Metadata(), [("x", Computed(np.ones((2, 3), np.float32)))])
        with open_gguf(tmp_path / "a.gguf") as file:
            assert file.tensors["x"].dequantize().tolist() == [[1.0] * 3] * 2

    @pytest.mark.parametrize(
        ("tensor", "message"),
        [
            (("x", np.zeros(3, np.complex64)), "arrays of this dtype"),
            (
                ("x", np.zeros((2, 33), np.uint8), GGMLType.Q8_0, (2, 32)),
                r"do not fit Q8_0 of shape \(2, 32\)",
            ),
            (("x", np.zeros((2, 34), np.int8), GGMLType.Q8_0, (2, 32)), r"found int8"),
        ],
    )
    def test_refused(self, tmp_path: Path, tensor: tuple[object, ...], message: str) -> None:
        with pytest.raises(QuantizationError, match=message):
            write_gguf(tmp_path / "a.gguf", Metadata(), [tensor])
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b"old")
        with pytest.raises(OutputError, match="exists already"):
            write_gguf(tmp_path / "a.gguf", Metadata(), [])
        assert (tmp_path / "a.gguf").read_bytes() == b"old"

    def test_padding_is_zeros(self, tmp_path: Path) -> None:
        write_gguf(tmp_path / "a.gguf", Metadata(), [(name, np.full(3, 7, np.int8)) for name in "abc"])
        with open_gguf(tmp_path / "a.gguf") as file:
            ends = [t.offset for t in file.tensors.values()] + [file.file_size]
        data = (tmp_path / "a.gguf").read_bytes()
        assert [data[start + 3 : stop] for start, stop in pairwise(ends)] == [bytes(29)] * 3
