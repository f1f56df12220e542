"""Every call on the disk of every job that writes, going wrong in turn in every way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.calls import FAULTS
from tests.faults.jobs import JOBS, RESUMABLE, sources
from tests.faults.sweep import swept
from tests.torture.report import Row

__all__ = ["rows"]


def rows(most: int = 1 << 30) -> Iterator[Row]:
    """A line for each job, and for each that can be continued; of each kind of call at most ``most``."""
    for resume, names in ((False, tuple(JOBS)), (True, RESUMABLE)):
        for name in names:
            with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patching:
                place = Path(folder, "work", "output")
                place.mkdir(parents=True)
                source = place.parent / "source"
                source.mkdir()
                sources(source)
                found = swept(name, source, place, patching, resume=resume, most=most)
            cells = {kind: f"{found.runs[kind]:,}" for kind in FAULTS}
            cells["problems"] = str(len(found.problems))
            yield Row(f"{name}, then continued" if resume else name, cells, found.problems)
