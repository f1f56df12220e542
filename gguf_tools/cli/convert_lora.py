"""``gguf-tools convert-lora``: a LoRA adapter to a GGUF adapter."""

from __future__ import annotations

import click

from .completers import folders
from .options_run import Execution, execution_options
from .report import run


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools convert-lora ./my-adapter my-adapter.gguf --base ./Qwen3-0.6B\n"
    "  gguf-tools convert-lora ./my-adapter my-adapter.gguf --type f16 --dry-run\n"
    "  llama-cli -m qwen3-0.6b-q4_k_m.gguf --lora my-adapter.gguf",
)
@click.argument("src", metavar="ADAPTER", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--base",
    type=click.Path(),
    metavar="DIR",
    shell_complete=folders,
    help="Directory with the base model's config.json; weights are not needed.",
)
@click.option(
    "--type",
    "-t",
    "kind",
    type=click.Choice(["f32", "f16", "bf16", "q8_0"], case_sensitive=False),
    default="f32",
    show_default=True,
    help="What to store the factors as.",
)
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Where there is only adapter_model.bin, a PyTorch pickle, load it with your torch, weights only. "
    "Without it such is refused: loading a pickle can run code.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, with the exact output size; write nothing.")
@execution_options
def command(
    src: str,
    dst: str,
    base: str | None,
    kind: str,
    allow_pickle: bool,
    dry_run: bool,
    how: Execution,
) -> None:
    """Convert the LoRA adapter in directory ADAPTER to the GGUF adapter DST.

    Reads adapter_config.json and adapter_model.safetensors (or .bin), as PEFT saves them. llama.cpp applies
    the result to a GGUF file of the base model when it loads it. To have both in one file, use convert
    --merge-lora.
    """
    from ..conversion.lora import plan_lora

    run(
        lambda: plan_lora(src, base=base, qtype=kind, allow_pickle=allow_pickle),
        dst,
        action="converting",
        dry_run=dry_run,
        how=how,
    )
