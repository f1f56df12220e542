"""The engine: the same bytes however the work is cut, and nothing left behind when it fails."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.conversion import engine
from gguf_tools.conversion.plan import Plan, PlannedFile, PlannedTensor
from gguf_tools.errors import GGUFToolsError, NonFiniteError, OutputError
from gguf_tools.source import ArraySource, SelfContained, Source, row_count
from gguf_tools.spec import GGMLType
from tests.conversion.plans import plan_of, random

ROOT = Path(__file__).resolve().parents[2]


def some_tensors() -> dict[str, Source]:
    return {
        "token_embd.weight": ArraySource(random(300, 256, seed=1)),
        "blk.0.attn_v.weight": ArraySource(random(64, 512, seed=2)),
        "blk.0.attn_norm.weight": ArraySource(random(256, seed=3)),
        "blk.1.ffn_down.weight": ArraySource(random(5, 7, 256, seed=4)),
        "blk.1.ffn_up.weight": ArraySource(random(3, 96, seed=5)),
    }


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("elements", [1, 256, 1000, 1 << 14, 1 << 30])
def test_bytes_depend_neither_on_threads_nor_on_chunks(tmp_path: Path, threads: int, elements: int) -> None:
    plan = plan_of(some_tensors())
    engine.execute(plan, tmp_path / "a.gguf", engine.RunOptions(threads=threads), chunk_elements=elements)
    engine.execute(plan, tmp_path / "b.gguf", engine.RunOptions(threads=1))
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert (tmp_path / "a.gguf").stat().st_size == plan.size


def test_what_is_written_is_what_was_planned(tmp_path: Path) -> None:
    tensors = some_tensors()
    plan = plan_of(tensors)
    engine.execute(plan, tmp_path / "a.gguf")
    with gguf_tools.open(tmp_path / "a.gguf") as file:
        for planned in plan.tensors():
            stored = file.tensors[planned.name]
            assert (stored.type, stored.shape, stored.offset) == (planned.type, planned.shape, planned.offset)
            rows = row_count(planned.shape)
            values = tensors[planned.name].rows(0, rows)
            expected = values.view(np.uint8)
            if planned.type is not GGMLType.F32:
                expected = gguf_tools.quantize(values, planned.type)
            assert np.array_equal(stored.raw(0, rows), expected)


class Stored(SelfContained):
    """A source of given bytes that must not be decoded."""

    def __init__(self, data: NDArray[np.uint8], shape: tuple[int, ...], storage: GGMLType) -> None:
        self._data, self.shape, self.storage = data, shape, storage

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        raise AssertionError("a tensor whose type stays is copied")

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self._data[start:stop]


def test_a_tensor_whose_type_stays_is_copied_byte_for_byte(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (40, 144), np.uint8)
    plan = plan_of({"blk.0.attn_q.weight": Stored(data, (40, 256), GGMLType.Q4_K)}, "Q4_K_S")
    engine.execute(plan, tmp_path / "a.gguf", chunk_elements=2048)
    with gguf_tools.open(tmp_path / "a.gguf") as file:
        assert np.array_equal(file.tensors["blk.0.attn_q.weight"].raw(0, 40), data)


class Faulty(ArraySource):
    """Rows that fail from a certain one on."""

    def __init__(self, array: NDArray[np.float32], row: int, error: BaseException) -> None:
        super().__init__(array)
        self._row, self._error = row, error

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        if stop > self._row:
            raise self._error
        return super().rows(start, stop)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [GGUFToolsError("broken"), MemoryError("full"), KeyboardInterrupt()])
def test_a_source_that_fails_leaves_nothing(tmp_path: Path, threads: int, error: BaseException) -> None:
    tensors = some_tensors() | {"output.weight": Faulty(random(900, 256), 600, error)}
    plan = plan_of(tensors)
    with pytest.raises(type(error)) as caught:
        engine.execute(plan, tmp_path / "a.gguf", engine.RunOptions(threads=threads), chunk_elements=1024)
    assert caught.value is error
    assert listing(tmp_path) == []


def test_workers_stop_soon_after_a_failure(tmp_path: Path) -> None:
    asked = []

    class Counted(Faulty):
        def rows(self, start: int, stop: int) -> NDArray[np.float32]:
            asked.append(start)
            return super().rows(start, stop)

    plan = plan_of({"output.weight": Counted(random(4000, 256), 40, GGUFToolsError("broken"))})
    with pytest.raises(GGUFToolsError, match="broken"):
        engine.execute(plan, tmp_path / "a.gguf", engine.RunOptions(threads=2), chunk_elements=2560)
    assert len(asked) < 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_cannot_be_quantized_is_named(tmp_path: Path, value: float) -> None:
    array = random(50, 512)
    array[37, 300] = value
    plan = plan_of(some_tensors() | {"blk.1.attn_q.weight": ArraySource(array)})
    with pytest.raises(NonFiniteError, match=r"tensor 'blk\.1\.attn_q\.weight': .*index \(37, 300\)"):
        engine.execute(plan, tmp_path / "a.gguf", chunk_elements=2048)
    assert listing(tmp_path) == []


class TestDiskFull:
    def test_when_space_is_reserved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(fd: int, offset: int, size: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        plan = plan_of(some_tensors())
        with pytest.raises(OutputError, match=rf"disk full.*{plan.size}"):
            engine.execute(plan, tmp_path / "a.gguf")
        assert listing(tmp_path) == []

    def test_in_the_middle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pwrite = os.pwrite
        left = [20_000]

        def limited(fd: int, data: memoryview, offset: int) -> int:
            left[0] -= len(data)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return pwrite(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", limited)
        with pytest.raises(OutputError, match="disk full"):
            engine.execute(
                plan_of(some_tensors()),
                tmp_path / "a.gguf",
                engine.RunOptions(threads=2),
                chunk_elements=1024,
            )
        assert listing(tmp_path) == []

    def test_by_a_real_limit(self, tmp_path: Path) -> None:
        """The kernel's limit on the size of files stands in for a full disk."""
        done = run_here(
            """
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            engine.execute(plan_of(some_tensors()), sys.argv[1] + "/a.gguf")
            """,
            tmp_path,
        )
        assert "OutputError" in done.stderr.splitlines()[-1]
        assert listing(tmp_path) == []


def run_here(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with this module's names; ``sys.argv[1]`` is ``folder``."""
    text = "import resource, signal, sys\nfrom tests.conversion.test_engine import *\n" + textwrap.dedent(
        code
    )
    return subprocess.run(
        [sys.executable, "-c", text, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"old")
    plan = plan_of(some_tensors())
    with pytest.raises(OutputError, match="exists already"):
        engine.execute(plan, tmp_path / "a.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == b"old"
    engine.execute(plan, tmp_path / "a.gguf", engine.RunOptions(force=True))
    assert (tmp_path / "a.gguf").stat().st_size == plan.size
    assert listing(tmp_path) == ["a.gguf"]


class Slow(ArraySource):
    """Rows that take a while, and say when they are first asked for."""

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        print("working", flush=True)
        time.sleep(0.05)
        return super().rows(start, stop)


@pytest.mark.parametrize(
    ("number", "left"),
    [(signal.SIGINT, []), (signal.SIGKILL, [".a.gguf.journal", ".a.gguf.partial"])],
    ids=["interrupted", "killed"],
)
def test_a_run_that_is_ended_leaves_no_output(tmp_path: Path, number: int, left: list[str]) -> None:
    code = """
    import sys
    from tests.conversion.test_engine import *
    plan = plan_of({"output.weight": Slow(random(4000, 256))})
    engine.execute(plan, sys.argv[1] + "/a.gguf", engine.RunOptions(threads=2), chunk_elements=2560)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"working")
        child.send_signal(number)
        child.stdout.read()
    assert child.returncode != 0
    assert set(listing(tmp_path)) <= set(left)  # killed before its first chunk it has written nothing yet


def test_an_interruption_while_workers_start_ends_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = engine.Workers.submit

    def submit(pool: engine.Workers, work: Callable[[], None]) -> Future[None]:
        if pool._threads:
            raise KeyboardInterrupt
        return begin(pool, work)

    monkeypatch.setattr(engine.Workers, "submit", submit)
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        engine.execute(
            plan_of({"output.weight": Slow(random(4000, 256))}),
            tmp_path / "a.gguf",
            engine.RunOptions(threads=2, progress=lambda count, total, tensor: done.append(count)),
            chunk_elements=25600,
        )
    assert len(done) <= 1  # of forty chunks
    assert listing(tmp_path) == []


def test_progress_only_grows_and_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    plan = plan_of(some_tensors())
    engine.execute(
        plan,
        tmp_path / "a.gguf",
        engine.RunOptions(threads=3, progress=lambda done, total, tensor: seen.append((done, total, tensor))),
        chunk_elements=1000,
    )
    done = [entry[0] for entry in seen]
    assert done == sorted(done)
    assert done[-1] == plan.tensor_bytes
    assert {entry[1] for entry in seen} == {plan.tensor_bytes}
    assert {entry[2] for entry in seen} == {tensor.name for tensor in plan.tensors()}


def test_a_source_of_another_size_than_planned_is_an_error(tmp_path: Path) -> None:
    class Short(ArraySource):
        def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
            return super().raw(start, stop - 1)

    plan = plan_of({"blk.0.attn_norm.weight": Short(random(4, 256))}, "F32")
    with pytest.raises(GGUFToolsError, match="another amount of data than planned"):
        engine.execute(plan, tmp_path / "a.gguf")
    assert listing(tmp_path) == []


class TestDirectory:
    def plan(self, sidecars: dict[str, bytes] | None = None) -> Plan:
        def tensor(name: str, offset: int) -> PlannedTensor:
            source = ArraySource(random(4, 8, seed=offset))
            return PlannedTensor(name, (4, 8), GGMLType.F16, source, offset, 64, GGMLType.F16)

        files = tuple(
            PlannedFile(f"part-{part}", b"head", (tensor("a", 4), tensor("b", 72)), 136) for part in (1, 2)
        )
        return Plan("checkpoint", "test", "llama", "F16", files, sidecars or {})

    def test_files_and_sidecars(self, tmp_path: Path) -> None:
        plan = self.plan({"config.json": b"{}", "1_Pooling/config.json": b"[]", "empty": b""})
        engine.execute(plan, tmp_path / "out")
        assert listing(tmp_path) == ["out"]
        assert listing(tmp_path / "out") == ["1_Pooling", "config.json", "empty", "part-1", "part-2"]
        assert (tmp_path / "out" / "1_Pooling" / "config.json").read_bytes() == b"[]"
        first = (tmp_path / "out" / "part-1").read_bytes()
        assert first == (tmp_path / "out" / "part-2").read_bytes()
        assert len(first) == 136
        assert first[:4] == b"head"
        assert first[68:72] == bytes(4)

    def test_nothing_is_left_of_a_failure(self, tmp_path: Path) -> None:
        plan = self.plan({"config.json": b"{}"})
        broken = PlannedTensor(
            "c", (9, 8), GGMLType.Q8_0, Faulty(random(9, 8), 2, GGUFToolsError("x")), 136, 9, GGMLType.Q8_0
        )
        files = (*plan.files, PlannedFile("part-3", b"", (broken,), 200))
        with pytest.raises(GGUFToolsError):
            engine.execute(Plan("checkpoint", "", "", "F16", files, plan.sidecars), tmp_path / "out")
        assert listing(tmp_path) == []

    def test_existing_directory(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_bytes(b"old")
        with pytest.raises(OutputError, match="exists already"):
            engine.execute(self.plan(), tmp_path / "out")
        assert listing(tmp_path / "out") == ["mine"]
        engine.execute(self.plan(), tmp_path / "out", engine.RunOptions(force=True))
        assert listing(tmp_path / "out") == ["part-1", "part-2"]

    def test_disk_full_is_known_beforehand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import shutil

        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 900, 100))
        with pytest.raises(OutputError, match="disk full: needs 272 bytes, 100 free"):
            engine.execute(self.plan(), tmp_path / "out")
        assert listing(tmp_path) == []


def test_memory_is_bounded_by_what_is_in_flight(tmp_path: Path) -> None:
    """A tensor of 1 GB, made on the fly, goes through in a small part of that."""
    done = run_here(
        """
        class Endless:
            shape, storage = (250_000, 1024), None

            def rows(self, start, stop):
                return np.full((stop - start, 1024), start % 7, np.float32)

        small = plan_of({"output.weight": ArraySource(random(64, 1024))}, "Q8_0")
        engine.execute(small, sys.argv[1] + "/small.gguf", engine.RunOptions(threads=2))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        endless = plan_of({"output.weight": Endless()}, "Q8_0")
        engine.execute(endless, sys.argv[1] + "/a.gguf", engine.RunOptions(threads=2))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    chunk = 4 * engine.CHUNK_ELEMENTS
    assert int(done.stdout) * 1024 < 2 * 6 * chunk  # threads × (values, their copies and encoded forms)


def test_threads_are_gone_afterwards(tmp_path: Path) -> None:
    engine.execute(plan_of(some_tensors()), tmp_path / "a.gguf", engine.RunOptions(threads=4))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gguf-tools")]


def test_all_cores_are_used_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    pool = engine.Workers

    def counted(workers: int) -> object:
        made.append(workers)
        return pool(workers)

    monkeypatch.setattr(engine, "Workers", counted)
    engine.execute(plan_of(some_tensors()), tmp_path / "a.gguf")
    assert made == [engine.available_cores()]
    assert engine.available_cores() == len(os.sched_getaffinity(0))
