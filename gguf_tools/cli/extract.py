"""``gguf-tools extract``: tensors of a GGUF file → .npy or safetensors."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from .completers import tensors
from .console import common_options, console, print_json, progress, seconds, shape, size, table
from .options_run import Execution, execution
from .parameters import row_range

if TYPE_CHECKING:
    from ..conversion.plan import Plan


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools extract model.gguf norm.npy -t output_norm.weight\n"
    "  gguf-tools extract model.gguf layer0.safetensors -t 'blk.0.*' --dtype bf16\n"
    "  gguf-tools extract model.gguf rows.npy -t token_embd.weight --rows 100:108\n"
    "  gguf-tools extract model.gguf ./blocks -t '*attn_v*' --dtype raw"
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--tensor",
    "-t",
    "patterns",
    metavar="PATTERN",
    shell_complete=tensors,
    multiple=True,
    help="Which tensors: a name or a pattern such as 'blk.0.*'. Repeatable; default all.",
)
@click.option(
    "--dtype",
    type=click.Choice(["f32", "f16", "bf16", "raw"], case_sensitive=False),
    default="f32",
    show_default=True,
    help="What values are decoded to; raw leaves blocks as they are stored, as uint8.",
)
@click.option(
    "--rows",
    metavar="A:B",
    callback=row_range,
    help="Only rows A up to but without B, counted over all dimensions but the last.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@common_options
@execution
def command(
    src: str,
    dst: str,
    patterns: tuple[str, ...],
    dtype: str,
    rows: tuple[int, int] | None,
    dry_run: bool,
    how: Execution,
) -> None:
    """Write tensors of the GGUF file SRC to DST.

    DST is a .safetensors file, a .npy file for a single tensor, or else a directory that gets a .npy file
    for each. Quantized tensors are decoded unless --dtype is raw.
    """
    from ..conversion.engine import execute
    from ..conversion.extract import plan_extraction

    started = time.monotonic()
    elapsed = None
    with plan_extraction(src, dst, patterns or ("*",), dtype=dtype, rows=rows) as plan:
        if not dry_run:
            with progress("extracting", quiet=how.quiet or how.as_json) as report:
                execute(plan, dst, replace(how.run, progress=report))
            elapsed = time.monotonic() - started
    if how.as_json:
        print_json({**plan.to_dict(), "destination": dst, "written": not dry_run, "seconds": elapsed})
    elif dry_run or not how.quiet:
        _print(plan, dst, elapsed)


def _print(plan: Plan, destination: str, elapsed: float | None) -> None:
    listing = table("tensor", "shape", "type", "size", right=("size",))
    count = 0
    for tensor in plan.tensors():
        count += 1
        listing.add_row(tensor.name, shape(tensor.shape), tensor.type.name, size(tensor.nbytes))
    out = console()
    out.print(listing)
    ending = "(dry run: nothing written)" if elapsed is None else f"in {seconds(elapsed)}"
    tensors = f"{count} tensor{'' if count == 1 else 's'}"
    out.print()
    out.print(f"{tensors} to {destination}, {plan.size:,} bytes {ending}")
