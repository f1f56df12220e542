"""The text models inside of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: Qwen2 and Qwen3, rotated along several axes.

In text all axes count alike, so an export is the plain Qwen2 or Qwen3 that computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..spec import ValueType
from . import qwen2, qwen3
from .axes import Axes
from .config import HFConfig
from .decoder import head_count
from .keys import Computed, KeyRule
from .pooling import Pooling
from .rope import Rope
from .table import Architecture, HFClass

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
    own_keys=tuple(rule for rule in qwen2.ARCHITECTURE.own_keys if not isinstance(rule, Pooling)),
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
    own_keys=(
        *qwen3.ARCHITECTURE.own_keys,
        Computed("n_deepstack_layers", ValueType.UINT32, _deepstack),
    ),
)

ARCHITECTURES: Final = (QWEN2VL, QWEN3VL)
