"""Granite: Llama's shape with four multipliers; and Granite 4 where every layer attends."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import FFN, decoder, head_count
from ..granite_parts import HYBRID, KV_ARRAY, MIXER_KEYS, MULTIPLIERS, all_attention, shared_mlp
from ..keys import (
    CAUSAL,
    KV_HEADS,
    MLP_BIAS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    Conditional,
    DerivedKey,
    experts_keys,
)
from ..rope import Rope
from ..table import HFClass, class_name
from ..tensors import limit_to
from ..vocabularies import LLAMA_VOCABULARY


def _is_hybrid(config: HFConfig, layer: int = 0) -> bool:
    return class_name(config) == HYBRID


def _is_plain(config: HFConfig, layer: int = 0) -> bool:
    return not _is_hybrid(config)


ARCHITECTURE = decoder(
    "granite",
    HFClass("GraniteForCausalLM", "granite"),
    HFClass(HYBRID, "granitemoehybrid", when=all_attention),
    derived={"num_key_value_heads": head_count},
    choose=lambda facts: "GraniteForCausalLM" if facts.find("ssm.conv_kernel") is None else HYBRID,
    tokenizers=("spm", "llama-hf", "bpe"),
    keys=(
        *SIZES,
        Conditional(_is_plain, KV_HEADS),
        Conditional(_is_hybrid, KV_ARRAY),
        *(CAUSAL, Rope(), RMS_EPS),
        Conditional(_is_hybrid, *experts_keys("num_local_experts", least=0)),
    ),
    own=(
        *MULTIPLIERS,
        Conditional(
            _is_hybrid,
            *MIXER_KEYS,
            DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: True),
            AssumedByRuntime("position_embedding_type", ("rope",)),
        ),
    ),
    checks=(Conditional(_is_plain, MLP_BIAS),),
    permuted=True,
    ffn=(*limit_to(_is_plain, FFN), *limit_to(_is_hybrid, shared_mlp(""))),
    vocabulary=LLAMA_VOCABULARY,
)
