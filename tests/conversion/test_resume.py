"""Interrupted runs are continued, and end with the bytes of a run that was not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.container.metadata import Metadata
from gguf_tools.container.writer import TensorInfo, header_bytes
from gguf_tools.conversion import engine, journal
from gguf_tools.conversion.plan import Plan, PlannedFile, PlannedTensor
from gguf_tools.errors import CheckpointError, GGUFToolsError, OutputError
from gguf_tools.source import ArraySource
from gguf_tools.spec import GGMLType
from tests import tiny
from tests.conversion.killing import CHUNK, LENGTH, ROWS, Counted, killed_runs, single


def split(sources: list[ArraySource]) -> Plan:
    """A model split into shards of one tensor each."""
    files = []
    for number, source in enumerate(sources):
        name = f"blk.{number}.ffn_up.weight"
        layout = header_bytes(Metadata(), [TensorInfo(name, (ROWS, LENGTH), GGMLType.Q8_0)])
        tensor = PlannedTensor(
            name, (ROWS, LENGTH), GGMLType.Q8_0, source, layout.offsets[0], layout.sizes[0], GGMLType.Q8_0
        )
        file = f"m-{number + 1:05}-of-{len(sources):05}.gguf"
        files.append(PlannedFile(file, layout.header, (tensor,), layout.total_size))
    return Plan("gguf", "test", "llama", "Q8_0", tuple(files))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(autouse=True)
def _synced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failed_run_is_continued_where_it_stopped(tmp_path: Path, threads: int) -> None:
    expected, target = tmp_path / "whole.gguf", tmp_path / "a.gguf"
    engine.execute(single(Counted(1), Counted(2)), expected)
    with pytest.raises(GGUFToolsError, match="broken"):
        engine.execute(
            single(Counted(1), Counted(2, fails_at=200)),
            target,
            engine.RunOptions(resume=True, threads=threads),
            chunk_elements=CHUNK,
        )
    assert not target.exists()
    first, second = Counted(1), Counted(2)
    engine.execute(single(first, second), target, engine.RunOptions(resume=True), chunk_elements=CHUNK // 2)
    assert first.read == 0
    assert ROWS // 2 <= second.read <= ROWS // 2 + threads * 10
    assert target.read_bytes() == expected.read_bytes()
    assert sorted(contents(tmp_path)) == ["a.gguf", "whole.gguf"]


def test_progress_goes_on_too(tmp_path: Path) -> None:
    with pytest.raises(GGUFToolsError):
        engine.execute(
            single(Counted(1, fails_at=200)),
            tmp_path / "a",
            engine.RunOptions(resume=True, threads=1),
            chunk_elements=CHUNK,
        )
    seen: list[int] = []
    plan = single(Counted(1))
    engine.execute(
        plan,
        tmp_path / "a",
        engine.RunOptions(resume=True, threads=1, progress=lambda done, total, tensor: seen.append(done)),
        chunk_elements=CHUNK,
    )
    assert seen[0] == plan.tensor_bytes * 210 // ROWS
    assert seen[-1] == plan.tensor_bytes


def test_without_resume_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GGUFToolsError):
        engine.execute(
            single(Counted(1, fails_at=200)),
            tmp_path / "a",
            engine.RunOptions(threads=1),
            chunk_elements=CHUNK,
        )
    assert contents(tmp_path) == {}


def failed(target: Path, plan: Plan) -> None:
    with pytest.raises(GGUFToolsError, match="broken"):
        engine.execute(plan, target, engine.RunOptions(resume=True, threads=1), chunk_elements=CHUNK)


def test_nothing_is_thrown_away_unasked(tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    failed(target, single(Counted(1, fails_at=200)))
    left = contents(tmp_path)
    with pytest.raises(OutputError, match="pass --resume to go on with it, or --force"):
        engine.execute(single(Counted(1)), target)
    assert contents(tmp_path) == left
    source = Counted(1)
    engine.execute(single(source), target, engine.RunOptions(force=True))
    assert source.read == ROWS
    assert list(contents(tmp_path)) == ["a.gguf"]


def test_what_another_plan_left_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    failed(target, single(Counted(1, fails_at=200)))
    left = contents(tmp_path)
    other = single(Counted(1), Counted(2))
    with pytest.raises(OutputError, match="have changed since"):
        engine.execute(other, target, engine.RunOptions(resume=True))
    assert contents(tmp_path) == left
    engine.execute(other, target)
    assert target.stat().st_size == other.size
    assert list(contents(tmp_path)) == ["a.gguf"]


def test_a_garbled_end_of_the_journal_costs_what_it_speaks_of(tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    engine.execute(single(Counted(1)), tmp_path / "whole.gguf")
    failed(target, single(Counted(1, fails_at=200)))
    path = tmp_path / ".a.gguf.journal"
    data = path.read_bytes()
    path.write_bytes(data[:-38] + bytes(5))  # one record and a half are gone
    source = Counted(1)
    engine.execute(single(source), target, engine.RunOptions(resume=True), chunk_elements=CHUNK)
    assert source.read == ROWS // 2 + 20
    assert target.read_bytes() == (tmp_path / "whole.gguf").read_bytes()


@pytest.mark.parametrize("data", [b"", b"gguf-tools journal 1 ", b"x" * 100], ids=["empty", "cut", "other"])
def test_a_journal_that_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".a.gguf.journal").write_bytes(data)
    (tmp_path / ".a.gguf.partial").write_bytes(b"leftover")
    engine.execute(single(Counted(1)), tmp_path / "a.gguf")
    engine.execute(single(Counted(1)), tmp_path / "b.gguf")
    files = contents(tmp_path)
    assert list(files) == ["a.gguf", "b.gguf"]
    assert files["a.gguf"] == files["b.gguf"]


@pytest.mark.parametrize("tidied", ["removed", "emptied", "linked"])
def test_a_journal_whose_file_is_gone_is_not_believed(tmp_path: Path, tidied: str) -> None:
    target, partial = tmp_path / "a.gguf", tmp_path / ".a.gguf.partial"
    engine.execute(single(Counted(1)), tmp_path / "whole.gguf")
    failed(target, single(Counted(1, fails_at=200)))
    if tidied == "emptied":
        partial.write_bytes(b"")
    else:
        partial.unlink()
    source = Counted(1)
    if tidied == "linked":
        (tmp_path / "other").write_bytes(b"precious")
        partial.symlink_to("other")
        with pytest.raises(OutputError, match="cannot create the output"):
            engine.execute(single(source), target, engine.RunOptions(resume=True))
        assert (tmp_path / "other").read_bytes() == b"precious"
        return
    engine.execute(single(source), target, engine.RunOptions(resume=True))
    assert source.read == ROWS
    assert target.read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_shards_are_final_as_soon_as_they_are_complete(tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    (tmp_path / "whole").mkdir()
    engine.execute(split([Counted(i) for i in range(4)]), tmp_path / "whole" / "m.gguf")
    failed(target, split([Counted(0), Counted(1), Counted(2, fails_at=100), Counted(3)]))
    whole = contents(tmp_path / "whole")
    done = [name for name in contents(tmp_path) if name in whole and (tmp_path / name).exists()]
    assert done == ["m-00001-of-00004.gguf", "m-00002-of-00004.gguf"]
    assert all((tmp_path / name).read_bytes() == whole[name] for name in done)
    sources = [Counted(i) for i in range(4)]
    engine.execute(split(list(sources)), target, engine.RunOptions(resume=True))
    assert [source.read for source in sources[:2]] == [0, 0]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == whole


def test_shards_that_exist_are_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"m-00002-of-00002\.gguf: exists already"):
        engine.execute(split([Counted(0), Counted(1)]), tmp_path / "m.gguf")
    assert contents(tmp_path) == {"m-00002-of-00002.gguf": b"mine"}


def test_a_directory_is_continued_too(tmp_path: Path) -> None:
    checkpoint = tiny.build("qwen3", tmp_path)
    gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0")
    gguf_tools.export(tmp_path / "a.gguf", tmp_path / "whole")

    calls = 0

    def interrupt(done: int, total: int, tensor: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gguf_tools.export(tmp_path / "a.gguf", tmp_path / "again", resume=True, threads=1, progress=interrupt)
    assert not (tmp_path / "again").exists()
    gguf_tools.export(tmp_path / "a.gguf", tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_two_at_once(tmp_path: Path) -> None:
    """While one writes, another for the same output is refused, and harms nothing."""
    refused: list[str] = []

    class Busy(Counted):
        def rows(self, start: int, stop: int) -> NDArray[np.float32]:
            if not refused:
                for flags in ({}, {"force": True}, {"resume": True}):
                    with pytest.raises(OutputError, match="another process is writing this output") as caught:
                        engine.execute(single(Counted(5)), tmp_path / "a.gguf", engine.RunOptions(**flags))
                    refused.append(str(caught.value))
            return super().rows(start, stop)

    engine.execute(single(Busy(1)), tmp_path / "a.gguf", engine.RunOptions(threads=1))
    engine.execute(single(Counted(1)), tmp_path / "b.gguf")
    assert len(refused) == 3
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_a_source_that_changes_meanwhile(tmp_path: Path) -> None:
    checkpoint = tiny.build("qwen3", tmp_path)
    (weights,) = checkpoint.glob("*.safetensors")

    def touch(done: int, total: int, tensor: str) -> None:
        with weights.open("r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"\x01\x02\x03\x04")

    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: the file changed while it was being read"
    ):
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", progress=touch)
    assert not (tmp_path / "a.gguf").exists()


def test_a_source_that_is_removed_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    checkpoint = tiny.build("qwen3", tmp_path)
    gguf_tools.convert(checkpoint, tmp_path / "whole.gguf")
    (weights,) = checkpoint.glob("*.safetensors")
    gguf_tools.convert(
        checkpoint, tmp_path / "a.gguf", progress=lambda done, total, tensor: weights.unlink(missing_ok=True)
    )
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_a_changed_source_is_not_continued_from(tmp_path: Path) -> None:
    checkpoint = tiny.build("qwen3", tmp_path)

    def interrupt(done: int, total: int, tensor: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", resume=True, progress=interrupt)
    (weights,) = checkpoint.glob("*.safetensors")
    later = weights.stat().st_mtime_ns + 10**9
    os.utime(weights, ns=(later, later))
    with pytest.raises(OutputError, match="have changed since"):
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", resume=True)


def test_killed_at_random_points_again_and_again(tmp_path: Path) -> None:
    engine.execute(single(Counted(1), Counted(2)), tmp_path / "whole.gguf")
    kills = list(killed_runs(tmp_path / "a.gguf", seed=1))
    assert kills
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    assert sorted(contents(tmp_path)) == ["a.gguf", "whole.gguf"]


@pytest.mark.parametrize(
    ("budget", "workers", "expected"),
    [
        (1 << 30, 2, (2, 1 << 19)),
        (24 << 20, 2, (2, 1 << 19)),
        (16 << 20, 2, (2, 1 << 18)),
        (1 << 20, 16, (2, 1 << 14)),
        (24 << 14, 64, (1, 1 << 14)),
    ],
)
def test_memory_decides_on_chunks_and_workers(budget: int, workers: int, expected: tuple[int, int]) -> None:
    assert engine.fitting(budget, workers, engine.CHUNK_ELEMENTS) == expected
    made, elements = expected
    assert made * elements * engine.BYTES_PER_VALUE <= budget


def test_too_little_memory(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too little memory to work in"):
        engine.execute(single(Counted(1)), tmp_path / "a", engine.RunOptions(max_memory=1000))
    assert contents(tmp_path) == {}
