"""Orion, XVERSE, Baichuan and InternLM2: Llama by other names, run by code beside their checkpoints.

None of them has a class in transformers, so what a config leaves out has the values of that code.
"""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import FFN, OUTPUT, PRE_NORMS, TIED, attention, head_count, norms, renamed
from ..keys import (
    CAUSAL,
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    SIZES,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    FromTensorRows,
    Key,
    KeyRule,
    Note,
    head_size,
)
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..transforms import IDENTITY, Chain, Each, PermuteHeads, SplitRows, UngroupQKV

_DEFAULTS: Final[dict[str, Any]] = {"tie_word_embeddings": False}
_NULLS: Final = {"num_key_value_heads": head_count}
_LAYOUT: Final = DerivedKey("tensor_data_layout", ValueType.STRING, lambda config: "Meta AI original pth")
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)
_HEADED: Final = PermuteHeads("num_attention_heads")
_CONTEXTS: Final = ("max_position_embeddings", "model_max_length")

ORION: Final = Architecture(
    name="orion",
    classes=(HFClass("OrionForCausalLM", "orion", _DEFAULTS, _NULLS),),
    tokenizer_kinds=("spm",),
    keys=(),
    family_keys=(
        _LAYOUT,
        CONTEXT.named("max_sequence_length", "max_position_embeddings", "model_max_length"),
        WIDTH,
        LAYERS,
        INNER,
        HEADS,
        KV_HEADS,
        Key("attention.layer_norm_epsilon", "rms_norm_eps", type=ValueType.FLOAT32),
        *_ASSUMED,
        AssumedByRuntime("max_position_embeddings", lambda config: (config.integer("max_sequence_length"),)),
        AssumedByRuntime("rope_theta", (10000.0,)),
        AssumedByRuntime("rope_scaling", (None,), export=False),
        AssumedByRuntime("attention_bias", (False,)),
    ),
    tensors=(
        *(rule for rule in OUTPUT if "norm" not in rule.gguf[0]),
        *(
            Rule((f"{hf}.{part}",), (f"{gguf}.{part}",))
            for hf, gguf in (
                ("model.norm", "output_norm"),
                ("model.layers.{i}.input_layernorm", "blk.{i}.attn_norm"),
                ("model.layers.{i}.post_attention_layernorm", "blk.{i}.ffn_norm"),
            )
            for part in ("weight", "bias")
        ),
        *attention(),
        *FFN,
    ),
)

_OLD_KEYS: Final[tuple[KeyRule, ...]] = (
    *(rule.named(*_CONTEXTS) if rule is CONTEXT else rule for rule in SIZES),
    CAUSAL,
    Rope(theta=None),
    RMS_EPS,
)
_OLD_OWN: Final[tuple[KeyRule, ...]] = (
    _LAYOUT,
    DerivedKey("rope.dimension_count", ValueType.UINT32, head_size),
    *_ASSUMED,
)

XVERSE: Final = Architecture(
    name="xverse",
    classes=(HFClass("XverseForCausalLM", "xverse", _DEFAULTS),),
    tokenizer_kinds=("unscored",),
    keys=_OLD_KEYS,
    family_keys=_OLD_OWN,
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *(
            Rule((f"model.layers.{{i}}.self_attn.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), transform)
            for hf, gguf, transform in (
                ("q_proj", "attn_q", _HEADED),
                ("k_proj", "attn_k", _HEADED),
                ("v_proj", "attn_v", IDENTITY),
                ("o_proj", "attn_output", IDENTITY),
            )
        ),
        *FFN,
    ),
)


def _thirds(config: HFConfig) -> tuple[int, int, int]:
    width = config.integer("hidden_size")
    return width, width, width


BAICHUAN: Final = Architecture(
    name="baichuan",
    classes=(
        HFClass("BaichuanForCausalLM", "baichuan", _DEFAULTS),
        HFClass("BaiChuanForCausalLM", "baichuan", _DEFAULTS),
    ),
    tokenizer_kinds=("spm",),
    keys=_OLD_KEYS,
    family_keys=(
        *_OLD_OWN,
        # the larger models' code reads this name
        AssumedByRuntime("model_max_length", lambda config: (config.integer(*_CONTEXTS),)),
        Note(
            lambda config: config.integer("vocab_size") == 125696,
            "Baichuan 2 scales the rows of its output matrix to length one as it runs; llama.cpp does not, "
            "and their lengths differ",
        ),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        Rule(
            ("model.layers.{i}.self_attn.W_pack.weight",),
            tuple(f"blk.{{i}}.attn_{letter}.weight" for letter in "qkv"),
            Chain(SplitRows(_thirds), Each((_HEADED, _HEADED, IDENTITY))),
        ),
        *norms(("self_attn.o_proj", "attn_output")),
        *FFN,
    ),
)


def _parts(config: HFConfig) -> tuple[int, int, int]:
    size, heads = head_size(config), config.integer("num_key_value_heads")
    return size * config.integer("num_attention_heads"), size * heads, size * heads


INTERNLM2: Final = Architecture(
    name="internlm2",
    classes=(HFClass("InternLM2ForCausalLM", "internlm2", _DEFAULTS, _NULLS),),
    tokenizer_kinds=("internlm2",),
    unprefixed=("output.",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(kinds=("linear", "yarn", "dynamic"), theta=None), RMS_EPS),
    family_keys=(*_ASSUMED, AssumedByRuntime("bias", (False,))),
    tensors=(
        *renamed(("model.tok_embeddings", "token_embd"), ("model.norm", "output_norm"), ("output", "output")),
        *norms(
            ("attention_norm", "attn_norm"),
            ("attention.wo", "attn_output"),
            ("ffn_norm", "ffn_norm"),
            ("feed_forward.w1", "ffn_gate"),
            ("feed_forward.w2", "ffn_down"),
            ("feed_forward.w3", "ffn_up"),
        ),
        Rule(
            ("model.layers.{i}.attention.wqkv.weight",),
            tuple(f"blk.{{i}}.attn_{letter}.weight" for letter in "qkv"),
            Chain(
                Chain(UngroupQKV(kv_heads="num_key_value_heads"), SplitRows(_parts)),
                Each((_HEADED, PermuteHeads("num_key_value_heads"), IDENTITY)),
            ),
        ),
    ),
)

ARCHITECTURES: Final = (ORION, XVERSE, BAICHUAN, INTERNLM2)
