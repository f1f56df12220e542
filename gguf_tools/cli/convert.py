"""``gguf-tools convert``: plan, show or execute, report."""

from __future__ import annotations

import click

from .completers import folders
from .options_quantize import Wanted, epilog, quantizing_options
from .options_run import Execution, execution_options
from .parameters import scaled_paths
from .report import run_draft


@click.command(
    epilog=epilog(
        "convert ./Qwen3-0.6B qwen3-0.6b-q4_k_m.gguf",
        "convert ./Qwen3-0.6B qwen3.gguf --type Q8_0 --threads 4",
        "convert ./Qwen3-0.6B qwen3.gguf --type Q6_K --dry-run --explain",
        "convert ./Qwen3-0.6B qwen3.gguf --imatrix imatrix.gguf -t Q4_K_S",
        "convert ./Qwen3-0.6B tuned.gguf --merge-lora ./my-adapter:0.8",
    ),
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--pre", metavar="NAME", help="Pre-tokenizer name, instead of recognising it from tokenizer.json."
)
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Where there are only PyTorch pickles (*.bin, *.pth; of adapters, too), load them with your torch, "
    "weights only. "
    "Without it they are refused: loading a pickle can run code.",
)
@click.option(
    "--merge-lora",
    "merge_lora",
    multiple=True,
    metavar="DIR[:SCALE]",
    shell_complete=folders,
    callback=scaled_paths,
    help="Merge the LoRA adapter (PEFT) in this directory into the weights; may be repeated.",
)
@quantizing_options(default="Q4_K_M")
@execution_options
def command(
    src: str,
    dst: str,
    wanted: Wanted,
    pre: str | None,
    allow_pickle: bool,
    merge_lora: list[tuple[str, float]],
    how: Execution,
) -> None:
    """Convert the Hugging Face checkpoint in directory SRC to the GGUF file DST.

    Reads safetensors (one file or sharded), config.json and the tokenizer's files, and quantizes in the
    same pass: no intermediate file, and memory bounded by a few chunks per thread.
    """
    from ..conversion.options import CheckpointOptions
    from ..conversion.to_gguf import draft_conversion

    options = CheckpointOptions(pre, allow_pickle, tuple(merge_lora))
    run_draft(lambda: draft_conversion(src, options), dst, wanted, action="converting", how=how)
