"""Cutting and joining: llama.cpp's bytes, llama.cpp loads them, and nothing half done is left behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import Metadata, open_gguf
from gguf_tools.editing.splitting import merge, plan_merge, plan_split, split
from gguf_tools.errors import FormatError, GGUFToolsError, OutputError, UnsupportedError
from gguf_tools.spec import ValueType
from tests import builders as b
from tests.goldens import record_splits as golden
from tests.references.llama import Llama

RECORDED = golden.load()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in F32, as it was when the goldens were recorded."""
    path = golden.source(tmp_path_factory.mktemp("split"))
    assert golden.checksum(path) == RECORDED["source"]
    return path


@pytest.fixture
def parts(demo: Path, tmp_path: Path) -> list[Path]:
    """The demo model in three files."""
    return [output.path for output in split(demo, tmp_path / "m", max_tensors=7)]


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: golden.checksum(path) for path in sorted(folder.iterdir())}


class TestAgainstLlamaCpp:
    @pytest.mark.parametrize("case", golden.CASES)
    def test_files_are_those_of_its_tool(self, demo: Path, tmp_path: Path, case: str) -> None:
        split(demo, tmp_path / "m", **golden.CASES[case]["ours"])
        assert checksums(tmp_path) == RECORDED["cases"][case]["files"]

    @pytest.mark.parametrize("case", golden.CASES)
    def test_its_files_merge_to_the_original(self, demo: Path, tmp_path: Path, case: str) -> None:
        """The files are its tool's, as the test before shows."""
        first, *_ = split(demo, tmp_path / "m", **golden.CASES[case]["ours"])
        merge(first.path, tmp_path / "whole.gguf")
        assert (tmp_path / "whole.gguf").read_bytes() == demo.read_bytes()
        merge(first.path, tmp_path / "kept.gguf", keep_keys=True)
        assert golden.checksum(tmp_path / "kept.gguf") == RECORDED["cases"][case]["merged"]

    def test_it_loads_our_files_by_the_first(self, demo: Path, parts: list[Path]) -> None:
        outputs = []
        for path in (demo, parts[0]):
            with Llama(path) as model:
                outputs.append(model.logits(model.tokenize("The capital of France is")))
        assert np.array_equal(*outputs)

    def test_it_loads_files_of_another_alignment(self, demo: Path, tmp_path: Path) -> None:
        """Its own tool makes such files unreadable."""
        with open_gguf(demo) as file:
            metadata = file.metadata.copy()
            metadata.set("general.alignment", 4096, ValueType.UINT32)
            gguf_tools.write(
                tmp_path / "wide.gguf", metadata, [(tensor.name, tensor) for tensor in file.tensors.values()]
            )
        first, *others = split(tmp_path / "wide.gguf", max_tensors=6)
        for output in (first, *others):
            with open_gguf(output.path, whole=False) as shard:
                assert shard.alignment == 4096
        with Llama(first.path) as model:
            assert model.generate("The capital of France is", 8).startswith(" Paris.")
        merge(others[-1].path, tmp_path / "whole.gguf")
        assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "wide.gguf").read_bytes()


class TestSplit:
    def test_any_file_opens_the_whole(self, demo: Path, parts: list[Path]) -> None:
        with open_gguf(demo) as whole:
            for path in parts:
                with open_gguf(path) as file:
                    assert file.metadata == whole.metadata
                    assert list(file.tensors) == list(whole.tensors)
                    for name, tensor in file.tensors.items():
                        assert np.array_equal(tensor.raw(0, 1), whole.tensors[name].raw(0, 1))

    def test_the_plan_is_exact(self, demo: Path, tmp_path: Path) -> None:
        planned = plan_split(demo, tmp_path / "m", max_size=500_000)
        assert list(tmp_path.iterdir()) == []
        split(demo, tmp_path / "m", max_size=500_000)
        assert [(plan.path, plan.size) for plan in planned] == [
            (path, path.stat().st_size) for path in sorted(tmp_path.iterdir())
        ]

    def test_limits_hold(self, demo: Path, tmp_path: Path) -> None:
        for output in plan_split(demo, tmp_path / "m", max_size=1_000_000):
            assert output.tensor_bytes <= 1_000_000 or len(output.tensors) == 1
        assert {len(output.tensors) for output in plan_split(demo, tmp_path / "m", max_tensors=3)} == {3, 2}

    def test_a_tensor_beyond_the_limit_has_its_own_file(self, demo: Path, tmp_path: Path) -> None:
        outputs = plan_split(demo, tmp_path / "m", max_size=1)
        assert [len(output.tensors) for output in outputs] == [1] * 20

    def test_the_name_comes_from_the_source(self, demo: Path, tmp_path: Path) -> None:
        shutil.copy(demo, tmp_path / "some.model.gguf")
        outputs = split(tmp_path / "some.model.gguf", max_tensors=10)
        assert [output.path.name for output in outputs] == [
            "some.model-00001-of-00002.gguf",
            "some.model-00002-of-00002.gguf",
        ]

    def test_a_split_model_is_split_anew(self, demo: Path, parts: list[Path], tmp_path: Path) -> None:
        again = split(parts[1], max_tensors=4)
        assert [output.path.name for output in again] == [f"m-{i:05}-of-00005.gguf" for i in range(1, 6)]
        merge(again[2].path, tmp_path / "whole.gguf")
        assert (tmp_path / "whole.gguf").read_bytes() == demo.read_bytes()

    def test_a_big_endian_source_is_turned_around(self, tmp_path: Path) -> None:
        turned = [b.Tensor("norm.weight", (3,), 0, np.array([1, 2, 3], ">f4").tobytes())]
        (tmp_path / "big.gguf").write_bytes(b.build([b.ARCHITECTURE], turned, order="big"))
        (tmp_path / "little.gguf").write_bytes(b.build([b.ARCHITECTURE], b.SMALL_TENSORS[:1]))
        for name in ("big", "little"):
            split(tmp_path / f"{name}.gguf", max_tensors=1)
        assert (tmp_path / "big-00001-of-00001.gguf").read_bytes() == (
            tmp_path / "little-00001-of-00001.gguf"
        ).read_bytes()

    @pytest.mark.parametrize(
        "limits", [{}, {"max_size": 1, "max_tensors": 1}, {"max_size": 0}, {"max_tensors": -1}], ids=str
    )
    def test_unusable_limits(self, demo: Path, tmp_path: Path, limits: dict[str, int]) -> None:
        with pytest.raises(GGUFToolsError, match=r"say either|must be positive"):
            split(demo, tmp_path / "m", **limits)

    def test_too_many_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Path) -> None:
        monkeypatch.setattr("gguf_tools.editing.splitting.MAX_SHARDS", 19)
        with pytest.raises(OutputError, match=r"too many files.*\(found 20, expected at most 19\)"):
            split(demo, tmp_path / "m", max_tensors=1)

    def test_unknown_types_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b.build([b.ARCHITECTURE], [b.Tensor("x", (32,), 99, bytes(64))]))
        with pytest.raises(UnsupportedError, match=r"a\.gguf: tensor 'x': .*unknown type,.*unknown \(99\)"):
            split(tmp_path / "a.gguf", max_tensors=1)


class TestNothingHalfDone:
    def test_an_existing_file_stops_everything(self, demo: Path, tmp_path: Path) -> None:
        (tmp_path / "m-00002-of-00003.gguf").write_bytes(b"old")
        with pytest.raises(OutputError, match=r"m-00002-of-00003\.gguf: exists already"):
            split(demo, tmp_path / "m", max_tensors=7)
        assert [path.name for path in tmp_path.iterdir()] == ["m-00002-of-00003.gguf"]
        split(demo, tmp_path / "m", max_tensors=7, force=True)
        assert checksums(tmp_path) == RECORDED["cases"]["tensors-7"]["files"]

    def test_a_file_that_appears_meanwhile_is_kept_and_all_others_are_taken_back(
        self, demo: Path, tmp_path: Path
    ) -> None:
        def intrude(done: int, total: int, tensor: str) -> None:
            (tmp_path / "m-00001-of-00003.gguf").write_bytes(b"theirs")

        with pytest.raises(OutputError, match=r"m-00001-of-00003\.gguf: exists already"):
            split(demo, tmp_path / "m", max_tensors=7, progress=intrude)
        assert [path.name for path in tmp_path.iterdir()] == ["m-00001-of-00003.gguf"]
        assert (tmp_path / "m-00001-of-00003.gguf").read_bytes() == b"theirs"

    @pytest.mark.parametrize("after", [1, 8, 19])
    def test_interrupted_split(self, demo: Path, tmp_path: Path, after: int) -> None:
        with pytest.raises(KeyboardInterrupt):
            split(demo, tmp_path / "m", max_tensors=7, progress=interruption(after))
        assert list(tmp_path.iterdir()) == []

    def test_interrupted_merge(self, parts: list[Path], tmp_path: Path) -> None:
        target = tmp_path / "whole.gguf"
        target.write_bytes(b"old")
        with pytest.raises(KeyboardInterrupt):
            merge(parts[0], target, force=True, progress=interruption(12))
        assert target.read_bytes() == b"old"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            *(path.name for path in parts),
            target.name,
        ]

    def test_killed_merge(self, parts: list[Path], tmp_path: Path) -> None:
        target = tmp_path / "whole.gguf"
        target.write_bytes(b"old")
        child = os.fork()
        if not child:
            merge(parts[0], target, force=True, progress=lambda *_: os.kill(os.getpid(), 9))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        assert target.read_bytes() == b"old"
        merge(parts[0], target, force=True)
        assert golden.checksum(target) == RECORDED["source"]

    def test_a_full_disk_is_seen_beforehand(
        self, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=demo.stat().st_size - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(OutputError, match=r"disk full: needs \d+ bytes, \d+ free"):
            split(demo, tmp_path / "m", max_tensors=7)
        assert list(tmp_path.iterdir()) == []


class TestWithoutTheKernelsHelp:
    @pytest.fixture(params=["missing", "refusing", "partial"], autouse=True)
    def kernel(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """`os.copy_file_range` is not there, fails, or copies a little and then fails."""
        real, calls = os.copy_file_range, []

        def stubborn(src: int, dst: int, count: int, at: int, to: int) -> int:
            calls.append(count)
            if request.param == "partial" and len(calls) % 2:
                return real(src, dst, min(count, 1000), at, to)
            raise OSError(22, "Invalid argument")

        if request.param == "missing":
            monkeypatch.delattr(os, "copy_file_range")
        else:
            monkeypatch.setattr(os, "copy_file_range", stubborn)
        yield
        assert calls or request.param == "missing"

    def test_the_bytes_are_the_same(self, demo: Path, tmp_path: Path) -> None:
        split(demo, tmp_path / "m", max_tensors=7)
        assert checksums(tmp_path) == RECORDED["cases"]["tensors-7"]["files"]


class TestMerge:
    def test_missing_files_are_named(self, parts: list[Path], tmp_path: Path) -> None:
        parts[1].unlink()
        with pytest.raises(FormatError, match=r"1 of the model's 3 files .* missing .*m-00002-of-00003"):
            merge(parts[0], tmp_path / "whole.gguf")
        assert not (tmp_path / "whole.gguf").exists()

    def test_a_file_that_is_not_split(self, demo: Path, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match=r"'split\.count': not one of the files of a split"):
            merge(demo, tmp_path / "whole.gguf")

    def test_the_plan_is_exact(self, demo: Path, parts: list[Path], tmp_path: Path) -> None:
        assert plan_merge(parts[0], tmp_path / "whole.gguf").size == demo.stat().st_size
        assert not (tmp_path / "whole.gguf").exists()

    def test_shards_of_a_model_of_other_tensors(self, demo: Path, parts: list[Path], tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        with open_gguf(demo) as file:
            some = [(t.name, t) for t in list(file.tensors.values())[:-1]]
            gguf_tools.write(other / "o.gguf", file.metadata, some)
        split(other / "o.gguf", other / "m", max_tensors=7)
        shutil.copy(other / parts[1].name, parts[1])
        with pytest.raises(FormatError, match=r"m-00002.*'split\.tensors\.count'.*\(found 19, expected 20\)"):
            merge(parts[0], tmp_path / "whole.gguf")

    def test_the_same_shard_twice(self, parts: list[Path], tmp_path: Path) -> None:
        shutil.copy(parts[0], parts[1])
        with pytest.raises(FormatError, match=r"m-00002.*'split\.no'.*\(found 0, expected 1\)"):
            merge(parts[0], tmp_path / "whole.gguf")

    def test_shards_cut_elsewhere(self, demo: Path, parts: list[Path], tmp_path: Path) -> None:
        """Same model, same number of files, other boundaries: tensors occur twice."""
        other = tmp_path / "other"
        other.mkdir()
        assert len(split(demo, other / "m", max_tensors=8)) == 3
        shutil.copy(other / parts[1].name, parts[1])
        with pytest.raises(FormatError, match=r"m-0000\d-of-00003\.gguf: tensor '.*': .*also in m-0000"):
            merge(parts[0], tmp_path / "whole.gguf")

    def test_shards_of_a_wider_model(self, tmp_path: Path) -> None:
        for name, width in (("a", 4), ("b", 8)):
            metadata = Metadata(
                [
                    ("general.architecture", ValueType.STRING, "llama"),
                    ("llama.embedding_length", ValueType.UINT32, width),
                ]
            )
            norms = [(f"blk.{i}.attn_norm.weight", np.ones(width, np.float32)) for i in range(2)]
            (tmp_path / name).mkdir()
            gguf_tools.write(tmp_path / name / "m.gguf", metadata, norms)
            split(tmp_path / name / "m.gguf", max_tensors=1)
        shutil.copy(tmp_path / "b" / "m-00002-of-00002.gguf", tmp_path / "a")
        with pytest.raises(FormatError, match=r"m-00002.*blk\.1.*of another model.*\(found 8, expected 4\)"):
            merge(tmp_path / "a" / "m-00001-of-00002.gguf", tmp_path / "whole.gguf")

    def test_onto_one_of_the_files(self, parts: list[Path]) -> None:
        before = parts[1].read_bytes()
        with pytest.raises(OutputError, match=r"m-00002-of-00003\.gguf: is an input"):
            merge(parts[0], parts[1], force=True)
        assert parts[1].read_bytes() == before

    def test_a_truncated_shard(self, parts: list[Path], tmp_path: Path) -> None:
        os.truncate(parts[2], parts[2].stat().st_size - 100)
        with pytest.raises(FormatError, match=r"m-00003.*past the end of the file"):
            merge(parts[0], tmp_path / "whole.gguf")

    def test_a_shard_that_shrinks_meanwhile(self, parts: list[Path], tmp_path: Path) -> None:
        def shrink(done: int, total: int, tensor: str) -> None:
            os.truncate(parts[2], 5000)

        with pytest.raises(FormatError, match=r"m-00003.*cut short meanwhile"):
            merge(parts[0], tmp_path / "whole.gguf", progress=shrink)
        assert not (tmp_path / "whole.gguf").exists()

    def test_metadata_keeps_its_types(self, tmp_path: Path) -> None:
        """Odd strings, nested arrays and integers of all sizes come through, as does an empty array."""
        pairs = [*b.SMALL_PAIRS, ("empty", b.ARRAY, (b.STRING, [])), ("i8", b.I8, -3), ("f64", b.F64, 0.1)]
        data = b.build(pairs, b.SMALL_TENSORS)
        (tmp_path / "odd.gguf").write_bytes(data)
        first, _ = split(tmp_path / "odd.gguf", max_tensors=1)
        merge(first.path, tmp_path / "whole.gguf")
        assert (tmp_path / "whole.gguf").read_bytes() == data


def interruption(after: int) -> Callable[[int, int, str], None]:
    """A progress function that is interrupted at its n-th call."""
    left = iter(range(after))

    def report(done: int, total: int, tensor: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return report
