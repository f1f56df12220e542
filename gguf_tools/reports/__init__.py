"""One HTML page about a model: facts, maps of types and sizes, histograms, all tensors, metadata.

The page is a single file that asks the network for nothing: style, script and data are in it, and its
Content-Security-Policy allows those and nothing else. The script builds everything from the data, as text
nodes, so that no name or value from a file can become markup. Where tensors were not measured there are no
histograms: the page then comes from headers alone, at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..inspection.opening import open_inspected
from ..inspection.statistics import measure_model
from ..io.atomic_files import AtomicFile, check_target
from ..io.input_guard import Inputs
from .document import document
from .render import filled

if TYPE_CHECKING:
    from ..inspection.inspect import Inspection
    from ..inspection.statistics import Measurement, Progress

__all__ = ["render_report", "report", "write_report"]


def report(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    statistics: bool = False,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Look into a model and write the page about it.

    Args:
        src: a GGUF file, a safetensors file or a checkpoint directory.
        dst: the HTML file.
        statistics: read all values too, for the histograms.
        threads: workers for that; default all available cores.
        force: replace an existing file.
        progress: called while values are read; see `gguf_tools.inspection.statistics`.

    Raises:
        GGUFToolsError: the model cannot be read.
        OutputError: the file exists (without ``force``), is one of the model's, or cannot be written.
    """
    with open_inspected(src) as opened:
        check_target(Path(dst), force, inputs=Inputs(opened.inspection.reads))  # before all values are read
        measured = measure_model(opened, threads=threads, progress=progress) if statistics else None
        write_report(opened.inspection, dst, measured, force=force)


def render_report(inspection: Inspection, measurements: Sequence[Measurement] | None = None) -> bytes:
    """The page, as UTF-8.

    Args:
        inspection: what is to be shown.
        measurements: statistics by tensor, of all tensors or some; None leaves them out.
    """
    return filled(document(inspection, measurements))


def write_report(
    inspection: Inspection,
    path: str | os.PathLike[str],
    measurements: Sequence[Measurement] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write the page to a file, which appears complete or not at all.

    Args:
        inspection: what is to be shown.
        path: the file.
        measurements: see `render_report`.
        force: replace an existing file.

    Raises:
        OutputError: the file exists (without ``force``), is one of the model's, or cannot be written.
    """
    page = render_report(inspection, measurements)
    with AtomicFile(path, size=len(page), force=force, inputs=Inputs(inspection.reads)) as output:
        output.write_at(0, page)
