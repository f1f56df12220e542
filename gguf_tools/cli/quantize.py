"""``gguf-tools quantize``: a GGUF file to one of another type."""

from __future__ import annotations

import click

from .options_quantize import Wanted, epilog, quantizing_options
from .options_run import Execution, execution_options
from .report import run_draft


@click.command(
    epilog=epilog(
        "quantize model-bf16.gguf model-q5_k_m.gguf --type Q5_K_M",
        "quantize model-bf16.gguf model-q4_0.gguf -t Q4_0 --dry-run --json",
        "quantize bf16.gguf out.gguf -t Q4_K_M --tensor-type attn_v=Q8_0",
    ),
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@quantizing_options(default=None)
@execution_options
def command(
    src: str,
    dst: str,
    wanted: Wanted,
    how: Execution,
) -> None:
    """Write the GGUF file SRC again as DST with its tensors in another type.

    Start from F32, F16 or BF16 where you can: what an earlier quantization lost stays lost.
    """
    from ..conversion.requantize import draft_requantization

    run_draft(lambda: draft_requantization(src), dst, wanted, action="quantizing", how=how)
