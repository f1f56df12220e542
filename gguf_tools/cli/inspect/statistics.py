"""``--stats``: how the values of every tensor are distributed, from a streamed decode of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..console import printable, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ...inspection.inspect import Inspected, TensorDescription
    from ...inspection.statistics import Measurement, Statistics

__all__ = ["measured", "show", "to_json"]

_NUMBERS = ("min", "max", "mean", "σ", "zeros", "outliers")
_SHORTEST_NAME = 18
"""Columns a name keeps on the narrowest terminal; it goes on in the next line."""


def measured(
    opened: Inspected, tensors: Sequence[TensorDescription], threads: int | None
) -> list[Measurement]:
    """Statistics of the tensors; takes a while, and shows how far it is."""
    from ...inspection.statistics import measure_model

    with progress("measuring", quiet=False) as report:
        return measure_model(opened, tensors, threads=threads, progress=report)


def show(out: Console, measurements: Sequence[Measurement]) -> None:
    """A table that fits into 80 columns."""
    from rich.text import Text

    from ..tables import Listing

    listing = Listing(("tensor", *_NUMBERS), right=_NUMBERS, gap=2, least={"tensor": _SHORTEST_NAME})
    flawed = []
    for found in measurements:
        if found.statistics is None:
            listing.add_row(found.name, Text(printable(found.reason), style="dim"))
            continue
        listing.add_row(found.name, *_figures(found.statistics))
        if found.statistics.non_finite:
            flawed.append(found)
    out.print(listing)
    for found in flawed:
        assert found.statistics is not None
        nan, infinite = found.statistics.nan, found.statistics.infinite
        out.print(f"{found.name}: {nan:,} NaN, {infinite:,} infinite", style="red")
    if measurements:
        out.print()
        out.print("σ: standard deviation; outliers: values farther than 6 σ from the mean", style="dim")


def _figures(found: Statistics) -> list[str]:
    return [
        *(_figure(value) for value in (found.minimum, found.maximum, found.mean, found.std)),
        _share(found.zero_share),
        f"{found.outliers:,}",
    ]


def _share(value: float | None) -> str:
    if not value:
        return "–" if value is None else "0"
    return "<0.1%" if value < 0.0005 else f"{value:.1%}"


def _figure(value: float | None) -> str:
    """Three digits in few columns: 0.0216, -0.937, 1,658, -2.37e-4."""
    if value is None:
        return "–"
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def to_json(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """All figures and the histogram of each tensor; see `gguf_tools.inspection.statistics`."""
    return [found.to_dict() for found in measurements]
