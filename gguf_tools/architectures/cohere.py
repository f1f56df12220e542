"""Command R and R7B: one norm for attention and feed-forward, which run side by side; scaled logits."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import HFConfig
from .decoder import FFN, QK_NORMS, TIED, attention, flag, head_count, norms, renamed
from .keys import (
    CAUSAL,
    HEADS,
    INNER,
    KV_HEADS,
    LAYER_EPS,
    LAYERS,
    SIZES,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    KeyRule,
    layer_type,
)
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Drop, only

_DEFAULTS: Final[dict[str, Any]] = {
    "layer_norm_eps": 1e-5,
    "logit_scale": 0.0625,
    "max_position_embeddings": 8192,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
_NULLS: Final = {"num_key_value_heads": head_count}
_LOGIT_SCALE: Final = Key("logit_scale", "logit_scale", type=ValueType.FLOAT32)
_NO_SCALING: Final = DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "none")
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)
_ENDS: Final = renamed(("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"))
_TIED_HEAD: Final = Drop(r"lm_head\.weight", "the embedding again")

COMMAND_R: Final = Architecture(
    name="command-r",
    classes=(HFClass("CohereForCausalLM", "cohere", _DEFAULTS | {"use_qk_norm": False}, _NULLS),),
    tokenizer_kinds=("bpe",),
    keys=(
        LAYERS,
        # The config may say less than what the model was trained on.
        Key("context_length", "model_max_length", "max_position_embeddings"),
        WIDTH,
        INNER,
        HEADS,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=()),
        LAYER_EPS,
        HeadDim(always=False),
    ),
    family_keys=(
        _LOGIT_SCALE,
        _NO_SCALING,
        *_ASSUMED,
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("use_qk_norm", "blk.0.attn_q_norm.weight"),
    ),
    tensors=(
        *_ENDS,
        *norms(("input_layernorm", "attn_norm")),
        *attention(bias=flag("attention_bias")),
        *only(flag("use_qk_norm"), QK_NORMS),
        *FFN,
    ),
    drops=(_TIED_HEAD,),
)


def _rotary(config: HFConfig) -> int:
    share = config.number("rotary_pct")
    return int(share * (config.integer("hidden_size") // config.integer("num_attention_heads")))


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return ([layer_type((i + 1) % 4 != 0) for i in range(config.integer("num_hidden_layers"))],)


COHERE2: Final = Architecture(
    name="cohere2",
    classes=(
        HFClass(
            "Cohere2ForCausalLM", "cohere2", _DEFAULTS | {"rotary_pct": 1.0, "sliding_window": 4096}, _NULLS
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(kinds=()), LAYER_EPS, HeadDim(always=False)),
    family_keys=(
        _LOGIT_SCALE,
        Key("attention.sliding_window", "sliding_window"),
        Key("vocab_size", "vocab_size"),
        DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
        _NO_SCALING,
        *_ASSUMED,
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("attention_bias", (False,)),
    ),
    tensors=(*_ENDS, *norms(("input_layernorm", "attn_norm")), *attention(), *FFN),
    drops=(_TIED_HEAD,),
)

ARCHITECTURES: Final = (COMMAND_R, COHERE2)
