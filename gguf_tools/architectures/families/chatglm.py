"""ChatGLM, whose code stands in its repository, and Glm, which transformers has: one shape, two spellings."""

from collections.abc import Iterator
from typing import Any

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import (
    OUTPUT,
    PRE_NORMS,
    attention,
    decoder,
    flag,
    head_count,
    modules,
    norms,
    optional,
    renamed,
)
from ..keys import CONTEXT, HEADS, INNER, KV_HEADS, LAYERS, RMS_EPS, WIDTH, AssumedByRuntime, Entry, Key
from ..rope import PartialRotary
from ..table import HFClass, class_name
from ..tensors import Drop, limit_to, unless
from ..traits import VocabularyTraits
from . import glm4

_REMOTE = "ChatGLMModel"
_REMOTE_BASE = 10000.0
_SPELLED = {
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


def _remote_kv_heads(config: HFConfig) -> int:
    several = config.flag("multi_query_attention")
    return config.integer("multi_query_group_num") if several else head_count(config)


_REMOTE_DEFAULTS = {
    "add_qkv_bias": False,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": False,
    "partial_rotary_factor": 0.5,
    "seq_length": 2048,
    "tie_word_embeddings": False,
}


def _remote_base(config: HFConfig) -> float:
    return _REMOTE_BASE * (config.number("rope_ratio") if config.find("rope_ratio") is not None else 1)


_REMOTE_NULLS = {
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


_BLOCK = "transformer.encoder.layers.{i}"

ARCHITECTURE = decoder(
    "chatglm",
    HFClass("GlmForCausalLM", "glm"),
    HFClass(_REMOTE, "chatglm", _REMOTE_DEFAULTS, _REMOTE_NULLS),
    HFClass("ChatGLMForConditionalGeneration", "chatglm", _REMOTE_DEFAULTS, _REMOTE_NULLS),
    choose=lambda facts: _REMOTE if facts.has("blk.0.attn_qkv.weight") else "GlmForCausalLM",
    keys=(CONTEXT, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, RMS_EPS),
    own=(PartialRotary(), Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32)),
    bias=None,
    checks=(
        AssumedByRuntime("rope_scaling", (None,), export=False),
        AssumedByRuntime("rmsnorm", (True,), export=False),
        AssumedByRuntime("add_bias_linear", (False,), export=False),
        AssumedByRuntime("apply_residual_connection_post_layernorm", (False,), export=False),
        _Spelling(),
    ),
    output=(
        *limit_to(unless(_is_remote), OUTPUT),
        *limit_to(
            _is_remote,
            renamed(
                ("transformer.embedding.word_embeddings", "token_embd"),
                ("transformer.encoder.final_layernorm", "output_norm"),
                ("transformer.output_layer", "output"),
            ),
        ),
    ),
    blocks=(
        *limit_to(
            unless(_is_remote),
            (
                *PRE_NORMS,
                *attention(bias=flag("attention_bias"), output_bias=optional),
                *norms(("mlp.gate_up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
            ),
        ),
        *limit_to(
            _is_remote,
            (
                *modules(
                    ("self_attention.query_key_value", "attn_qkv"), bias=flag("add_qkv_bias"), block=_BLOCK
                ),
                *norms(
                    ("input_layernorm", "attn_norm"),
                    ("self_attention.dense", "attn_output"),
                    ("post_attention_layernorm", "ffn_norm"),
                    ("mlp.dense_h_to_4h", "ffn_up"),
                    ("mlp.dense_4h_to_h", "ffn_down"),
                    block=_BLOCK,
                ),
            ),
        ),
    ),
    unprefixed=("lm_head.", "transformer."),
    drops=(Drop(r"transformer\.rotary_pos_emb\.inv_freq", "a buffer: follows from the RoPE base"),),
    vocabulary=VocabularyTraits(adds={"bos": False}, roles=glm4.ROLES),
)
