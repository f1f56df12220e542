"""Granite 4: Mamba 2 or attention by layer, then experts and a shared one, or only the latter."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, attention, decoder, flag, head_count
from ..granite_parts import (
    EXPERTS,
    HYBRID,
    KV_ARRAY,
    MIXER_KEYS,
    MULTIPLIERS,
    all_attention,
    attends,
    has_shared,
    shared_mlp,
)
from ..keys import DerivedKey, Note, experts_keys
from ..mamba_parts import LOST, UNLIMITED, mamba2_mixer
from ..per_layer_keys import AnyTensor
from ..table import HFClass
from ..tensors import limit_to, unless
from ..traits import GraphTraits, Memory


def _routed(config: HFConfig, layer: int) -> bool:
    return config.integer("num_local_experts", least=0) > 0


ARCHITECTURE = decoder(
    "granitehybrid",
    HFClass(
        HYBRID,
        "granitemoehybrid",
        derived_defaults={"num_key_value_heads": head_count},
        when=lambda config: not all_attention(config),
    ),
    tokenizers=("spm", "bpe"),
    sizes={"context_length": UNLIMITED, "attention.head_count_kv": KV_ARRAY},
    expert_keys=experts_keys("num_local_experts", least=0),
    head_dim=None,
    own=(
        *MULTIPLIERS,
        *MIXER_KEYS,
        DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: False),
    ),
    bias=None,
    assumed={"mamba_proj_bias": False, "position_embedding_type": "nope"},
    checks=(
        AnyTensor("attention_bias", ".attn_q.bias"),
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        Note(
            lambda config: config.integer("mamba_n_groups") > 1,
            "llama.cpp norms each of the mixers' mamba_n_groups by itself, transformers all of them at once",
        ),
        Note(
            lambda config: (
                not _routed(config, 0) and config["shared_intermediate_size"] != config["intermediate_size"]
            ),
            "without experts llama.cpp expects shared_intermediate_size to be intermediate_size",
        ),
    ),
    attn=(
        *limit_to(attends, attention(bias=flag("attention_bias"), permuted=True)),
        *limit_to(
            unless(attends), mamba2_mixer(f"{BLOCK}.mamba", "mamba_n_groups", conv_bias="mamba_conv_bias")
        ),
    ),
    ffn=(
        *limit_to(_routed, (*EXPERTS, *limit_to(has_shared, shared_mlp("_shexp")))),
        *limit_to(unless(_routed), shared_mlp("")),
    ),
    export_notes=(*LOST, "max_position_embeddings is not in the file: nothing in the model depends on it"),
    graph=GraphTraits(memory=Memory.EITHER, rotary=False, normed_weights=True),
)
