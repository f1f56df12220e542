"""Fault injection: every call that touches the disk fails in turn, for every job that writes.

A small job is run once to count its calls of each kind; then once for every one of them, with that call
failing: the disk is broken (``EIO``) or full (``ENOSPC``). Each time the job succeeds all the same with the
right bytes, or its error is typed and names a file; no partial file stands under a final name, and nothing is
left over. With ``resume``, the next run ends with the bytes of one that nothing happened to.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gguf_tools
from gguf_tools.conversion import journal
from gguf_tools.errors import GGUFToolsError
from tests import tiny

CALLS = (
    *("open", "pwrite", "write", "preadv", "pread", "copy_file_range"),
    *("fsync", "posix_fallocate", "ftruncate", "link", "replace", "rename", "unlink"),
)
"""Functions of `os` by which the package reads and writes."""

UNDO = frozenset({"unlink"})
"""What is left over when this fails cannot be helped."""

Job = Callable[[Path, Path, bool], Any]


def _convert(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.convert(source / "tiny-llama", folder / "out.gguf", type="Q8_0", threads=1, resume=resume)


def _shards(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.convert(
        *(source / "tiny-llama", folder / "out.gguf"),
        type="Q8_0",
        threads=1,
        split_max_size=1_000_000,
        resume=resume,
    )


def _export(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.export(source / "model.gguf", folder / "out", threads=1, resume=resume)


def _requantize(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.requantize(source / "model.gguf", folder / "out.gguf", type="Q4_0", threads=1, resume=resume)


def _split(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.split(source / "model.gguf", folder / "out", max_tensors=15)


def _merge(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.merge(next(source.glob("part-00001-*")), folder / "out.gguf")


JOBS: dict[str, Job] = {
    "convert": _convert,
    "shards": _shards,
    "export": _export,
    "requantize": _requantize,
    "split": _split,
    "merge": _merge,
}
RESUMABLE = ("convert", "shards", "export", "requantize")


class Faults:
    """Functions of `os` that count their calls on files below a directory, and fail at one of them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = os.fspath(root)
        self.counts = dict.fromkeys(CALLS, 0)
        self.call, self.number, self.error = "", 0, 0
        self.hit = False
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))

    def arm(self, call: str, number: int, error: int) -> None:
        self.counts = dict.fromkeys(CALLS, 0)
        self.call, self.number, self.error = call, number, error
        self.hit = False

    def _failing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **named: Any) -> Any:
            if self._ours(first):
                self.counts[name] += 1
                if name == self.call and self.counts[name] == self.number:
                    self.hit = True
                    raise OSError(self.error, os.strerror(self.error))
            return function(first, *rest, **named)

        return call

    def _ours(self, place: Any) -> bool:
        if isinstance(place, int):
            try:
                place = os.readlink(f"/proc/self/fd/{place}")
            except OSError:
                return False
        return os.fspath(place).startswith(self.root)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources(tmp_path_factory.mktemp("faults"))


def sources(folder: Path) -> Path:
    """Put a checkpoint, a GGUF file, and that in parts into a directory."""
    tiny.build("llama", folder)
    gguf_tools.convert(folder / "tiny-llama", folder / "model.gguf", type="Q8_0")
    gguf_tools.split(folder / "model.gguf", folder / "part", max_tensors=15)
    return folder


def swept(
    name: str,
    source: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    resume: bool,
    most: int = 4,
) -> tuple[int, list[str]]:
    """How many runs had a fault, and what went wrong; of more calls than ``most``, the first and last."""
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0)
    job = JOBS[name]
    whole = folder / "whole"
    whole.mkdir()
    job(source, whole, False)
    expected = contents(whole)
    # the sources are below the same directory as the outputs, so that reading fails as well
    faults = Faults(folder.parent, monkeypatch)
    faults.arm("", 0, 0)
    (folder / "counted").mkdir()
    job(source, folder / "counted", resume)
    counts = faults.counts
    runs, problems = 0, []
    for call, count in counts.items():
        numbers = range(1, count + 1)
        for number in sorted({*numbers[: most // 2], *numbers[max(0, count - most // 2) :]}):
            error = (errno.EIO, errno.ENOSPC)[number % 2]
            runs += 1
            inside = folder / "run"
            inside.mkdir()
            faults.arm(call, number, error)
            case = f"{name}: {call} {number} of {count}, {errno.errorcode[error]}"
            problems += [
                f"{case}: {problem}" for problem in _faulty(job, source, inside, expected, faults, resume)
            ]
            faults.arm("", 0, 0)
            shutil.rmtree(inside)
    return runs, problems


def _faulty(
    job: Job, source: Path, folder: Path, expected: dict[str, bytes], faults: Faults, resume: bool
) -> list[str]:
    problems: list[str] = []
    try:
        job(source, folder, resume)
    except GGUFToolsError as error:
        if error.path is None:
            problems.append(f"no file is named: {error}")
    except BaseException as error:
        problems.append(f"{type(error).__name__} leaks: {error}")
    else:
        if {path: data for path, data in contents(folder).items() if not _is_hidden(path)} != expected:
            problems.append("success with other bytes")
    if not faults.hit:
        problems.append("the fault did not happen")
    left = contents(folder)
    problems += [
        f"{path} is partial" for path in left if not _is_hidden(path) and left[path] != expected.get(path)
    ]
    if not resume and faults.call not in UNDO:
        problems += [f"{path} is left over" for path in left if _is_hidden(path)]
    faults.arm("", 0, 0)
    visible = {path: data for path, data in left.items() if not _is_hidden(path)}
    if resume and visible != expected:  # else all that failed was tidying up
        try:
            job(source, folder, True)
        except GGUFToolsError as error:
            problems.append(f"cannot be continued: {error}")
        else:
            if contents(folder) != expected:
                problems.append(f"continued, it differs: {sorted(contents(folder))}")
    return problems


def _is_hidden(path: str) -> bool:
    return path.startswith(".")


@pytest.mark.parametrize("name", JOBS)
def test_every_fault_is_survived(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, problems = swept(name, source, tmp_path, monkeypatch, resume=False)
    assert problems == []
    assert runs > 10


@pytest.mark.parametrize("name", RESUMABLE)
def test_a_run_that_met_a_fault_is_continued(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, problems = swept(name, source, tmp_path, monkeypatch, resume=True)
    assert problems == []
    assert runs > 10
