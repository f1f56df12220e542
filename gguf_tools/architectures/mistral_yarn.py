"""What Mistral's own format says of YaRN that the Hugging Face forms of the same families do not say.

``apply_yarn_scaling`` in ``rope_scaling``, vLLM's word for params.json's ``yarn.apply_scale``, marks a config
that `mistral_config` has made: llama.cpp's converter writes these keys for such models alone.

From ``MistralModel`` and ``MistralMoeModel`` of llama.cpp's converter (b11434).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..spec import ValueType
from .config import GGUFFacts, HFConfig, real, whole
from .keys import Entry, Remark

__all__ = ["LOG_MULTIPLIER", "TEMPERATURE_SCALE", "Cooling", "MinistralYarn", "YarnMultiplier"]

LOG_MULTIPLIER: Final = "rope.scaling.yarn_log_multiplier"
TEMPERATURE_SCALE: Final = "attention.temperature_scale"

_MARK: Final = "apply_yarn_scaling"
_SCALED_ANYHOW: Final = (
    "params.json has YaRN without a scale of attention; llama.cpp scales it in this architecture"
)


def _marked(config: HFConfig) -> Mapping[str, Any]:
    """``rope_scaling`` of a model in Mistral's own format with YaRN; empty for all others."""
    scaling = config.find("rope_parameters", "rope_scaling")
    return scaling if isinstance(scaling, Mapping) and {_MARK, "mscale_all_dim"} <= scaling.keys() else {}


class YarnMultiplier:
    """How far YaRN's scale of attention is taken back: 1 all of it, 0 not at all."""

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        scaling = _marked(config)
        if scaling:
            multiplier = real(scaling["mscale_all_dim"], "rope_scaling.mscale_all_dim", least=0)
            yield LOG_MULTIPLIER, ValueType.FLOAT32, multiplier
            if multiplier:
                yield Remark(_SCALED_ANYHOW)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        multiplier = facts.number(LOG_MULTIPLIER)
        scaling = config.get("rope_scaling")
        if multiplier is not None and isinstance(scaling, dict):
            config["rope_scaling"] = scaling | {
                _MARK: multiplier == 0,
                "mscale": multiplier,
                "mscale_all_dim": multiplier,
            }


class Cooling:
    """How attention cools with length, and from which length on; a DeepSeek's config has no place for it."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        scaling = _marked(config)
        if scaling:
            original = "original_max_position_embeddings"
            length = whole(scaling.get(original), f"rope_scaling.{original}")
            yield "attention.temperature_length", ValueType.UINT32, length
        if scaling.get("llama_4_scaling_beta") is not None:
            beta = real(scaling["llama_4_scaling_beta"], "rope_scaling.llama_4_scaling_beta", least=0)
            yield TEMPERATURE_SCALE, ValueType.FLOAT32, beta

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        """Nothing: an export says that these keys are left out."""


class MinistralYarn:
    """What Ministral 3 has in its RoPE parameters: YaRN's multiplier, and how attention cools with length."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("model_type") != "ministral3":
            return
        rope = config.find("rope_parameters", "rope_scaling") or {}
        multiplier = real(rope.get("mscale_all_dim"), "rope_parameters.mscale_all_dim", least=0)
        yield LOG_MULTIPLIER, ValueType.FLOAT32, multiplier
        beta = real(rope.get("llama_4_scaling_beta"), "rope_parameters.llama_4_scaling_beta", least=0)
        yield TEMPERATURE_SCALE, ValueType.FLOAT32, beta

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        beta = facts.number(TEMPERATURE_SCALE)
        if beta is not None:
            scale = facts.number(LOG_MULTIPLIER)
            config["rope_scaling"] = (config["rope_scaling"] or {}) | {
                "llama_4_scaling_beta": beta,
                "mscale": scale,
                "mscale_all_dim": scale,
            }
