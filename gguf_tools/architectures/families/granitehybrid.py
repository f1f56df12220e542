"""Granite 4: Mamba 2 or attention by layer, then experts and a shared one, or only the latter."""

from __future__ import annotations

from typing import Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import OUTPUT, PRE_NORMS, TIED
from ..keys import (
    CAUSAL,
    HEADS,
    INNER,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    FromTensorRows,
    Note,
    experts_keys,
)
from ..per_layer_keys import AnyTensor
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import limit_to
from .granite import (
    ATTENTION,
    EXPERTS,
    HYBRID_DEFAULTS,
    KV_ARRAY,
    MIXER_KEYS,
    MULTIPLIERS,
    NULLS,
    all_attention,
    attends,
    has_shared,
    shared_mlp,
)
from .mamba import LOST, UNLIMITED, mamba2_mixer


def _mixes(config: HFConfig, layer: int) -> bool:
    return not attends(config, layer)


def _routed(config: HFConfig, layer: int) -> bool:
    return config.integer("num_local_experts", least=0) > 0


def _dense(config: HFConfig, layer: int) -> bool:
    return not _routed(config, layer)


ARCHITECTURE: Final = Architecture(
    name="granitehybrid",
    classes=(
        HFClass(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            HYBRID_DEFAULTS,
            NULLS,
            when=lambda config: not all_attention(config),
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        LAYERS,
        UNLIMITED,
        WIDTH,
        INNER,
        HEADS,
        KV_ARRAY,
        CAUSAL,
        Rope(),
        RMS_EPS,
        *experts_keys("num_local_experts", least=0),
    ),
    family_keys=(
        *MULTIPLIERS,
        *MIXER_KEYS,
        DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: False),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AnyTensor("attention_bias", ".attn_q.bias"),
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("mamba_proj_bias", (False,)),
        AssumedByRuntime("position_embedding_type", ("nope",)),
        Note(
            lambda config: config.integer("mamba_n_groups") > 1,
            "llama.cpp norms each of the mixers' mamba_n_groups by itself, transformers all of them at once",
        ),
        Note(
            lambda config: (
                _dense(config, 0) and config["shared_intermediate_size"] != config["intermediate_size"]
            ),
            "without experts llama.cpp expects shared_intermediate_size to be intermediate_size",
        ),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *limit_to(attends, ATTENTION),
        *limit_to(
            _mixes, mamba2_mixer("model.layers.{i}.mamba", "mamba_n_groups", conv_bias="mamba_conv_bias")
        ),
        *limit_to(_routed, EXPERTS),
        *limit_to(_routed, limit_to(has_shared, shared_mlp("_shexp"))),
        *limit_to(_dense, shared_mlp("")),
    ),
    export_notes=(*LOST, "max_position_embeddings is not in the file: nothing in the model depends on it"),
)
