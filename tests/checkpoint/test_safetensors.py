"""Well-formed safetensors: values, bytes and order agree with the safetensors package."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from gguf_tools.checkpoint import DTYPES, SafetensorsFile, safetensors_header
from gguf_tools.checkpoint.dtypes import dtype_named
from gguf_tools.errors import CheckpointError, UnsupportedError
from gguf_tools.source import Source
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.checkpoint import build as b
from tests.floats import assert_same_floats

NUMPY = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def any_values(dtype: type, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """All-over values of a dtype, the extremes of integers included."""
    rng = np.random.default_rng(7)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.standard_normal(shape) * 3).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    values.flat[0], values.flat[1] = limits.min, limits.max
    return values


@pytest.fixture
def opened(tmp_path: Path) -> SafetensorsFile:
    path = tmp_path / "small.safetensors"
    path.write_bytes(b.small())
    return SafetensorsFile(path)


@pytest.mark.parametrize("name", NUMPY)
def test_values_and_bytes_are_those_the_safetensors_package_reads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": any_values(NUMPY[name], (3, 4, 5))}, path)
    theirs = load_file(path)["x"]
    with SafetensorsFile(path) as file:
        ours = file.tensors["x"]
        assert (ours.dtype, ours.shape) == (name, (3, 4, 5))
        rows = ours.rows(0, 12)
        assert rows.dtype == np.float32
        assert rows.flags.c_contiguous
        assert np.array_equal(rows, theirs.astype(np.float32).reshape(12, 5))
        assert ours.raw(0, 12).tobytes() == theirs.tobytes()
        assert np.array_equal(ours.rows(5, 9), rows[5:9])
        assert np.array_equal(ours.raw(5, 9), ours.raw(0, 12)[5:9])


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_half_precision_pattern_is_decoded_exactly(name: str, tmp_path: Path) -> None:
    """A half that is NaN becomes a quiet one, as in ggml."""
    patterns = np.arange(65536, dtype=np.uint16)
    path = tmp_path / "x.safetensors"
    path.write_bytes(b.file_of({"x": b.described(name, [65536], 0, 131072)}, patterns.tobytes()))
    if name == "F16":
        halves = patterns.view(np.float16)
        expected = halves.astype(np.float32).view(np.uint32) | np.where(
            np.isnan(halves), 0x40_0000, 0
        ).astype(np.uint32)
    else:
        expected = patterns.astype(np.uint32) << 16
    with SafetensorsFile(path) as file:
        assert_same_floats(file.tensors["x"].rows(0, 1)[0], expected.view(np.float32))


def test_f64_beyond_the_range_of_float32_becomes_infinite_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b.file_of({"x": b.described("F64", [2], 0, 16)}, struct.pack("<2d", 1e300, -1e300)))
    with SafetensorsFile(path) as file:
        assert file.tensors["x"].rows(0, 1).tolist() == [[np.inf, -np.inf]]


def test_tensors_come_in_the_order_of_names_as_in_the_safetensors_package(opened: SafetensorsFile) -> None:
    assert list(opened.tensors) == ["a", "b", "empty", "scalar"]
    assert opened.metadata == {"format": "pt"}


def test_shapes_offsets_and_sizes(opened: SafetensorsFile) -> None:
    found = {name: (t.shape, t.dtype, t.nbytes) for name, t in opened.tensors.items()}
    assert found == {
        "a": ((3,), "BF16", 6),
        "b": ((2, 2), "F32", 16),
        "empty": ((0, 7), "F32", 0),
        "scalar": ((), "F16", 2),
    }
    data = opened.path.read_bytes()
    for tensor in opened.tensors.values():
        rows = 2 if tensor.name == "b" else 0 if tensor.name == "empty" else 1
        assert tensor.raw(0, rows).tobytes() == data[tensor.offset : tensor.offset + tensor.nbytes]


def test_a_scalar_is_one_row_of_one_and_an_empty_tensor_has_no_rows(opened: SafetensorsFile) -> None:
    assert opened.tensors["scalar"].rows(0, 1).tolist() == [[0.5]]
    assert opened.tensors["empty"].rows(0, 0).shape == (0, 7)
    assert opened.tensors["b"].rows(1, 1).shape == (0, 2)
    assert opened.tensors["b"].raw(2, 2).shape == (0, 8)


def test_a_tensor_is_a_source_with_the_storage_of_equal_bytes(opened: SafetensorsFile) -> None:
    assert all(isinstance(tensor, Source) for tensor in opened.tensors.values())
    assert opened.tensors["a"].storage is GGMLType.BF16
    assert opened.tensors["scalar"].storage is GGMLType.F16
    for kind, name in DTYPES.items():
        dtype = dtype_named(name)
        assert dtype is not None
        assert dtype.storage is kind
        assert dtype.bits == 8 * BLOCK_SIZES[kind].bytes


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 3), (2, 1), (3, 3)])
def test_rows_that_do_not_exist_are_refused(start: int, stop: int, opened: SafetensorsFile) -> None:
    with pytest.raises(CheckpointError, match=r"tensor 'b': no such rows.*expected 0 to 2"):
        opened.tensors["b"].rows(start, stop)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("C64", [1], 8), ("F4", [2, 4], 4), ("F6_E2M3", [4, 4], 12)],
)
def test_packed_dtypes_are_listed_and_fail_on_reading(
    dtype: str, shape: list[int], size: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b.file_of({"x": b.described(dtype, shape, 0, size)}, bytes(size)))
    with SafetensorsFile(path) as file:
        tensor = file.tensors["x"]
        assert (tensor.dtype, tensor.storage, tensor.readable) == (dtype, None, False)
        with pytest.raises(UnsupportedError, match=rf"x.safetensors: tensor 'x': .*{dtype}"):
            tensor.rows(0, 1)


def test_rows_are_the_same_from_many_threads(tmp_path: Path) -> None:
    values = np.arange(4096 * 16, dtype=np.float32).reshape(4096, 16)
    save_file({"x": values}, tmp_path / "x.safetensors")
    tensor = SafetensorsFile(tmp_path / "x.safetensors").tensors["x"]
    wrong: list[int] = []

    def read(first: int) -> None:
        for start in range(first, 4096, 8):
            if not np.array_equal(tensor.rows(start, start + 1), values[start : start + 1]):
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_that_shrinks_meanwhile_is_an_error_and_no_crash(opened: SafetensorsFile) -> None:
    os.truncate(opened.path, opened.size - 1)
    with pytest.raises(CheckpointError, match=r"tensor 'scalar': at byte .*cut short"):
        opened.tensors["scalar"].rows(0, 1)


def test_reading_after_closing_is_an_error(opened: SafetensorsFile) -> None:
    opened.close()
    opened.close()
    with pytest.raises(CheckpointError, match="has been closed"):
        opened.tensors["b"].rows(0, 1)


def test_opening_reads_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    size = 1 << 40
    path.write_bytes(b.file_of({"x": b.described("F32", [size // 4], 0, size)}))
    os.truncate(path, path.stat().st_size + size)
    with SafetensorsFile(path) as file:
        assert file.tensors["x"].nbytes == size


def test_the_header_is_the_one_the_safetensors_package_writes(tmp_path: Path) -> None:
    arrays = {"b": np.ones((2, 3), np.float32), "a": np.zeros((5,), np.float32)}
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    layout = safetensors_header(
        [(name, "F32", arrays[name].shape) for name in sorted(arrays)], {"format": "pt"}
    )
    theirs = (tmp_path / "x.safetensors").read_bytes()
    assert theirs[: len(layout.header)] == layout.header
    assert len(theirs) == layout.total_size
