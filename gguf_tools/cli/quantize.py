"""``gguf-tools quantize``: a GGUF file to one of another type."""

from __future__ import annotations

import click

from .console import common_options
from .report import run


@click.command(
    epilog="\b\nTypes: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K\n"
    "\b\nExamples:\n"
    "  gguf-tools quantize model-bf16.gguf model-q5_k_m.gguf --type Q5_K_M\n"
    "  gguf-tools quantize model-bf16.gguf model-q4_0.gguf -t Q4_0 --dry-run --json",
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option("--type", "-t", "recipe", required=True, metavar="TYPE", help="What to quantize to.")
@click.option("--dry-run", is_flag=True, help="Show the plan, with the exact output size; write nothing.")
@common_options
def command(
    src: str,
    dst: str,
    recipe: str,
    dry_run: bool,
    threads: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the GGUF file SRC again as DST with its tensors in another type.

    Start from F32, F16 or BF16 where you can: what an earlier quantization lost stays lost.
    """
    from ..conversion.requantize import plan_requantization

    run(
        lambda: plan_requantization(src, type=recipe),
        dst,
        action="quantizing",
        dry_run=dry_run,
        threads=threads,
        force=force,
        quiet=quiet,
        as_json=as_json,
    )
