"""EXAONE 3 and 3.5: Llama under names after GPT-2's."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import TIED, has_head, norms, renamed
from ..keys import CAUSAL, KV_HEADS, LAYERS, SIZES, AssumedByRuntime, DerivedKey, FromTensorRows, HeadDim, Key
from ..rope import Llama3Factors, Rope
from ..table import Architecture, HFClass
from ..tensors import Rule

_DEFAULTS: Final[dict[str, Any]] = {"partial_rotary_factor": 1.0, "tie_word_embeddings": False}
_EPS: Final = ("layer_norm_epsilon", "rms_norm_eps")


def _rotated(config: HFConfig) -> int:
    size = config.integer("hidden_size") // config.integer("num_attention_heads")
    return int(config.number("partial_rotary_factor") * size)


ARCHITECTURE: Final = Architecture(
    name="exaone",
    classes=(HFClass("ExaoneForCausalLM", "exaone", _DEFAULTS),),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=(
        *(rule.named("num_layers", "num_hidden_layers") if rule is LAYERS else rule for rule in SIZES),
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3"), theta=None),
        # llama.cpp asks for the first of these; its converter only writes the second, by the name's sound
        Key("attention.layer_norm_rms_epsilon", *_EPS, type=ValueType.FLOAT32),
        Key("attention.layer_norm_epsilon", *_EPS, type=ValueType.FLOAT32, optional=True),
        HeadDim(always=False),
    ),
    family_keys=(
        DerivedKey("rope.dimension_count", ValueType.UINT32, _rotated),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("activation_function", ("silu", "swish")),
    ),
    computed=(Llama3Factors(),),
    tensors=(
        *renamed(("transformer.wte", "token_embd"), ("transformer.ln_f", "output_norm")),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        *norms(
            ("ln_1", "attn_norm"),
            ("attn.attention.q_proj", "attn_q"),
            ("attn.attention.k_proj", "attn_k"),
            ("attn.attention.v_proj", "attn_v"),
            ("attn.attention.out_proj", "attn_output"),
            ("ln_2", "ffn_norm"),
            ("mlp.c_fc_0", "ffn_gate"),
            ("mlp.c_fc_1", "ffn_up"),
            ("mlp.c_proj", "ffn_down"),
            block="transformer.h.{i}",
        ),
    ),
)
