"""Hostile files by class: variants tried, the slowest, the largest growth, and what went wrong."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.hostile.case import Case, judge
from tests.hostile.registry import CLASSES, by_class
from tests.hostile.truncations import FILES, truncations
from tests.torture.measure import Measured, measure
from tests.torture.report import Row

__all__ = ["rows"]


BLOCKS = 34
"""The class whose cases take a kernel each, which is compiled where it is first used."""


def rows() -> Iterator[Row]:
    """A line for each class, and one for the truncations of each file."""
    for number, cases in by_class().items():
        for case in cases if number == BLOCKS else cases[:1]:
            _warm(case)
    # All cases are in memory here, as they are in no user's process: a collection there must not visit them.
    gc.collect()
    gc.freeze()
    for number, cases in by_class().items():
        yield _row(f"{number}. {CLASSES[number]}", cases)
    for name in FILES:
        yield _row(f"every truncation: {name}", truncations(name))


def _warm(case: Case) -> None:
    """Take a case here: processes for the others inherit the modules it imported."""
    with tempfile.TemporaryDirectory() as folder:
        judge(case, case.make(Path(folder)))


def _row(title: str, cases: Iterable[Case]) -> Row:
    measured = [measure(case) for case in cases]
    # Those as large as sound files are listed by themselves.
    hostile = [run for run in measured if not run.honest]
    slowest, largest = (max(hostile, key=key) for key in (_seconds, _growth))
    notes = [
        f"{run.name}: {1000 * run.seconds:.0f} ms, {run.growth / 1e6:.0f} MB; {run.honest}"
        for run in measured
        if run.honest
    ]
    return Row(
        title,
        {
            "variants": f"{len(measured):,}",
            "slowest": f"{1000 * slowest.seconds:.1f} ms",
            "most memory": f"{largest.growth / 1e6:.1f} MB",
            "leaks": str(sum(run.problem is not None and not run.hung for run in measured)),
            "hangs": str(sum(run.hung for run in measured)),
        },
        [*(f"{run.name}: {run.problem}" for run in measured if run.problem), *_excesses(hostile)],
        notes,
    )


def _excesses(measured: list[Measured]) -> Iterator[str]:
    for run in measured:
        if run.slow and not run.hung:
            yield f"{run.name}: takes {1000 * run.seconds:.0f} ms"
        if run.large:
            yield f"{run.name}: needs {run.growth / 1e6:.0f} MB"


def _seconds(run: Measured) -> float:
    return run.seconds


def _growth(run: Measured) -> float:
    return run.growth
