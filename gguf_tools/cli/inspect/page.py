"""``--html``: everything on one page, in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import size

if TYPE_CHECKING:
    from rich.console import Console

    from ...inspection.inspect import Inspection
    from ...inspection.statistics import Measurement

__all__ = ["check", "show", "write"]


def check(inspection: Inspection, path: str, *, force: bool) -> None:
    """Refuse a page that could not be written at the end, or must not be."""
    from ...io.atomic_files import check_target
    from ...io.input_guard import Inputs

    check_target(Path(path), force, inputs=Inputs(inspection.reads))


def write(
    inspection: Inspection, path: str, measurements: Sequence[Measurement] | None, *, force: bool
) -> None:
    """Write the page; with histograms where there are measurements."""
    from ...reports import write_report

    write_report(inspection, path, measurements, force=force)


def show(out: Console, path: str) -> None:
    """Say where it is."""
    out.print(f"wrote {path} ({size(Path(path).stat().st_size)})")
