"""``gguf-tools export``: a GGUF file back to a Hugging Face checkpoint."""

from __future__ import annotations

import click

from .options_run import Execution, execution_options
from .report import run


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools export model-q4_k_m.gguf ./model-hf\n"
    "  gguf-tools export model-f32.gguf ./model-hf --dtype f32\n"
    "  gguf-tools export gpt-oss-20b.gguf ./gpt-oss-20b --dtype mxfp4",
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--dtype",
    type=click.Choice(["bf16", "f16", "f32", "mxfp4"], case_sensitive=False),
    default="bf16",
    show_default=True,
    help="Type of the exported weights. mxfp4 is for gpt-oss: its experts that are in MXFP4 keep their bits, "
    "packed as OpenAI publishes them, and all else is bf16.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, with the exact output size; write nothing.")
@execution_options
def command(
    src: str,
    dst: str,
    dtype: str,
    dry_run: bool,
    how: Execution,
) -> None:
    """Turn the GGUF file SRC into the Hugging Face checkpoint directory DST.

    Writes safetensors under the original tensor names, config.json, the tokenizer's files and the chat
    template. What a GGUF file does not carry is listed, not invented.
    """
    from ..conversion.to_hf import plan_export

    run(
        lambda: plan_export(src, dtype=dtype),
        dst,
        action="exporting",
        dry_run=dry_run,
        how=how,
    )
