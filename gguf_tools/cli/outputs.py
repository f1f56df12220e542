"""What ``split`` and ``merge`` have in common: options, and the list of files they write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .console import console, print_json, seconds, size, table

if TYPE_CHECKING:
    from ..editing.outputs import OutputFile

__all__ = ["print_outputs", "resume_option", "write_options"]


resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on where an interrupted run of the same job stopped, and let this one be gone on with.",
)


def write_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--dry-run``, ``--force``, ``--resume`` and ``--quiet``."""
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Show the files and their sizes; write nothing."),
            click.option("--force", is_flag=True, help="Replace files that exist."),
            resume_option,
            click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary."),
        )
    ):
        function = option(function)
    return function


def print_outputs(
    source: str, outputs: Sequence[OutputFile], elapsed: float | None, *, quiet: bool, as_json: bool
) -> None:
    """The files, as a table or as JSON; ``elapsed`` is None where nothing was written."""
    if as_json:
        files = [output.to_dict() for output in outputs]
        print_json({"source": source, "files": files, "written": elapsed is not None, "seconds": elapsed})
        return
    if quiet:
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
