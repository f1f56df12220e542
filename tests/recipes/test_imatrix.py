"""Importance matrices: both formats, what they cover, and files that are not what they seem."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools.errors import FormatError, QuantizationError
from gguf_tools.recipes.imatrix import load_importance
from tests.goldens.record_recipes import write_imatrix

Values = NDArray[np.float32]


def binary(
    entries: Sequence[tuple[bytes, int, Sequence[float]]],
    chunks: int | None = 7,
    dataset: bytes | None = b"wiki.txt",
) -> bytes:
    """The old format: calls, and values that were multiplied with them."""
    data = struct.pack("<i", len(entries))
    for name, calls, values in entries:
        data += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, len(values))
        data += np.array(values, "<f4").tobytes()
    if chunks is not None:
        data += struct.pack("<i", chunks)
    if dataset is not None:
        data += struct.pack("<i", len(dataset)) + dataset
    return data


def gguf_imatrix(
    path: Path, sums: Mapping[str, Values], counts: Mapping[str, Values], **keys: object
) -> Path:
    """The new format, written by the ``gguf`` package as ``llama-imatrix`` lays it out."""
    import gguf

    writer = gguf.GGUFWriter(path, "", use_temp_file=False)
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["a.txt", "b.txt"])
    writer.add_uint32("imatrix.chunk_count", 11)
    writer.add_uint32("imatrix.chunk_size", 512)
    for suffix, tensors in ((".in_sum2", sums), (".counts", counts)):
        for name, array in tensors.items():
            writer.add_tensor(name + suffix, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_old_format(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(binary([(b"blk.0.ffn_up.weight", 4, [2, 4, 8]), (b"b", 0, [3, 5])]))
    matrix = load_importance(path)
    assert matrix.path == str(path)
    assert (matrix.datasets, matrix.chunks) == (("wiki.txt",), 7)
    assert matrix.entries["blk.0.ffn_up.weight"].values.tolist() == [0.5, 1, 2]
    assert matrix.entries["b"].values.tolist() == [3, 5]  # never called: as they stand
    weights = matrix.weights("blk.0.ffn_up.weight", (10, 3))
    assert weights is not None
    assert weights.dtype == np.float32
    assert weights.tolist() == [[0.5, 1, 2]]
    assert matrix.weights("another", (10, 3)) is None


@pytest.mark.parametrize(("chunks", "dataset", "found"), [(None, None, ((), 0)), (9, None, ((), 9))])
def test_older_files_of_the_old_format_say_less(
    chunks: int | None, dataset: bytes | None, found: tuple[tuple[str, ...], int], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(binary([(b"b", 1, [3, 5])], chunks, dataset))
    matrix = load_importance(tmp_path / "a")
    assert (matrix.datasets, matrix.chunks) == found


def test_the_new_format(tmp_path: Path) -> None:
    sums = {"dense": np.float32([[3, 6, 9]]), "experts": np.float32([[4, 8], [1, 1], [10, 20]])}
    counts = {"dense": np.float32([[3]]), "experts": np.float32([[4], [0], [5]])}
    matrix = load_importance(gguf_imatrix(tmp_path / "imatrix.gguf", sums, counts))
    assert (matrix.datasets, matrix.chunks) == (("a.txt", "b.txt"), 11)
    dense, experts = matrix.weights("dense", (7, 3)), matrix.weights("experts", (3, 7, 2))
    assert dense is not None
    assert experts is not None
    assert dense.tolist() == [[1, 2, 3]]
    assert experts.tolist() == [[1, 2], [1, 1], [2, 4]]
    assert matrix.entries["dense"].unseen == ()
    assert matrix.entries["experts"].unseen == (1,)


@pytest.mark.parametrize("shape", [(7, 4), (2, 7, 3), (7, 1)])
def test_a_matrix_of_another_model(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(binary([(b"b", 1, [3, 5, 7])]))
    with pytest.raises(QuantizationError, match="belongs to another model") as caught:
        load_importance(tmp_path / "a").weights("b", shape)
    assert caught.value.tensor == "b"
    assert caught.value.found == "3 values"


def refused(path: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        load_importance(path)
    assert caught.value.path == str(path)


GOOD = binary([(b"blk.0.ffn_up.weight", 4, [2, 4, 8]), (b"b", 0, [3, 5])])


def test_every_truncation_of_the_old_format(tmp_path: Path) -> None:
    whole = len(GOOD)
    optional = {whole - 16, whole - 12}  # before the chunks, and before the dataset: older files end there
    for size in range(whole):
        path = tmp_path / str(size)
        path.write_bytes(GOOD[:size])
        if size in optional:
            assert len(load_importance(path).entries) == 2
        else:
            refused(path, "cut off|not an importance matrix")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (struct.pack("<i", 0), "number of entries"),
        (struct.pack("<i", -1), "number of entries"),
        (struct.pack("<i", 1 << 30), "number of entries"),
        (b"PK\x03\x04" + bytes(100), "number of entries"),
        (struct.pack("<ii", 1, -5), "length of a name"),
        (struct.pack("<ii", 1, 1 << 30), "length of a name"),
        (struct.pack("<iisii", 1, 1, b"b", 1, -1), "number of values"),
        (struct.pack("<iisii", 1, 1, b"b", 1, 1 << 30), "number of values"),
        (struct.pack("<iisii", 1, 1, b"b", 1, 0), "unusable"),
        (struct.pack("<iisiif", 1, 1, b"\0", 1, 1, 1), "unusable"),
        (binary([(b"b", 1, [1, float("nan")])]), "not a finite number"),
        (binary([(b"b", 1, [1, float("inf")])]), "not a finite number"),
        (binary([(b"b", 1, [1, -2])]), "negative"),
    ],
)
def test_the_old_format_malformed(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    refused(tmp_path / "a", message)


def test_the_new_format_malformed(tmp_path: Path) -> None:
    one = np.float32([[1]])
    path = tmp_path / "a.gguf"
    for sums, counts, message in (
        ({}, {"a": one}, "no tensor is called"),
        ({"a": one}, {}, "sums without counts"),
        ({"a": one}, {"a": one, "b": one}, "sums without counts"),
        ({"a": np.float32([[1, 2, 3]])}, {"a": np.float32([[1], [2]])}, "do not fit the sums"),
        ({"a": one.astype(np.float16)}, {"a": one}, "must be F32"),
        ({"a": one}, {"a": np.int32([[1]])}, "must be F32"),
        ({"a": np.float32([[np.nan]])}, {"a": one}, "not a finite number"),
        ({"a": np.float32([[-1]])}, {"a": one}, "negative"),
    ):
        refused(gguf_imatrix(path, sums, counts), message)
    gguf_imatrix(path, {"a": one}, {"a": one})
    path.write_bytes(path.read_bytes()[:-40])
    refused(path, "past the end of the file")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none", "No such file|not exist|cannot")


def test_the_recorder_of_goldens_writes_what_we_read(tmp_path: Path) -> None:
    write_imatrix(tmp_path / "a", {"x": (4, 8), "norm": (8,), "experts": (3, 4, 8)})
    matrix = load_importance(tmp_path / "a")
    assert set(matrix.entries) == {"x", "experts"}
    experts = matrix.weights("experts", (3, 4, 8))
    assert experts is not None
    assert experts.shape == (3, 8)
    assert 0 <= experts.min() < experts.max() < 1
