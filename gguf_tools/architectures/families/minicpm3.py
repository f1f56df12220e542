"""MiniCPM 3: MiniCPM with latent attention, run by code beside its checkpoints."""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import decoder, norms
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    VOCABULARY_SIZE,
    WIDTH,
    AssumedByRuntime,
    Entry,
    Key,
    head_size,
)
from ..rope import LongropeFactors
from ..table import HFClass


class _Latent:
    """The size of a head of keys: the part that is rotated, and the rest."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        rotated = config.integer("qk_rope_head_dim")
        size = config.integer("qk_nope_head_dim") + rotated
        yield "attention.key_length", ValueType.UINT32, size
        yield "rope.dimension_count", ValueType.UINT32, rotated

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rotated = facts.integer("rope.dimension_count") or 0
        config["qk_rope_head_dim"] = rotated
        config["qk_nope_head_dim"] = (facts.integer("attention.key_length") or 0) - rotated


ARCHITECTURE = decoder(
    "minicpm3",
    HFClass("MiniCPM3ForCausalLM", "minicpm3", {"tie_word_embeddings": True}),
    tokenizers=("spm",),
    keys=(),
    own=(
        *(CONTEXT, WIDTH, LAYERS, INNER, HEADS, KV_HEADS, RMS_EPS, VOCABULARY_SIZE),
        Key("attention.q_lora_rank", "q_lora_rank"),
        Key("attention.kv_lora_rank", "kv_lora_rank"),
        _Latent(),
    ),
    bias=None,
    # llama.cpp takes these from the only model there is
    assumed={"scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256, "rope_theta": 10000.0},
    checks=(AssumedByRuntime("v_head_dim", lambda config: (head_size(config),)),),
    computed=(LongropeFactors("long"), LongropeFactors("short")),
    attn=norms(
        ("self_attn.q_a_proj", "attn_q_a"),
        ("self_attn.q_a_layernorm", "attn_q_a_norm"),
        ("self_attn.q_b_proj", "attn_q_b"),
        ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
        ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
        ("self_attn.kv_b_proj", "attn_kv_b"),
        ("self_attn.o_proj", "attn_output"),
    ),
)
