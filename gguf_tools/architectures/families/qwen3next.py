"""Qwen3-Next: gated delta nets in three of four layers, gated attention in the fourth, experts in all."""

from collections.abc import Iterator
from typing import Any

from ...container.metadata import Array
from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import OUTPUT, TIED, attention, experts, flag, head_count, norms
from ..delta_net import SplitDelta
from ..keys import (
    CAUSAL,
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    Entry,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    experts_keys,
)
from ..mtp import Blocks, Predicting, is_next
from ..rope import PartialRotary, Rope
from ..table import Architecture, HFClass
from ..tensors import Condition, Rule, limit_to
from ..traits import GraphTraits, Memory, Mixer
from ..transforms import AddOne, NegativeExp, Reshape

_FURTHER = "mtp_num_hidden_layers"
_LINEAR = "linear_attention"
_RECURRENT = "attention.recurrent_layers"
_INTERVAL = 4  # of layers with attention, where the config says nothing else


class _Inner:
    """All value heads together ↔ the inner width; llama.cpp has one size for key and value heads."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        size, heads = config.integer("linear_value_head_dim"), config.integer("linear_num_value_heads")
        if size != config.integer("linear_key_head_dim"):
            raise ArchitectureError(
                "llama.cpp knows this architecture only with key and value heads of one size",
                path="config.json",
                key="linear_value_head_dim",
                found=size,
                expected=config["linear_key_head_dim"],
            )
        yield "ssm.inner_size", ValueType.UINT32, size * heads

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["linear_value_head_dim"] = config["linear_key_head_dim"]


class _Kinds:
    """``layer_types`` ↔ which layers are recurrent, and how often one is not."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        layers = config.integer("num_hidden_layers")
        further = config.find(_FURTHER) or 0
        recurrent = [_is_linear(config, layer) for layer in range(layers)] + [False] * further
        yield _RECURRENT, ValueType.ARRAY, Array(ValueType.BOOL, recurrent)
        yield "full_attention_interval", ValueType.UINT32, config.integer("full_attention_interval")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["full_attention_interval"] = facts.integer("full_attention_interval") or _INTERVAL
        recurrent = facts.find(_RECURRENT)
        if isinstance(recurrent, Array):
            kinds = [_LINEAR if flag else "full_attention" for flag in recurrent]
            config["layer_types"] = kinds[: config["num_hidden_layers"]]


def _is_linear(config: HFConfig, layer: int) -> bool:
    if is_next(config, layer):
        return False
    kinds = config.find("layer_types")
    if kinds is None:
        return (layer + 1) % config.integer("full_attention_interval") != 0
    if not isinstance(kinds, list) or len(kinds) != config.integer("num_hidden_layers"):
        raise ArchitectureError(
            "not a list with a kind for every layer", path="config.json", key="layer_types", found=kinds
        )
    return bool(kinds[layer] == _LINEAR)


def _has_attention(config: HFConfig, layer: int) -> bool:
    return not _is_linear(config, layer)


def _is_trunk(config: HFConfig, layer: int) -> bool:
    return not is_next(config, layer)


def _both(first: Condition, then: Condition) -> Condition:
    return lambda config, layer: first(config, layer) and then(config, layer)


def _block(block: str, where: Condition) -> tuple[Rule, ...]:
    """A block with attention, or what it has where that is a delta net, and its experts."""
    return (
        *limit_to(
            where,
            norms(
                ("input_layernorm", "attn_norm"),
                ("post_attention_layernorm", "post_attention_norm"),
                transform=AddOne(),
                block=block,
            ),
        ),
        *limit_to(
            _both(where, _has_attention),
            (
                *attention(bias=flag("attention_bias"), block=block),
                *norms(
                    ("self_attn.q_norm", "attn_q_norm"),
                    ("self_attn.k_norm", "attn_k_norm"),
                    transform=AddOne(),
                    block=block,
                ),
            ),
        ),
        *limit_to(
            where,
            (
                *norms(
                    ("mlp.gate", "ffn_gate_inp"),
                    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
                    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
                    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
                    block=block,
                ),
                *norms(
                    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
                    # ggml's own files have one dimension
                    transform=Reshape(gguf=lambda shape: shape, hf=lambda shape: (1, shape[-1])),
                    block=block,
                ),
                *experts("num_experts", block=block),
            ),
        ),
    )


_NET = "model.layers.{i}.linear_attn"
_DELTA = (
    Rule(
        (f"{_NET}.in_proj_qkvz.weight",),
        ("blk.{i}.attn_qkv.weight", "blk.{i}.attn_gate.weight"),
        SplitDelta(),
        when=_is_linear,
    ),
    Rule((f"{_NET}.in_proj_ba.weight",), ("blk.{i}.ssm_ba.weight",), when=_is_linear),
    Rule(
        (f"{_NET}.conv1d.weight",),
        ("blk.{i}.ssm_conv1d.weight",),
        Reshape(gguf=lambda shape: (shape[0], shape[-1]), hf=lambda shape: (shape[0], 1, shape[1])),
        when=_is_linear,
    ),
    Rule((f"{_NET}.dt_bias",), ("blk.{i}.ssm_dt.bias",), when=_is_linear),
    Rule((f"{_NET}.A_log",), ("blk.{i}.ssm_a",), NegativeExp(), when=_is_linear),
    Rule((f"{_NET}.norm.weight",), ("blk.{i}.ssm_norm.weight",), when=_is_linear),
    Rule((f"{_NET}.out_proj.weight",), ("blk.{i}.ssm_out.weight",), when=_is_linear),
)
_NEXT = (
    Rule(("mtp.fc.weight",), ("blk.{i}.nextn.eh_proj.weight",), when=is_next),
    *(
        Rule((f"mtp.{hf}.weight",), (f"blk.{{i}}.nextn.{gguf}.weight",), AddOne(), when=is_next)
        for hf, gguf in (
            ("pre_fc_norm_embedding", "enorm"),
            ("pre_fc_norm_hidden", "hnorm"),
            ("norm", "shared_head_norm"),
        )
    ),
)


def _further(config: HFConfig) -> int | None:
    """How many blocks predict further tokens: config.json does not say, the checkpoint has them or not."""
    return 1 if config.has_tensors("mtp.layers.0.") or config.has_tensors("model.mtp.layers.0.") else None


ARCHITECTURE = Architecture(
    name="qwen3next",
    classes=(
        HFClass(
            "Qwen3NextForCausalLM",
            "qwen3_next",
            {
                "attention_bias": False,
                "full_attention_interval": _INTERVAL,
                "head_dim": 256,
                "linear_conv_kernel_dim": 4,
                "linear_key_head_dim": 128,
                "linear_num_key_heads": 16,
                "linear_num_value_heads": 32,
                "linear_value_head_dim": 128,
                "max_position_embeddings": 32768,
                "moe_intermediate_size": 512,
                "norm_topk_prob": True,
                "num_experts": 512,
                "num_experts_per_tok": 10,
                "num_key_value_heads": 2,
                "partial_rotary_factor": 0.25,
                "rms_norm_eps": 1e-6,
                "rope_theta": 10000.0,
                "shared_expert_intermediate_size": 512,
                "tie_word_embeddings": False,
            },
            {"num_key_value_heads": head_count, _FURTHER: _further},
        ),
    ),
    tokenizer_kinds=("bpe",),
    unprefixed=("lm_head.", "mtp."),
    renames=((r"^model\.mtp\.", "mtp."),),
    keys=(
        Blocks(_FURTHER),
        CONTEXT,
        WIDTH,
        INNER,
        HEADS,
        KV_HEADS,
        CAUSAL,
        Rope(),
        RMS_EPS,
        *experts_keys("num_experts"),
        HeadDim(),
    ),
    family_keys=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
        Predicting(_FURTHER),
        Key("ssm.conv_kernel", "linear_conv_kernel_dim"),
        Key("ssm.state_size", "linear_key_head_dim"),
        Key("ssm.group_count", "linear_num_key_heads"),
        Key("ssm.time_step_rank", "linear_num_value_heads"),
        _Inner(),
        _Kinds(),
        PartialRotary(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("norm_topk_prob", (True,)),
        AssumedByRuntime("decoder_sparse_step", (1,)),
        AssumedByRuntime("mlp_only_layers", ([],)),
    ),
    tensors=(
        OUTPUT[0],
        Rule(OUTPUT[1].hf, OUTPUT[1].gguf, AddOne()),
        OUTPUT[2],
        *_block("model.layers.{i}", _is_trunk),
        *_DELTA,
        *_block("mtp.layers.0", is_next),
        *_NEXT,
    ),
    export_notes=("A_log is computed back from A = -exp(A_log): its last bits may differ",),
    graph=GraphTraits(
        memory=Memory.PERIODIC, mixer=Mixer.DELTA_NET, network_norm_after=True, normed_weights=True
    ),
)
