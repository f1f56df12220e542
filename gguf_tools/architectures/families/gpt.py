"""GPT-2, GPT-BigCode (StarCoder), GPT-NeoX, Bloom, Falcon, MPT: fused query, key and value, layer norms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real, rounded, shortest
from ..decoder import has_head, optional
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    LAYER_EPS,
    LAYERS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    Entry,
    FromTensorRows,
    Key,
    KeyRule,
)
from ..rope import PartialRotary
from ..table import Architecture, HFClass
from ..tensors import Condition, Drop, Rule, always, weight_and_bias
from ..transforms import IDENTITY, Transform, Transpose, UngroupQKV

_BLOCK: Final = "transformer.h.{i}"


def _pairs(
    block: str,
    *rows: tuple[str, str, Transform],
    bias: Condition = always,
) -> tuple[Rule, ...]:
    return tuple(
        rule
        for hf, gguf, transform in rows
        for rule in (
            Rule((f"{block}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), transform),
            Rule(
                (f"{block}.{hf}.bias",),
                (f"blk.{{i}}.{gguf}.bias",),
                IDENTITY if isinstance(transform, Transpose) else transform,
                needed=bias,
            ),
        )
    )


class _FourTimes:
    """A feed-forward four times as wide as the model, which is all that llama.cpp's converter knows.

    ``hf`` is the key some configs give the width by.
    """

    def __init__(self, hf: str, width: str = "hidden_size") -> None:
        self.hf, self.width = hf, width

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        inner = 4 * config.integer(self.width)
        if config.find(self.hf) not in (None, inner):
            raise ArchitectureError(
                "the feed-forward must be four times as wide as the model in this architecture",
                path="config.json",
                key=self.hf,
                found=config.find(self.hf),
                expected=inner,
            )
        yield "feed_forward_length", ValueType.UINT32, inner

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        return


_TIED_HEAD: Final = Rule(("lm_head.weight",), ("output.weight",), needed=optional)
"""Tied, and in some checkpoints stored again, which llama.cpp's converter keeps."""

_GPT2_SIZES: Final[dict[str, Key]] = {
    "layers": LAYERS.named("n_layer", "num_hidden_layers"),
    "width": WIDTH.named("n_embd", "hidden_size"),
    "heads": HEADS.named("n_head", "num_attention_heads"),
}
_GPT2_DEFAULTS: Final[dict[str, Any]] = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "n_positions": 1024,
    "tie_word_embeddings": True,
}
_GPT2_EPS: Final = LAYER_EPS.named("layer_norm_epsilon")
_GPT2_ENDS: Final = (
    Rule(("transformer.wte.weight",), ("token_embd.weight",)),
    Rule(("transformer.wpe.weight",), ("position_embd.weight",)),
    *weight_and_bias("transformer.ln_f", "output_norm"),
    _TIED_HEAD,
)

GPT2: Final = Architecture(
    name="gpt2",
    classes=(
        HFClass(
            "GPT2LMHeadModel", "gpt2", _GPT2_DEFAULTS, {"n_ctx": lambda config: config.find("n_positions")}
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=(
        _GPT2_SIZES["layers"],
        Key("context_length", "n_ctx", "n_positions"),
        _GPT2_SIZES["width"],
        _FourTimes("n_inner", "n_embd"),
        _GPT2_SIZES["heads"],
        _GPT2_EPS,
    ),
    family_keys=(
        FromTensorRows("n_positions", "position_embd.weight"),
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("activation_function", ("gelu_new", "gelu", "gelu_pytorch_tanh")),
        AssumedByRuntime("scale_attn_by_inverse_layer_idx", (False,)),
    ),
    tensors=(
        *_GPT2_ENDS,
        *_pairs(
            _BLOCK,
            ("ln_1", "attn_norm", IDENTITY),
            ("attn.c_attn", "attn_qkv", Transpose()),
            ("attn.c_proj", "attn_output", Transpose()),
            ("ln_2", "ffn_norm", IDENTITY),
            ("mlp.c_fc", "ffn_up", Transpose()),
            ("mlp.c_proj", "ffn_down", Transpose()),
        ),
    ),
    drops=(Drop(r".*\.attn\.(masked_)?bias", "a buffer: the causal mask"),),
)

STARCODER: Final = Architecture(
    name="starcoder",
    classes=(
        HFClass(
            "GPTBigCodeForCausalLM",
            "gpt_bigcode",
            _GPT2_DEFAULTS | {"activation_function": "gelu_pytorch_tanh", "multi_query": True},
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=(
        CONTEXT.named("n_positions"),
        _GPT2_SIZES["width"],
        _FourTimes("n_inner", "n_embd"),
        _GPT2_SIZES["layers"],
        _GPT2_SIZES["heads"],
        DerivedKey("attention.head_count_kv", ValueType.UINT32, lambda config: 1),
        _GPT2_EPS,
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("activation_function", ("gelu_pytorch_tanh", "gelu_new", "gelu")),
        AssumedByRuntime("multi_query", (True,)),
    ),
    tensors=(
        *_GPT2_ENDS,
        *_pairs(
            _BLOCK,
            ("ln_1", "attn_norm", IDENTITY),
            ("attn.c_attn", "attn_qkv", IDENTITY),
            ("attn.c_proj", "attn_output", IDENTITY),
            ("ln_2", "ffn_norm", IDENTITY),
            ("mlp.c_fc", "ffn_up", IDENTITY),
            ("mlp.c_proj", "ffn_down", IDENTITY),
        ),
    ),
    drops=(Drop(r".*\.attn\.(masked_)?bias", "a buffer: the causal mask"),),
)

GPTNEOX: Final = Architecture(
    name="gptneox",
    classes=(
        HFClass(
            "GPTNeoXForCausalLM",
            "gpt_neox",
            {
                "hidden_act": "gelu",
                "layer_norm_eps": 1e-5,
                "max_position_embeddings": 2048,
                "rotary_emb_base": 10000,
                "rotary_pct": 0.25,
                "tie_word_embeddings": False,
                "use_parallel_residual": True,
            },
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="gpt_neox.",
    unprefixed=("embed_out.",),
    keys=(
        CONTEXT,
        WIDTH,
        LAYERS,
        INNER,
        PartialRotary(("rotary_pct",)),
        HEADS,
        Key("use_parallel_residual", "use_parallel_residual", type=ValueType.BOOL),
        LAYER_EPS,
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("hidden_act", ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")),
        AssumedByRuntime("rotary_emb_base", (10000,)),
        AssumedByRuntime("attention_bias", (True,)),
    ),
    tensors=(
        Rule(("gpt_neox.embed_in.weight",), ("token_embd.weight",)),
        *weight_and_bias("gpt_neox.final_layer_norm", "output_norm"),
        Rule(("embed_out.weight",), ("output.weight",), needed=has_head),
        *_pairs(
            "gpt_neox.layers.{i}",
            ("input_layernorm", "attn_norm", IDENTITY),
            ("attention.query_key_value", "attn_qkv", UngroupQKV()),
            ("attention.dense", "attn_output", IDENTITY),
            ("post_attention_layernorm", "ffn_norm", IDENTITY),
            ("mlp.dense_h_to_4h", "ffn_up", IDENTITY),
            ("mlp.dense_4h_to_h", "ffn_down", IDENTITY),
        ),
    ),
)

BLOOM: Final = Architecture(
    name="bloom",
    classes=(
        HFClass(
            "BloomForCausalLM",
            "bloom",
            {"layer_norm_epsilon": 1e-5, "tie_word_embeddings": True},
            {
                "hidden_size": lambda config: config.find("n_embed"),
                "seq_length": lambda config: config.find("hidden_size"),
            },
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=(
        CONTEXT.named("seq_length"),
        WIDTH,
        _FourTimes("n_inner"),
        LAYERS.named("n_layer", "num_hidden_layers"),
        HEADS.named("n_head", "num_attention_heads"),
        DerivedKey(
            "attention.head_count_kv",
            ValueType.UINT32,
            lambda config: config.integer("n_head", "num_attention_heads"),
        ),
        LAYER_EPS.named("layer_norm_epsilon"),
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("apply_residual_connection_post_layernorm", (False,)),
    ),
    tensors=(
        Rule(("transformer.word_embeddings.weight",), ("token_embd.weight",)),
        *weight_and_bias("transformer.word_embeddings_layernorm", "token_embd_norm"),
        *weight_and_bias("transformer.ln_f", "output_norm"),
        _TIED_HEAD,
        *_pairs(
            _BLOCK,
            ("input_layernorm", "attn_norm", IDENTITY),
            ("self_attention.query_key_value", "attn_qkv", UngroupQKV("n_head", "n_head")),
            ("self_attention.dense", "attn_output", IDENTITY),
            ("post_attention_layernorm", "ffn_norm", IDENTITY),
            ("mlp.dense_h_to_4h", "ffn_up", IDENTITY),
            ("mlp.dense_4h_to_h", "ffn_down", IDENTITY),
        ),
    ),
)


def _kv_heads(config: HFConfig) -> int:
    """What transformers computes with: all of 40B's newer decoder, one of 7B's, or one for each head."""
    if config.flag("new_decoder_architecture"):
        return config.integer("num_kv_heads", "n_head_kv")
    return 1 if config.flag("multi_query") else config.integer("num_attention_heads")


def _newer(config: HFConfig, layer: int) -> bool:
    return config.flag("new_decoder_architecture") and config.find("num_ln_in_parallel_attn") != 1


def _older(config: HFConfig, layer: int) -> bool:
    return not _newer(config, layer)


class _FalconHeads:
    """``num_kv_heads``, with the flags that say what it means."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield "attention.head_count_kv", ValueType.UINT32, config.integer("num_kv_heads", "n_head_kv")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        heads = facts.integer("attention.head_count_kv") or 1
        newer = facts.has("blk.0.attn_norm_2.weight")
        config["num_kv_heads"] = heads
        config["new_decoder_architecture"] = newer
        config["multi_query"] = newer or heads == 1


FALCON: Final = Architecture(
    name="falcon",
    classes=(
        HFClass(
            "FalconForCausalLM",
            "falcon",
            {
                "activation": "gelu",
                "alibi": False,
                "bias": False,
                "layer_norm_epsilon": 1e-5,
                "max_position_embeddings": 2048,
                "multi_query": True,
                "new_decoder_architecture": False,
                "parallel_attn": True,
                "rope_theta": 10000.0,
                "tie_word_embeddings": True,
            },
            {"num_kv_heads": _kv_heads},
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=(
        DerivedKey("context_length", ValueType.UINT32, lambda config: 2048),  # what it was trained on
        DerivedKey("tensor_data_layout", ValueType.STRING, lambda config: "jploski"),
        WIDTH,
        _FourTimes("ffn_hidden_size"),
        LAYERS,
        HEADS,
        _FalconHeads(),
        LAYER_EPS.named("layer_norm_epsilon"),
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("rope_theta", (10000.0,)),
        AssumedByRuntime("alibi", (False,)),
        AssumedByRuntime("bias", (False,)),
        AssumedByRuntime("parallel_attn", (True,)),
    ),
    tensors=(
        Rule(("transformer.word_embeddings.weight",), ("token_embd.weight",)),
        *weight_and_bias("transformer.ln_f", "output_norm"),
        _TIED_HEAD,
        *weight_and_bias(f"{_BLOCK}.input_layernorm", "blk.{i}.attn_norm", when=_older),
        *weight_and_bias(f"{_BLOCK}.ln_mlp", "blk.{i}.attn_norm", when=_newer),
        *weight_and_bias(f"{_BLOCK}.ln_attn", "blk.{i}.attn_norm_2", when=_newer),
        *_pairs(
            _BLOCK,
            (
                "self_attention.query_key_value",
                "attn_qkv",
                UngroupQKV("num_attention_heads", "num_kv_heads"),
            ),
            ("self_attention.dense", "attn_output", IDENTITY),
            ("mlp.dense_h_to_4h", "ffn_up", IDENTITY),
            ("mlp.dense_4h_to_h", "ffn_down", IDENTITY),
            bias=optional,
        ),
    ),
)


class _AttentionConfig:
    """What MPT nests under ``attn_config``: clamping and ALiBi."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        given = config.find("attn_config")
        nested = given if isinstance(given, Mapping) else {}
        if nested.get("clip_qkv") is not None:
            yield "attention.clamp_kqv", ValueType.FLOAT32, real(nested["clip_qkv"], "attn_config.clip_qkv")
        bias = real(nested.get("alibi_bias_max", 8), "attn_config.alibi_bias_max")
        yield "attention.max_alibi_bias", ValueType.FLOAT32, bias if nested.get("alibi", True) else 0.0

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        bias = facts.number("attention.max_alibi_bias") or 0.0
        clip = facts.number("attention.clamp_kqv")
        config["attn_config"] = {
            "alibi": bias > 0,
            "alibi_bias_max": int(bias) or 8,
            "clip_qkv": None if clip is None else shortest(clip),
            "qk_ln": facts.has("blk.0.attn_q_norm.weight"),
        }


_MPT_KEYS: Final[tuple[KeyRule, ...]] = (
    CONTEXT.named("max_seq_len"),
    WIDTH.named("d_model"),
    LAYERS.named("n_layers"),
    _FourTimes("n_inner", "d_model"),
    HEADS.named("n_heads"),
    DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(1e-5)),
    _AttentionConfig(),
)

MPT: Final = Architecture(
    name="mpt",
    classes=(
        HFClass("MPTForCausalLM", "mpt", {"max_seq_len": 2048, "tie_word_embeddings": True}),
        HFClass("MptForCausalLM", "mpt", {"max_seq_len": 2048, "tie_word_embeddings": True}),
    ),
    tokenizer_kinds=("bpe",),
    prefix="transformer.",
    keys=_MPT_KEYS,
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("expansion_ratio", (4,)),
        AssumedByRuntime("no_bias", (True,)),
    ),
    tensors=(
        Rule(("transformer.wte.weight",), ("token_embd.weight",)),
        *weight_and_bias("transformer.norm_f", "output_norm", bias=optional),
        _TIED_HEAD,
        *_pairs(
            "transformer.blocks.{i}",
            ("norm_1", "attn_norm", IDENTITY),
            ("attn.Wqkv", "attn_qkv", IDENTITY),
            ("attn.out_proj", "attn_output", IDENTITY),
            ("norm_2", "ffn_norm", IDENTITY),
            ("ffn.up_proj", "ffn_up", IDENTITY),
            ("ffn.down_proj", "ffn_down", IDENTITY),
            bias=optional,
        ),
    ),
)

ARCHITECTURES: Final = (GPT2, STARCODER, GPTNEOX, BLOOM, FALCON, MPT)
