"""The text model inside of Qwen3-VL with experts: Qwen3Moe, rotated along several axes."""

from dataclasses import replace

from ..decoder import BLOCK, LLAMA_DEFAULTS
from ..keys import head_size
from ..table import HFClass
from ..tensors import Rule
from ..transforms import Chain, SplitMiddle, Transpose
from . import qwen3moe
from .qwen3vl import with_axes

_STACKED = {f"{BLOCK}.mlp.experts.gate_up_proj", f"{BLOCK}.mlp.experts.down_proj"}

ARCHITECTURE = with_axes(
    qwen3moe.ARCHITECTURE,
    "qwen3vlmoe",
    HFClass(
        "Qwen3VLMoeForConditionalGeneration",
        "qwen3_vl_moe",
        {
            **LLAMA_DEFAULTS,
            "max_position_embeddings": 128000,
            "moe_intermediate_size": 1408,
            "norm_topk_prob": True,
            "num_experts": 60,
            "num_experts_per_tok": 4,
            "num_key_value_heads": 16,
            "rope_theta": 5000000.0,
            "tie_word_embeddings": False,
        },
        {"head_dim": head_size},
    ),
)
ARCHITECTURE = replace(
    ARCHITECTURE,
    tensors=(
        *(rule for rule in ARCHITECTURE.tensors if rule.hf[0] not in _STACKED),
        # Stacked the other way round than elsewhere; an export has a matrix for each expert.
        Rule(
            (f"{BLOCK}.mlp.experts.gate_up_proj",),
            ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
            Chain(Transpose(), SplitMiddle()),
        ),
        Rule((f"{BLOCK}.mlp.experts.down_proj",), ("blk.{i}.ffn_down_exps.weight",), Transpose()),
    ),
)
