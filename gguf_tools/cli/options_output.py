"""What ``split`` and ``merge`` have in common: options, and the list of files they write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .console import console, json_option, print_json, seconds, size, table
from .options_run import Execution, execution, resume_option

if TYPE_CHECKING:
    from ..editing.outputs import OutputFile

__all__ = ["print_outputs", "write_options"]


def write_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--dry-run``; and ``--force``, ``--resume``, ``--quiet`` and ``--json``, as one argument ``how``."""
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Show the files and their sizes; write nothing."),
            click.option("--force", is_flag=True, help="Replace files that exist."),
            resume_option,
            click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary."),
            json_option,
            execution,
        )
    ):
        function = option(function)
    return function


def print_outputs(source: str, outputs: Sequence[OutputFile], elapsed: float | None, how: Execution) -> None:
    """The files, as a table or as JSON; ``elapsed`` is None where nothing was written."""
    if how.as_json:
        files = [output.to_dict() for output in outputs]
        print_json({"source": source, "files": files, "written": elapsed is not None, "seconds": elapsed})
        return
    if how.quiet and elapsed is not None:
        return
    listing = table("file", "tensors", "size", right=("tensors", "size"))
    for output in outputs:
        listing.add_row(str(output.path), f"{len(output.tensors):,}", size(output.size))
    out = console()
    out.print(listing)
    total = sum(output.size for output in outputs)
    count = f"{len(outputs)} file{'' if len(outputs) == 1 else 's'}"
    out.print()
    if elapsed is None:
        out.print(f"{count}, {total:,} bytes (dry run: nothing written)")
    else:
        rate = size(int(total / max(elapsed, 1e-6)))
        out.print(f"{count}, {total:,} bytes in {seconds(elapsed)} ({rate}/s)")
