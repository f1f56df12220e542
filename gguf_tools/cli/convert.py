"""``gguf-tools convert``: plan, show or execute, report."""

from __future__ import annotations

import click

from .console import common_options
from .report import run


@click.command(
    epilog="\b\nTypes: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K\n"
    "\b\nExamples:\n"
    "  gguf-tools convert ./Qwen3-0.6B qwen3-0.6b-q4_k_m.gguf\n"
    "  gguf-tools convert ./Qwen3-0.6B qwen3.gguf --type Q8_0 --threads 4\n"
    "  gguf-tools convert ./Qwen3-0.6B qwen3.gguf --type Q6_K --dry-run",
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--type", "-t", "recipe", default="Q4_K_M", show_default=True, metavar="TYPE", help="What to quantize to."
)
@click.option(
    "--pre", metavar="NAME", help="Pre-tokenizer name, instead of recognising it from tokenizer.json."
)
@click.option("--dry-run", is_flag=True, help="Show the plan, with the exact output size; write nothing.")
@common_options
def command(
    src: str,
    dst: str,
    recipe: str,
    pre: str | None,
    dry_run: bool,
    threads: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Convert the Hugging Face checkpoint in directory SRC to the GGUF file DST.

    Reads safetensors (one file or sharded), config.json and the tokenizer's files, and quantizes in the
    same pass: no intermediate file, and memory bounded by a few chunks per thread.
    """
    from ..conversion.to_gguf import plan_conversion

    run(
        lambda: plan_conversion(src, type=recipe, pre=pre),
        dst,
        action="converting",
        dry_run=dry_run,
        threads=threads,
        force=force,
        quiet=quiet,
        as_json=as_json,
    )
