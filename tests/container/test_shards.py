from __future__ import annotations

import time
from pathlib import Path

import gguf
import numpy as np
import pytest

from gguf_tools.container import open_gguf, write_gguf
from gguf_tools.container.shards import parse_shard_name, shard_name
from gguf_tools.errors import FormatError
from tests import builders as b
from tests.container.split_models import model, split_pairs, tensor


def names_and_values(path: Path) -> dict[str, list[float]]:
    with open_gguf(path) as file:
        return {name: tensor.dequantize().tolist() for name, tensor in file.tensors.items()}


EXPECTED = {f"t{i}": [float(i), float(-i)] for i in range(3)}


@pytest.mark.parametrize("given", [0, 1, 2])
def test_any_shard_opens_the_whole_model(tmp_path: Path, given: int) -> None:
    paths = model(tmp_path)
    assert names_and_values(paths[given]) == EXPECTED
    with open_gguf(paths[given]) as file:
        assert file.path == paths[given]
        assert list(file.tensors) == ["t0", "t1", "t2"]
        assert list(file.metadata) == ["general.architecture", "general.alignment"]
        assert [shard.path for shard in file.shards] == paths
        assert file.shards[1].metadata["split.no"] == 1
        assert file.file_size == sum(path.stat().st_size for path in paths)
        assert file.tensors["t2"].path == paths[2]


def test_a_relative_path_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = model(tmp_path)
    monkeypatch.chdir(tmp_path)
    with open_gguf(paths[1].name) as file:
        assert len(file.tensors) == 3


def test_one_shard_by_itself(tmp_path: Path) -> None:
    paths = model(tmp_path)
    paths[2].unlink()
    with open_gguf(paths[1], whole=False) as file:
        assert list(file.tensors) == ["t1"]
        assert file.metadata["split.count"] == 3
        assert file.shards == ()


@pytest.mark.parametrize(
    "others", [None, 32], ids=["as the gguf package pads", "as llama.cpp's splitter pads"]
)
@pytest.mark.parametrize("alignment", [8, 64, 4096])
@pytest.mark.parametrize("given", [0, 2])
def test_alignment_of_later_shards(tmp_path: Path, alignment: int, others: int | None, given: int) -> None:
    assert names_and_values(model(tmp_path, alignment=alignment, others=others)[given]) == EXPECTED


def test_split_by_the_gguf_package(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama", split_max_tensors=2)
    writer.add_custom_alignment(64)
    values = [np.full((3, 5), i, np.float32) for i in range(5)]
    for i, value in enumerate(values):
        writer.add_tensor(f"t{i}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_gguf(tmp_path / "model-00002-of-00003.gguf") as file:
        assert [tensor.dequantize().tolist() for tensor in file.tensors.values()] == [
            v.tolist() for v in values
        ]


def test_a_merged_model_is_one_file(tmp_path: Path) -> None:
    model(tmp_path)
    merged = tmp_path / "merged.gguf"
    with open_gguf(tmp_path / "model-00001-of-00003.gguf") as file:
        write_gguf(merged, file.metadata, ((t.name, t) for t in file.tensors.values()))
    assert names_and_values(merged) == EXPECTED


@pytest.mark.parametrize("count", [0, 1])
def test_counts_that_mean_not_split(tmp_path: Path, count: int) -> None:
    path = tmp_path / "merged.gguf"
    path.write_bytes(b.build([b.ARCHITECTURE, ("split.count", b.U16, count)], [tensor(0)]))
    assert list(names_and_values(path)) == ["t0"]


class TestIncomplete:
    def test_missing_shards_are_named(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[1].unlink()
        message = r"00003-of-00003\.gguf: 1 of the model's 3 files are missing beside it: model-00002-of"
        with pytest.raises(FormatError, match=message):
            open_gguf(paths[2])

    def test_the_first_one_missing(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[0].unlink()
        with pytest.raises(FormatError, match=r"missing beside it: model-00001-of-00003\.gguf"):
            open_gguf(paths[1])

    def test_65535_shards_are_refused_quickly(self, tmp_path: Path) -> None:
        path = tmp_path / "model-00001-of-65535.gguf"
        path.write_bytes(b.build(split_pairs(0, 65535, 1), [tensor(0)]))
        start = time.process_time()
        with pytest.raises(
            FormatError, match=r"65534 of the model's 65535 files are missing .* and 65531 more"
        ):
            open_gguf(path)
        assert time.process_time() - start < 0.5

    def test_renamed(self, tmp_path: Path) -> None:
        path = model(tmp_path)[1].rename(tmp_path / "part2.gguf")
        with pytest.raises(
            FormatError, match=r"name does not say which \(found part2\.gguf, expected NAME-00002-of-00003"
        ):
            open_gguf(path)


class TestMismatched:
    def rewrite(self, path: Path, number: int, count: int, tensors: int, *held: b.Tensor) -> None:
        path.write_bytes(b.build(split_pairs(number, count, tensors), held))

    def test_count_of_another_model(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        self.rewrite(paths[1], 1, 4, 3, tensor(1))
        with pytest.raises(
            FormatError, match=r"00002-of-00003\.gguf: key 'split\.count': .*found 4, expected 3"
        ):
            open_gguf(paths[0])

    def test_opened_by_a_wrong_name(self, tmp_path: Path) -> None:
        path = model(tmp_path)[0].rename(tmp_path / "model-00001-of-00002.gguf")
        with pytest.raises(FormatError, match=r"name and its metadata disagree .*found 3, expected 2"):
            open_gguf(path)

    def test_wrong_index(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        self.rewrite(paths[1], 2, 3, 3, tensor(1))
        with pytest.raises(FormatError, match=r"key 'split\.no': .*found 2, expected 1"):
            open_gguf(paths[0])

    def test_tensors_of_another_model(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        self.rewrite(paths[2], 2, 3, 9, tensor(2))
        with pytest.raises(FormatError, match=r"key 'split\.tensors\.count': .*found 9, expected 3"):
            open_gguf(paths[0])

    def test_too_few_tensors(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        self.rewrite(paths[2], 2, 3, 3)
        with pytest.raises(FormatError, match=r"do not hold as many tensors .*found 2, expected 3"):
            open_gguf(paths[0])

    def test_not_a_shard_at_all(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[1].write_bytes(b.build([b.ARCHITECTURE], [tensor(1)]))
        with pytest.raises(FormatError, match=r"00002-of-00003\.gguf: key 'split\.count': named as a shard"):
            open_gguf(paths[0])

    def test_a_tensor_in_two_shards(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        self.rewrite(paths[2], 2, 3, 3, tensor(1))
        with pytest.raises(
            FormatError, match=r"tensor 't1': the tensor is also in model-00002-of-00003\.gguf"
        ):
            open_gguf(paths[0])

    def test_keys_of_wrong_types(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        pairs = [("split.no", b.STRING, "1"), *split_pairs(1, 3, 3)[1:]]
        paths[1].write_bytes(b.build(pairs, [tensor(1)]))
        with pytest.raises(FormatError, match=r"key 'split\.no': .*found STRING, expected int"):
            open_gguf(paths[0])

    def test_a_damaged_shard(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[1].write_bytes(paths[1].read_bytes()[:-30])
        with pytest.raises(FormatError, match=r"00002-of-00003\.gguf: tensor 't1': .*past the end"):
            open_gguf(paths[0])
        with pytest.raises(FormatError, match=r"00002-of-00003\.gguf: tensor 't1': .*past the end"):
            open_gguf(paths[1])


def test_names() -> None:
    assert shard_name("a-b", 2, 10) == "a-b-00002-of-00010.gguf"
    parts = parse_shard_name("a-b-00002-of-00010.gguf")
    assert parts is not None
    assert (parts.stem, parts.number, parts.count) == ("a-b", 2, 10)
    for name in ("model.gguf", "model-1-of-2.gguf", "model-00001-of-00002.bin"):
        assert parse_shard_name(name) is None
