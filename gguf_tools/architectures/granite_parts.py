"""What the Granites share: multipliers, fused experts, and Granite 4's kinds of layers."""

from __future__ import annotations

from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import MAX_LAYERS, ValueType
from .config import HFConfig
from .decoder import BLOCK, head_count, norms
from .keys import VOCABULARY_SIZE, DerivedKey, Key, KeyRule
from .per_layer_keys import Heads, LayerArray, SSMInner
from .tensors import Rule
from .transforms import SplitMiddle, SplitRows

__all__ = [
    "EXPERTS",
    "HYBRID",
    "KV_ARRAY",
    "MIXER_KEYS",
    "MULTIPLIERS",
    "all_attention",
    "attends",
    "has_shared",
    "shared_mlp",
]

HYBRID: Final = "GraniteMoeHybridForCausalLM"


def _rotary(config: HFConfig) -> int:
    return config.integer("hidden_size") // config.integer("num_attention_heads")


MULTIPLIERS: Final[tuple[KeyRule, ...]] = (
    VOCABULARY_SIZE,
    DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
    Key("attention.scale", "attention_multiplier", type=ValueType.FLOAT32),
    Key("embedding_scale", "embedding_multiplier", type=ValueType.FLOAT32),
    Key("residual_scale", "residual_multiplier", type=ValueType.FLOAT32),
    Key("logit_scale", "logits_scaling", type=ValueType.FLOAT32),
)


def attends(config: HFConfig, layer: int) -> bool:
    """Whether a layer of a Granite 4 has attention; the others have mixers.

    Raises:
        ArchitectureError: ``layer_types`` does not say so for every layer.
    """
    kinds, count = config.find("layer_types"), config.integer("num_hidden_layers", most=MAX_LAYERS)
    known = (
        isinstance(kinds, list) and len(kinds) == count and all(k in ("attention", "mamba") for k in kinds)
    )
    if not known:
        raise ArchitectureError(
            "not a list of attention or mamba for every layer",
            path="config.json",
            key="layer_types",
            found=str(kinds)[:80],
            expected=f"{count} of them",
        )
    return bool(kinds[layer] == "attention")


def layer_types(attends: list[bool], config: dict[str, Any]) -> None:
    """Put the kinds of the layers into the config."""
    config["layer_types"] = ["attention" if there else "mamba" for there in attends]


def all_attention(config: HFConfig) -> bool:
    """Whether a Granite 4 has no mixers at all, and no experts: then it is an ordinary Granite to GGUF."""
    layers = range(config.integer("num_hidden_layers", most=MAX_LAYERS))
    routed = config.integer("num_local_experts", least=0) or config.integer("num_experts_per_tok", least=0)
    return not routed and all(attends(config, layer) for layer in layers)


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_expand") * config.integer("hidden_size")


KV_ARRAY: Final = LayerArray(
    "attention.head_count_kv", "num_key_value_heads", attends, layer_types, none=head_count
)
MIXER_KEYS: Final[tuple[KeyRule, ...]] = (
    Key("expert_shared_feed_forward_length", "shared_intermediate_size"),
    Key("ssm.conv_kernel", "mamba_d_conv"),
    Key("ssm.state_size", "mamba_d_state"),
    Key("ssm.group_count", "mamba_n_groups"),
    SSMInner(),
    Heads(_inner),
)
"""Of Granite 4, whether it has mixers or not."""


def has_shared(config: HFConfig, layer: int) -> bool:
    return config.find("shared_intermediate_size") not in (None, 0)


def _shared_sizes(config: HFConfig) -> tuple[int, int]:
    size = config.integer("shared_intermediate_size")
    return size, size


EXPERTS: Final = (
    *norms(
        ("block_sparse_moe.router.layer", "ffn_gate_inp"),
        ("block_sparse_moe.output_linear", "ffn_down_exps"),
    ),
    Rule(
        (f"{BLOCK}.block_sparse_moe.input_linear.weight",),
        ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
        SplitMiddle(),
    ),
)


def shared_mlp(suffix: str) -> tuple[Rule, ...]:
    """The feed-forward part that is not routed, with gate and up fused; ``suffix`` is for its GGUF names."""
    return (
        Rule(
            (f"{BLOCK}.shared_mlp.input_linear.weight",),
            (f"blk.{{i}}.ffn_gate{suffix}.weight", f"blk.{{i}}.ffn_up{suffix}.weight"),
            SplitRows(_shared_sizes),
        ),
        Rule((f"{BLOCK}.shared_mlp.output_linear.weight",), (f"blk.{{i}}.ffn_down{suffix}.weight",)),
    )
