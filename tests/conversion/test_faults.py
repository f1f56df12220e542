"""A part of the sweep of `tests.faults`, and whether it would notice what it looks for.

Of every kind of call and fault, the first and the last, for every job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gguf_tools.editing import in_place
from gguf_tools.io import atomic_files as files
from gguf_tools.io import input_files as reading
from tests.faults.jobs import JOBS, RESUMABLE, sources
from tests.faults.sweep import Swept, swept

MOST = 2

INTERRUPTING = ("fails", "short, full", "dead")
"""Faults that matter most to whoever continues."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", JOBS)
def test_every_fault_is_survived(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = swept(name, source, tmp_path, monkeypatch, resume=False, most=MOST)
    assert found.problems == []
    assert found.runs.total() > 15


@pytest.mark.parametrize("name", RESUMABLE)
def test_a_run_that_met_a_fault_is_continued(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = swept(name, source, tmp_path, monkeypatch, resume=True, faults=INTERRUPTING, most=MOST)
    assert found.problems == []
    assert found.runs.total() > 15


@pytest.mark.parametrize(("name", "journals"), [("edit in place", 1), ("edit in place, one sector", 0)])
def test_more_than_a_sector_takes_a_journal(
    name: str, journals: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the jobs are what they are called: the journal gets its name by replacing."""
    counts = swept(name, source, tmp_path, monkeypatch, resume=False, faults=()).counts
    assert (counts["replace"], counts["unlink"]) == (journals, journals)


class TestNoticed:
    """Code that does not guard against a fault is found out."""

    @pytest.fixture
    def sweep(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Swept]:
        return partial(swept, source=source, folder=tmp_path, monkeypatch=monkeypatch, most=MOST)

    def test_writing_only_once(self, sweep: Callable[..., Swept], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "write_at", lambda fd, data, offset: os.pwrite(fd, data, offset))
        assert sweep("convert", resume=False, faults=("short",)).problems

    def test_reading_only_once(self, sweep: Callable[..., Swept], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "read_into", lambda fd, view, offset: os.preadv(fd, [view], offset))
        assert sweep("extract", resume=False, faults=("short",)).problems

    def test_overwriting_without_a_journal(
        self, sweep: Callable[..., Swept], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(in_place, "_write_journal", lambda *_: None)
        assert sweep("edit in place", resume=False, faults=("short", "short, dead")).problems

    def test_partial_files_that_stay(
        self, sweep: Callable[..., Swept], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files.AtomicFile, "abandon", lambda self: self._close())
        assert sweep("extract", resume=False, faults=("fails",)).problems
