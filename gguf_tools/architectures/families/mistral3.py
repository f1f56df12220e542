"""Mistral Small 3.1 and later, Ministral 3: Llama's table under a name of its own, with YaRN's details."""

from dataclasses import replace

from ...recipes.traits import PLAIN_RECIPE
from ..decoder import head_count
from ..mistral_yarn import TEMPERATURE_SCALE, MinistralYarn, YarnMultiplier
from ..table import HFClass
from . import llama

SMALL = "Mistral3ForConditionalGeneration"
WHOLE = {"sliding_window": None}
DERIVED = {"num_key_value_heads": head_count}

ARCHITECTURE = replace(
    llama.ARCHITECTURE,
    name="mistral3",
    classes=(
        HFClass(SMALL, "mistral3", WHOLE, DERIVED),
        HFClass("Ministral3ForCausalLM", "ministral3", WHOLE, DERIVED, like=SMALL),
        HFClass("MistralForCausalLM", "mistral", WHOLE, DERIVED, export_only=True),
    ),
    choose=lambda facts: (
        "MistralForCausalLM" if facts.find(TEMPERATURE_SCALE) is None else "Ministral3ForCausalLM"
    ),
    family_keys=(
        *(rule for rule in llama.ARCHITECTURE.family_keys if not isinstance(rule, YarnMultiplier)),
        MinistralYarn(),
    ),
    recipe=PLAIN_RECIPE,
)
