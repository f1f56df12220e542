"""Joining, cutting and rewriting that is killed: nothing is half done, and `resume` goes on with it."""

from __future__ import annotations

import os
import random as chance
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gguf_tools
from gguf_tools.conversion import engine, journal
from gguf_tools.editing.changes import Changes
from gguf_tools.editing.edit import edit
from gguf_tools.editing.splitting import merge, split
from gguf_tools.errors import OutputError

ROOT = Path(__file__).resolve().parents[2]
LONG = Changes(set={"general.name": "x" * 3000})
MOVED = Changes(set={"general.alignment": 64}, type="uint32")
MOST_RUNS = 60

SLOW = """
import sys, time
from pathlib import Path
from gguf_tools.conversion import engine, journal
from gguf_tools.editing import edit
from tests.editing.test_resuming import JOBS
engine.COPIED_BYTES = edit._ROW = 1 << 13
journal.SYNC_SECONDS = 0.005

def slow(*_):
    print("working", flush=True)
    time.sleep(0.003)

JOBS[sys.argv[1]](Path(sys.argv[2]), resume=True, progress=slow)
"""


def _merge(folder: Path, **options: Any) -> None:
    merge(folder / "m-00002-of-00003.gguf", folder / "out.gguf", **options)


def _replace(folder: Path, **options: Any) -> None:
    merge(folder / "m-00001-of-00003.gguf", folder / "old.gguf", force=True, **options)


def _split(folder: Path, **options: Any) -> None:
    split(folder / "whole.gguf", folder / "s", max_tensors=6, **options)


def _edit(folder: Path, **options: Any) -> None:
    edit(folder / "old.gguf", LONG, **options)


def _move(folder: Path, **options: Any) -> None:
    edit(folder / "old.gguf", MOVED, **options)


JOBS: dict[str, Callable[..., None]] = {
    "merge": _merge,
    "merge over a file": _replace,
    "split": _split,
    "edit": _edit,
    "edit that moves tensors": _move,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo model whole, a copy of it to be replaced, and in three files."""
    folder = tmp_path_factory.mktemp("resume")
    gguf_tools.convert(ROOT / "fixtures" / "demo", folder / "whole.gguf", type="Q8_0")
    shutil.copy(folder / "whole.gguf", folder / "old.gguf")
    split(folder / "whole.gguf", folder / "m", max_tensors=7)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "COPIED_BYTES", 1 << 13)
    monkeypatch.setattr("gguf_tools.editing.edit._ROW", 1 << 13)
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def visible(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if not name.startswith(".")}


def interruption(after: int) -> Callable[[int, int, str], None]:
    """A progress function that is interrupted at its n-th call."""
    left = iter(range(after))

    def report(done: int, total: int, tensor: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return report


def kills(job: str, folder: Path, seed: int) -> Iterator[int]:
    """Run a job until it comes to its end, killing it at random moments; gives the number of each kill."""
    dice, before = chance.Random(seed), visible(folder)
    for number in range(MOST_RUNS):
        with subprocess.Popen(
            [sys.executable, "-c", SLOW, job, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(dice.uniform(0.01, 0.1 + number / 50))  # a slow machine comes to an end, too
            child.send_signal(signal.SIGKILL)
        if child.returncode == 0:
            return
        yield number
        if visible(folder) != before and not list(folder.glob(".*.journal")):
            return  # killed when all was done
    raise AssertionError("no end in sight")


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_random_points_again_and_again(folder: Path, tmp_path: Path, job: str) -> None:
    before = contents(folder)
    shutil.copytree(folder, tmp_path / "expected")
    JOBS[job](tmp_path / "expected")
    expected = contents(tmp_path / "expected")
    count = 0
    for _ in kills(job, folder, seed=len(job)):
        count += 1
        for name, data in visible(folder).items():  # at any moment: the old bytes or all of the new ones
            assert data in (before.get(name), expected.get(name)), name
    assert count
    assert contents(folder) == expected


@pytest.mark.usefixtures("_small_steps")
class TestGoingOn:
    @pytest.mark.parametrize("job", JOBS)
    def test_what_is_done_is_not_done_again(self, folder: Path, tmp_path: Path, job: str) -> None:
        shutil.copytree(folder, tmp_path / "expected")
        JOBS[job](tmp_path / "expected")
        before = visible(folder)
        first: list[int] = []
        stop = interruption(40)

        def interrupt(done: int, total: int, tensor: str) -> None:
            stop(done, total, tensor)
            first.append(done)

        with pytest.raises(KeyboardInterrupt):
            JOBS[job](folder, resume=True, progress=interrupt)
        assert visible(folder) == before
        again: list[int] = []
        JOBS[job](folder, resume=True, progress=lambda done, total, tensor: again.append(done))
        assert min(again) > max(first) - 4 * (1 << 13)  # what two workers had in hand may be done twice
        assert contents(folder) == contents(tmp_path / "expected")

    def test_nothing_is_thrown_away_unasked(self, folder: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            _merge(folder, resume=True, progress=interruption(40))
        left = contents(folder)
        with pytest.raises(OutputError, match=r"out\.gguf: an interrupted run has left a part.*--resume"):
            _merge(folder)
        assert contents(folder) == left
        _merge(folder, force=True)
        assert (folder / "out.gguf").read_bytes() == left["whole.gguf"]
        assert not [name for name in contents(folder) if name.startswith(".")]

    def test_what_another_job_left_is_refused(self, folder: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            _merge(folder, resume=True, progress=interruption(40))
        left = contents(folder)
        with pytest.raises(OutputError, match=r"out\.gguf: what an interrupted run left.*have changed since"):
            merge(folder / "m-00001-of-00003.gguf", folder / "out.gguf", keep_keys=True, resume=True)
        later = (folder / "m-00003-of-00003.gguf").stat().st_mtime_ns + 10**9
        os.utime(folder / "m-00003-of-00003.gguf", ns=(later, later))
        with pytest.raises(OutputError, match="have changed since"):
            _merge(folder, resume=True)
        assert contents(folder) == left

    def test_a_half_written_file_that_was_removed_is_not_taken_for_written(self, folder: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            _merge(folder, resume=True, progress=interruption(40))
        (folder / ".out.gguf.partial").unlink()
        _merge(folder, resume=True)
        assert (folder / "out.gguf").read_bytes() == (folder / "whole.gguf").read_bytes()

    def test_shards_whose_naming_was_interrupted(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They get their names from the last to the first; a kill in between is continued, too."""
        real, names = os.link, []

        def kill(src: Path, dst: Path) -> None:
            names.append(Path(dst).name)
            if len(names) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            real(src, dst)

        shutil.copytree(folder, tmp_path / "expected")
        _split(tmp_path / "expected")
        child = os.fork()
        if not child:
            monkeypatch.setattr(os, "link", kill)
            _split(folder, resume=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        shards = sorted(name for name in visible(folder) if name.startswith("s-"))
        assert shards == ["s-00003-of-00004.gguf", "s-00004-of-00004.gguf"]
        _split(folder, resume=True)
        assert contents(folder) == contents(tmp_path / "expected")

    def test_an_edit_that_was_killed_when_all_was_done(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is the new one already; what is left is the journal, for the next run to remove."""
        real = os.replace

        def kill(src: Path, dst: Path) -> None:
            real(src, dst)
            os.kill(os.getpid(), signal.SIGKILL)

        shutil.copytree(folder, tmp_path / "expected")
        _edit(tmp_path / "expected")
        child = os.fork()
        if not child:
            monkeypatch.setattr(os, "replace", kill)
            _edit(folder, resume=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        assert visible(folder) == contents(tmp_path / "expected")
        assert (folder / ".old.gguf.journal").exists()
        _edit(folder, resume=True)
        assert contents(folder) == contents(tmp_path / "expected")
