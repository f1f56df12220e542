"""A job over and over, with another call going wrong each time, and what must hold afterwards.

A small job is run once to count its calls of each kind; then once for every one of them and every fault that
can befall it. Each time the job succeeds all the same with the right bytes, or its error is typed and names a
file; no partial file stands under a final name, what was there before is there whole, and nothing is left
over. The next run, of a job that was to be continued or from the beginning, ends with the bytes of one that
nothing happened to.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.container.journal import InterruptedEditError
from gguf_tools.conversion import engine, journal
from gguf_tools.editing import edit
from gguf_tools.errors import GGUFToolsError
from tests.faults.calls import FAULTS, LOOKS, UNDO, Calls, Fault
from tests.faults.jobs import JOBS, TARGET, Job

__all__ = ["Swept", "swept"]

Contents = dict[str, bytes]


@dataclass
class Swept:
    """What was tried: calls of the job by name, runs by the fault they met, and what went wrong."""

    counts: dict[str, int]
    runs: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def swept(
    name: str,
    source: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    resume: bool,
    faults: tuple[str, ...] = tuple(FAULTS),
    most: int = 1 << 30,
) -> Swept:
    """Let faults befall every call of a job.

    Args:
        name: of the job.
        source: its `sources`, below the same directory as ``folder``, so that reading goes wrong as well.
        folder: an empty directory to work in.
        monkeypatch: undoes what is done to `os`.
        resume: run it so that it can be continued, and continue it.
        faults: which.
        most: of more calls of a name than this, the first and last are taken.
    """
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0)
    monkeypatch.setattr(engine, "available_cores", lambda: 1)  # so that all runs make the same calls
    job = JOBS[name]
    calls = Calls(folder.parent, monkeypatch)
    expected, _ = _undisturbed(job, source, folder / "whole", calls, resume=False)
    again, counts = _undisturbed(job, source, folder / "counted", calls, resume)
    found = Swept(counts)
    if again != expected:
        found.problems.append(f"{name}: two runs differ that nothing happened to")
    for kind in sorted(set(faults) - set(job.cannot), key=faults.index):
        fault = FAULTS[kind]
        for call, number in _numbers(fault, found.counts, most):
            inside = folder / "run"
            inside.mkdir()
            job.begin(source, inside)
            trial = _Trial(job, source, inside, expected, calls, resume)
            problems = list(trial.run(fault, call, number))
            case = f"{name}: {call} {number} of {found.counts[call]}, {kind}"
            found.problems += [f"{case}: {problem}" for problem in problems]
            found.runs[kind] += 1
            shutil.rmtree(inside)
    return found


def _undisturbed(
    job: Job, source: Path, folder: Path, calls: Calls, resume: bool
) -> tuple[Contents, dict[str, int]]:
    """What a job makes, and how many calls of each name it takes."""
    folder.mkdir()
    job.begin(source, folder)
    calls.rest()
    job.run(source, folder, resume)
    counts = calls.counts
    calls.rest()
    return _contents(folder), counts


def _numbers(fault: Fault, counts: dict[str, int], most: int) -> Iterator[tuple[str, int]]:
    """The calls that a fault is to befall: name, and number among those of that name."""
    for call in fault.calls:
        numbers = range(1, counts[call] + 1)
        if fault.later == "same":
            numbers = numbers[:1]
        few = max(1, most // 2)
        yield from ((call, number) for number in sorted({*numbers[:few], *numbers[-few:]}))


@dataclass
class _Trial:
    """A run with a fault."""

    job: Job
    source: Path
    folder: Path
    expected: Contents
    calls: Calls
    resume: bool

    def run(self, fault: Fault, call: str, number: int) -> Iterator[str]:
        """What is wrong with how it ends, and with what it leaves."""
        before = _visible(self.folder)
        self.calls.arm(fault, call, number)
        failed = False
        try:
            self.job.run(self.source, self.folder, self.resume)
        except BaseException as error:  # which is not kept: its frames hold files open
            failed = True
            yield from _judged(error, fault, call)
        hit = self.calls.hit
        self.calls.rest()
        if not hit:
            yield "the fault did not happen"
        if not failed and _visible(self.folder) != self.expected:
            yield "success with other bytes"
        dead = fault.later == "dead"
        if self.job.in_place:
            yield from self._interrupted(allowed=dead or (self.job.interrupted and failed))
        left = _visible(self.folder)
        if self.job.in_place and not self.job.interrupted and failed and left != before and not dead:
            yield "an edit in place that failed has changed the file"
        for path in sorted(left | before):
            if path not in left or left[path] not in (before.get(path), self.expected.get(path)):
                yield f"{path} is partial or gone"
        excused = call in UNDO or dead
        if not self.resume and not excused:
            yield from self._left_over(looking=call in LOOKS)
        # Continued, unless all that failed was tidying up; repeated, unless something is there already.
        if left != self.expected if self.resume else left == before and not excused:
            yield from self._again()

    def _left_over(self, looking: bool) -> Iterator[str]:
        """Hidden files. A journal that says nothing may stay where nobody could look whose it is."""
        for path, data in _contents(self.folder).items():
            if _is_hidden(path) and (data or not looking):
                yield f"{path} is left over"

    def _interrupted(self, allowed: bool) -> Iterator[str]:
        """Whether the file can be opened, or after what its owner is told to do."""
        path = self.folder / TARGET
        try:
            _open(path)
            return
        except InterruptedEditError:
            if not allowed:
                yield "the file cannot be opened: an interrupted edit is left"
        except GGUFToolsError as error:
            yield f"the file cannot be opened: {error}"
            return
        edit.recover(path)
        with suppress(InterruptedEditError):
            _open(path)
            return
        yield "the interrupted edit cannot be undone"

    def _again(self) -> Iterator[str]:
        try:
            self.job.run(self.source, self.folder, self.resume)
        except GGUFToolsError as error:
            yield f"cannot be {'continued' if self.resume else 'repeated'}: {error}"
            return
        if _contents(self.folder) != self.expected:
            yield f"run again, it differs: {sorted(_contents(self.folder))}"


def _judged(error: BaseException, fault: Fault, call: str) -> Iterator[str]:
    """What is wrong with an error."""
    if not isinstance(error, GGUFToolsError):
        yield f"{type(error).__name__} leaks: {error}"
        return
    if error.path is None:
        yield f"no file is named: {error}"
    if fault.harmless:
        yield f"fails, though nothing is wrong: {error}"
    if call == "preadv" and fault.share == 0 and not _tells_of_the_end(str(error)):
        yield f"says nothing of data that ends early: {error}"


def _tells_of_the_end(message: str) -> bool:
    return any(part in message for part in ("ends inside the data", "meanwhile", "reads back differently"))


def _open(path: Path) -> None:
    with gguf_tools.open(path):
        pass


def _visible(folder: Path) -> Contents:
    return {path: data for path, data in _contents(folder).items() if not _is_hidden(path)}


def _contents(folder: Path) -> Contents:
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _is_hidden(path: str) -> bool:
    return path.startswith(".")
