"""Mistral Small 3.1 and later, Ministral 3: Llama's table under a name of its own, with YaRN's details."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...recipes.traits import PLAIN_RECIPE
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real
from ..decoder import LLAMA_DEFAULTS, head_count
from ..keys import Entry
from ..mistral_yarn import LOG_MULTIPLIER, TEMPERATURE_SCALE, YarnMultiplier
from ..table import HFClass
from ..vocabularies import LLAMA_VOCABULARY
from . import llama

_DEFAULTS = {
    **LLAMA_DEFAULTS,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "sliding_window": None,
    "tie_word_embeddings": False,
}
_NULLS = {"num_key_value_heads": head_count}


class _Ministral:
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


ARCHITECTURE = replace(
    llama.ARCHITECTURE,
    name="mistral3",
    classes=(
        HFClass("Mistral3ForConditionalGeneration", "mistral3", _DEFAULTS, _NULLS),
        HFClass("Ministral3ForCausalLM", "ministral3", _DEFAULTS, _NULLS),
        HFClass("MistralForCausalLM", "mistral", _DEFAULTS, _NULLS, export_only=True),
    ),
    choose=lambda facts: (
        "MistralForCausalLM" if facts.find(TEMPERATURE_SCALE) is None else "Ministral3ForCausalLM"
    ),
    family_keys=(
        *(rule for rule in llama.ARCHITECTURE.family_keys if not isinstance(rule, YarnMultiplier)),
        _Ministral(),
    ),
    vocabulary=LLAMA_VOCABULARY,
    recipe=PLAIN_RECIPE,
)
