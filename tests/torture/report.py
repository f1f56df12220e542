"""Tables of what was tried and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Row", "show"]


@dataclass(frozen=True)
class Row:
    """A line of a table; ``problems`` are sentences, of which there should be none; ``notes`` are others."""

    title: str
    cells: dict[str, str]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def show(heading: str, rows: Iterable[Row]) -> list[str]:
    """Print a table as its rows come in, then what went wrong, which is returned."""
    problems: list[str] = []
    for number, row in enumerate(rows):
        widths = [max(14, len(title) + 2) for title in row.cells]
        if number == 0:
            print(f"\n{heading:<46}" + _line(row.cells, widths), flush=True)
        print(f"{row.title:<46}" + _line(row.cells.values(), widths), flush=True)
        problems += row.problems
        for note in row.notes:
            print(f"  ({note})", flush=True)
    for problem in problems:
        print(f"  ! {problem}", flush=True)
    return problems


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
