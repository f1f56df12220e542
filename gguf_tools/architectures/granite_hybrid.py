"""Granite 4: Mamba 2 or attention by layer, then experts and a shared one, or only the latter."""

from __future__ import annotations

from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import HFConfig
from .decoder import OUTPUT, PRE_NORMS, TIED
from .granite import ATTENTION, DEFAULTS, EXPERTS, MULTIPLIERS, NULLS, has_shared, shared_mlp
from .hybrid import AnyTensor, Heads, LayerArray, SSMInner
from .keys import (
    CAUSAL,
    HEADS,
    INNER,
    LAYERS,
    RMS_EPS,
    WIDTH,
    Assumed,
    Computed,
    Key,
    Noted,
    RowsOf,
    experts_keys,
)
from .mamba import LOST, UNLIMITED, mamba2_mixer
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import only


def _attends(config: HFConfig, layer: int) -> bool:
    kinds = config.find("layer_types")
    if not isinstance(kinds, list) or not set(map(str, kinds)) <= {"attention", "mamba"}:
        raise ArchitectureError(
            "not a list of attention or mamba for every layer",
            path="config.json",
            key="layer_types",
            found=kinds,
        )
    if layer >= len(kinds):
        raise ArchitectureError(
            "too few layers", path="config.json", key="layer_types", found=len(kinds), expected=layer + 1
        )
    return bool(kinds[layer] == "attention")


def _mixes(config: HFConfig, layer: int) -> bool:
    return not _attends(config, layer)


def _layer_types(attends: list[bool], config: dict[str, Any]) -> None:
    config["layer_types"] = ["attention" if there else "mamba" for there in attends]


def _routed(config: HFConfig, layer: int) -> bool:
    return config.integer("num_local_experts", least=0) > 0


def _dense(config: HFConfig, layer: int) -> bool:
    return not _routed(config, layer)


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_expand") * config.integer("hidden_size")


ARCHITECTURE: Final = Architecture(
    name="granitehybrid",
    classes=(
        HFClass(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            DEFAULTS
            | {
                "mamba_conv_bias": True,
                "mamba_d_conv": 4,
                "mamba_d_state": 256,
                "mamba_expand": 2,
                "mamba_n_groups": 1,
                "mamba_n_heads": 128,
                "num_experts_per_tok": 2,
                "num_local_experts": 8,
                "shared_intermediate_size": 1024,
            },
            NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        LAYERS,
        UNLIMITED,
        WIDTH,
        INNER,
        HEADS,
        LayerArray(
            "attention.head_count_kv",
            "num_key_value_heads",
            _attends,
            _layer_types,
            none=lambda config: config.integer("num_attention_heads"),
        ),
        CAUSAL,
        Rope(),
        RMS_EPS,
        *experts_keys("num_local_experts", least=0),
    ),
    own_keys=(
        *MULTIPLIERS,
        Key("expert_shared_feed_forward_length", "shared_intermediate_size"),
        Key("ssm.conv_kernel", "mamba_d_conv"),
        Key("ssm.state_size", "mamba_d_state"),
        Key("ssm.group_count", "mamba_n_groups"),
        SSMInner(),
        Heads(inner=_inner),
        Computed("rope.scaling.finetuned", ValueType.BOOL, lambda config: False),
        RowsOf("vocab_size", "token_embd.weight"),
        TIED,
        AnyTensor("attention_bias", ".attn_q.bias"),
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        Assumed("hidden_act", ("silu", "swish")),
        Assumed("mamba_proj_bias", (False,)),
        Assumed("position_embedding_type", ("nope",)),
        Noted(
            lambda config: config.integer("mamba_n_groups") > 1,
            "llama.cpp norms each of the mixers' mamba_n_groups by itself, transformers all of them at once",
        ),
        Noted(
            lambda config: (
                _dense(config, 0) and config["shared_intermediate_size"] != config["intermediate_size"]
            ),
            "without experts llama.cpp expects shared_intermediate_size to be intermediate_size",
        ),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *only(_attends, ATTENTION),
        *only(_mixes, mamba2_mixer("model.layers.{i}.mamba", "mamba_n_groups", conv_bias="mamba_conv_bias")),
        *only(_routed, EXPERTS),
        *only(_routed, only(has_shared, shared_mlp("_shexp"))),
        *only(_dense, shared_mlp("")),
    ),
    lost=(*LOST, "max_position_embeddings is not in the file: nothing in the model depends on it"),
)
