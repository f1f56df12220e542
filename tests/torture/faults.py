"""Every call on the disk of every job that writes, failing in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conversion.test_faults import JOBS, RESUMABLE, sources, swept
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
                faults, problems = swept(name, source, place, patching, resume=resume, most=most)
            title = f"{name}, then continued" if resume else name
            yield Row(title, {"faults": f"{faults:,}", "problems": str(len(problems))}, problems)
