"""The text models inside of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: Qwen2 and Qwen3, rotated along several axes.

In text all axes count alike, so an export is the plain Qwen2, Qwen3 or Qwen3Moe that computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, head_count
from ..keys import DerivedKey, KeyRule, head_size
from ..mrope import Axes
from ..pooling import Pooling
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..transforms import Chain, SplitMiddle, Transpose
from . import qwen2, qwen3, qwen3moe

_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 32768,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}


def _turned(rules: tuple[KeyRule, ...]) -> tuple[KeyRule, ...]:
    return tuple(Axes() if isinstance(rule, Rope) else rule for rule in rules)


def _deepstack(config: HFConfig) -> int | None:
    """How many early layers take in what is seen; of the text model alone there is nothing to say."""
    vision = config.find("vision_config")
    if not isinstance(vision, Mapping):
        return None
    layers = vision.get("deepstack_visual_indexes")
    return len(layers) if isinstance(layers, list) else 0


QWEN2VL: Final[Architecture] = replace(
    qwen2.ARCHITECTURE,
    name="qwen2vl",
    classes=(
        HFClass("Qwen2VLForConditionalGeneration", "qwen2_vl", _DEFAULTS, _NULLS),
        HFClass("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", _DEFAULTS, _NULLS),
        replace(qwen2.ARCHITECTURE.classes[0], export_only=True),
    ),
    choose=lambda facts: "Qwen2ForCausalLM",
    keys=_turned(qwen2.ARCHITECTURE.keys),
    family_keys=tuple(rule for rule in qwen2.ARCHITECTURE.family_keys if not isinstance(rule, Pooling)),
    extras=None,
)
QWEN3VL: Final[Architecture] = replace(
    qwen3.ARCHITECTURE,
    name="qwen3vl",
    classes=(
        HFClass(
            "Qwen3VLForConditionalGeneration",
            "qwen3_vl",
            _DEFAULTS
            | {
                "head_dim": 128,
                "max_position_embeddings": 128000,
                "num_key_value_heads": 32,
                "rms_norm_eps": 1e-6,
                "rope_theta": 5000000.0,
            },
            _NULLS,
        ),
        replace(qwen3.ARCHITECTURE.classes[0], export_only=True),
    ),
    choose=lambda facts: "Qwen3ForCausalLM",
    keys=_turned(qwen3.ARCHITECTURE.keys),
    family_keys=(
        *qwen3.ARCHITECTURE.family_keys,
        DerivedKey("n_deepstack_layers", ValueType.UINT32, _deepstack),
    ),
)

_STACKED: Final = {f"{BLOCK}.mlp.experts.gate_up_proj", f"{BLOCK}.mlp.experts.down_proj"}
QWEN3VLMOE: Final[Architecture] = replace(
    qwen3moe.ARCHITECTURE,
    name="qwen3vlmoe",
    classes=(
        HFClass(
            "Qwen3VLMoeForConditionalGeneration",
            "qwen3_vl_moe",
            _DEFAULTS
            | {
                "max_position_embeddings": 128000,
                "moe_intermediate_size": 1408,
                "norm_topk_prob": True,
                "num_experts": 60,
                "num_experts_per_tok": 4,
                "num_key_value_heads": 16,
                "rms_norm_eps": 1e-6,
                "rope_theta": 5000000.0,
            },
            _NULLS | {"head_dim": head_size},
        ),
        replace(qwen3moe.ARCHITECTURE.classes[0], export_only=True),
    ),
    choose=lambda facts: "Qwen3MoeForCausalLM",
    keys=_turned(qwen3moe.ARCHITECTURE.keys),
    family_keys=(
        *qwen3moe.ARCHITECTURE.family_keys,
        DerivedKey("n_deepstack_layers", ValueType.UINT32, _deepstack),
    ),
    tensors=(
        *(rule for rule in qwen3moe.ARCHITECTURE.tensors if rule.hf[0] not in _STACKED),
        # Stacked the other way round than elsewhere; an export has a matrix for each expert.
        Rule(
            (f"{BLOCK}.mlp.experts.gate_up_proj",),
            ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
            Chain(Transpose(), SplitMiddle()),
        ),
        Rule((f"{BLOCK}.mlp.experts.down_proj",), ("blk.{i}.ffn_down_exps.weight",), Transpose()),
    ),
)

ARCHITECTURES: Final = (QWEN2VL, QWEN3VL, QWEN3VLMOE)
