"""GLM 4 in its generations: ChatGLM and Glm, which llama.cpp calls chatglm, and Glm4 with norms around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import OUTPUT, PRE_NORMS, TIED, attention, flag, head_count, modules, norms, optional, renamed
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
    Entry,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    KeyRule,
)
from ..rope import PartialRotary, Rope
from ..table import Architecture, HFClass, class_name
from ..tensors import Drop, Rule

_DEFAULTS: Final[dict[str, Any]] = {
    "attention_bias": True,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 2,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1.5625e-07,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)
_REMOTE: Final = "ChatGLMModel"
_REMOTE_BASE: Final = 10000.0
_SPELLED: Final[Mapping[str, str]] = {
    "attention_bias": "add_qkv_bias",
    "head_dim": "kv_channels",
    "intermediate_size": "ffn_hidden_size",
    "max_position_embeddings": "seq_length",
    "num_hidden_layers": "num_layers",
    "rms_norm_eps": "layernorm_epsilon",
}
"""Keys of Glm and what ChatGLM, whose code stands in its repository, calls them."""


def _is_remote(config: HFConfig, layer: int = 0) -> bool:
    return class_name(config).startswith("ChatGLM")


def _is_native(config: HFConfig, layer: int = 0) -> bool:
    return not _is_remote(config)


def _remote_kv_heads(config: HFConfig) -> int:
    several = config.flag("multi_query_attention")
    return config.integer("multi_query_group_num") if several else head_count(config)


_REMOTE_DEFAULTS: Final[dict[str, Any]] = {
    "add_qkv_bias": False,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": False,
    "partial_rotary_factor": 0.5,
    "seq_length": 2048,
    "tie_word_embeddings": False,
}


def _remote_base(config: HFConfig) -> float:
    return _REMOTE_BASE * (config.number("rope_ratio") if config.find("rope_ratio") is not None else 1)


_REMOTE_NULLS: Final = {
    "num_key_value_heads": _remote_kv_heads,
    "rope_theta": _remote_base,
    "vocab_size": lambda config: config.find("padded_vocab_size"),
} | {ours: (lambda key: lambda config: config.find(key))(theirs) for ours, theirs in _SPELLED.items()}


class _Spelling:
    """What llama.cpp has no keys for; an export of a ChatGLM has that family's names."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        size = config.find("head_dim")
        if size is not None and config.integer("head_dim") * head_count(config) != config.integer(
            "hidden_size"
        ):
            raise ArchitectureError(
                "llama.cpp knows this architecture only with heads that divide the width",
                path="config.json",
                key="kv_channels" if _is_remote(config) else "head_dim",
                found=size,
                expected=f"hidden_size {config['hidden_size']} / num_attention_heads {head_count(config)}",
            )
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
        config["attention_bias"] = facts.has("blk.0.attn_q.bias") or facts.has("blk.0.attn_qkv.bias")
        if config["architectures"] != [_REMOTE]:
            return
        for ours, theirs in _SPELLED.items():
            config[theirs] = config.pop(ours)
        config["multi_query_attention"] = True
        config["multi_query_group_num"] = config.pop("num_key_value_heads")
        config["rope_ratio"] = config.pop("rope_theta") / _REMOTE_BASE
        config["padded_vocab_size"] = config["vocab_size"]


CHATGLM: Final = Architecture(
    name="chatglm",
    classes=(
        HFClass("GlmForCausalLM", "glm", _DEFAULTS | {"head_dim": 128}, _NULLS),
        HFClass(_REMOTE, "chatglm", _REMOTE_DEFAULTS, _REMOTE_NULLS),
        HFClass("ChatGLMForConditionalGeneration", "chatglm", _REMOTE_DEFAULTS, _REMOTE_NULLS),
    ),
    choose=lambda facts: _REMOTE if facts.has("blk.0.attn_qkv.weight") else "GlmForCausalLM",
    tokenizer_kinds=("bpe",),
    unprefixed=("lm_head.", "transformer."),
    keys=(CONTEXT, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, RMS_EPS),
    family_keys=(
        PartialRotary(),
        Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32),
        *_ASSUMED,
        AssumedByRuntime("rope_scaling", (None,), export=False),
        AssumedByRuntime("rmsnorm", (True,), export=False),
        AssumedByRuntime("add_bias_linear", (False,), export=False),
        AssumedByRuntime("apply_residual_connection_post_layernorm", (False,), export=False),
        _Spelling(),
    ),
    tensors=(
        *(
            Rule(rule.hf, rule.gguf, when=_is_native, needed=rule.needed)
            for rule in (
                *OUTPUT,
                *PRE_NORMS,
                *attention(bias=flag("attention_bias"), output_bias=optional),
                *norms(("mlp.gate_up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
            )
        ),
        *(
            Rule(rule.hf, rule.gguf, when=_is_remote, needed=rule.needed)
            for rule in (
                *renamed(
                    ("transformer.embedding.word_embeddings", "token_embd"),
                    ("transformer.encoder.final_layernorm", "output_norm"),
                    ("transformer.output_layer", "output"),
                ),
                *modules(
                    ("self_attention.query_key_value", "attn_qkv"),
                    bias=flag("add_qkv_bias"),
                    block="transformer.encoder.layers.{i}",
                ),
                *norms(
                    ("input_layernorm", "attn_norm"),
                    ("self_attention.dense", "attn_output"),
                    ("post_attention_layernorm", "ffn_norm"),
                    ("mlp.dense_h_to_4h", "ffn_up"),
                    ("mlp.dense_4h_to_h", "ffn_down"),
                    block="transformer.encoder.layers.{i}",
                ),
            )
        ),
    ),
    drops=(Drop(r"transformer\.rotary_pos_emb\.inv_freq", "a buffer: follows from the RoPE base"),),
)

GLM4: Final = Architecture(
    name="glm4",
    classes=(HFClass("Glm4ForCausalLM", "glm4", _DEFAULTS | {"head_dim": 128}, _NULLS),),
    tokenizer_kinds=("bpe",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, HeadDim()),
    family_keys=(PartialRotary(), *_ASSUMED, FromTensorPresence("attention_bias", "blk.0.attn_q.bias")),
    tensors=(
        *OUTPUT,
        *attention(bias=flag("attention_bias"), output_bias=optional),
        *norms(
            ("input_layernorm", "attn_norm"),
            ("post_self_attn_layernorm", "post_attention_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("post_mlp_layernorm", "post_ffw_norm"),
            ("mlp.gate_up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ),
    ),
)

ARCHITECTURES: Final = (CHATGLM, GLM4)
