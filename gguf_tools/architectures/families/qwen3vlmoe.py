"""The text model inside of Qwen3-VL with experts: Qwen3Moe, rotated along several axes."""

from dataclasses import replace

from ..decoder import BLOCK
from ..keys import head_size
from ..routing import transposed_experts
from ..table import HFClass
from . import qwen3moe
from .qwen3vl import with_axes

STACKED = {f"{BLOCK}.mlp.experts.gate_up_proj", f"{BLOCK}.mlp.experts.down_proj"}
TABLE = with_axes(
    qwen3moe.ARCHITECTURE,
    "qwen3vlmoe",
    HFClass("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe", derived_defaults={"head_dim": head_size}),
)
ARCHITECTURE = replace(
    TABLE,
    tensors=(
        *(rule for rule in TABLE.tensors if rule.hf[0] not in STACKED),
        # Stacked the other way round than elsewhere; an export has a matrix for each expert.
        *transposed_experts("mlp.experts"),
    ),
)
