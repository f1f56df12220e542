"""Qwen3-Next: gated delta nets in three of four layers, gated attention in the fourth, experts in all."""

from collections.abc import Iterator
from typing import Any

from ...container.metadata import Array
from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, EMBEDDING, HEAD, attention, decoder, experts, flag, gated, norms
from ..delta_net import delta_net
from ..keys import HEAD_DIM, DerivedKey, Entry, Key, experts_keys
from ..mamba_parts import LOST
from ..mtp import Blocks, Predicting, is_next
from ..rope import PartialRotary
from ..routing import shared_expert_gate
from ..table import HFClass
from ..tensors import Rule, limit_to, unless
from ..traits import GraphTraits, Memory, Mixer
from ..transforms import AddOne

_FURTHER = "mtp_num_hidden_layers"
_LINEAR = "linear_attention"
_RECURRENT = "attention.recurrent_layers"
_INTERVAL = 4  # of layers with attention, where the config says nothing else


def _inner(config: HFConfig) -> int:
    """All value heads together; llama.cpp has one size for key and value heads."""
    size, heads = config.integer("linear_value_head_dim"), config.integer("linear_num_value_heads")
    if size != config.integer("linear_key_head_dim"):
        raise ArchitectureError(
            "llama.cpp knows this architecture only with key and value heads of one size",
            path="config.json",
            key="linear_value_head_dim",
            found=size,
            expected=config["linear_key_head_dim"],
        )
    return size * heads


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


def _block(block: str) -> tuple[Rule, ...]:
    """A block's norms, its attention where it has that, and its experts."""
    return (
        *norms(
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "post_attention_norm"),
            transform=AddOne(),
            block=block,
        ),
        *limit_to(
            unless(_is_linear),
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
        *norms(("mlp.gate", "ffn_gate_inp"), block=block),
        *gated("mlp.shared_expert", "_shexp", block=block),
        *shared_expert_gate(block),
        *experts("num_experts", block=block),
    )


NEXT = (
    Rule(("mtp.fc.weight",), ("blk.{i}.nextn.eh_proj.weight",)),
    Rule(("mtp.pre_fc_norm_embedding.weight",), ("blk.{i}.nextn.enorm.weight",), AddOne()),
    Rule(("mtp.pre_fc_norm_hidden.weight",), ("blk.{i}.nextn.hnorm.weight",), AddOne()),
    Rule(("mtp.norm.weight",), ("blk.{i}.nextn.shared_head_norm.weight",), AddOne()),
)


def _further(config: HFConfig) -> int | None:
    """How many blocks predict further tokens: config.json does not say, the checkpoint has them or not."""
    return 1 if config.has_tensors("mtp.layers.0.") or config.has_tensors("model.mtp.layers.0.") else None


INNER_SIZE = DerivedKey(
    "ssm.inner_size",
    ValueType.UINT32,
    _inner,
    lambda facts, config: {"linear_value_head_dim": config["linear_key_head_dim"]},
)

ARCHITECTURE = decoder(
    "qwen3next",
    HFClass("Qwen3NextForCausalLM", "qwen3_next"),
    defaults={"full_attention_interval": _INTERVAL},
    derived={_FURTHER: _further},
    sizes={"block_count": Blocks(_FURTHER)},
    expert_keys=experts_keys("num_experts"),
    head_dim=HEAD_DIM,
    own=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
        Predicting(_FURTHER),
        Key("ssm.conv_kernel", "linear_conv_kernel_dim"),
        Key("ssm.state_size", "linear_key_head_dim"),
        Key("ssm.group_count", "linear_num_key_heads"),
        Key("ssm.time_step_rank", "linear_num_value_heads"),
        INNER_SIZE,
        _Kinds(),
        PartialRotary(),
    ),
    assumed={"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
    output=(EMBEDDING, Rule(("model.norm.weight",), ("output_norm.weight",), AddOne()), HEAD),
    blocks=(
        *limit_to(unless(is_next), _block(BLOCK)),
        *limit_to(_is_linear, delta_net(f"{BLOCK}.linear_attn")),
        *limit_to(is_next, (*_block("mtp.layers.0"), *NEXT)),
    ),
    unprefixed=("lm_head.", "mtp."),
    renames=((r"^model\.mtp\.", "mtp."),),
    export_notes=LOST,
    graph=GraphTraits(
        memory=Memory.PERIODIC,
        mixer=Mixer.DELTA_NET,
        network_norm_after=True,
        normed_weights=True,
    ),
)
