"""Nemotron and Minitron: layer norms stored as the distance from one, squared ReLU without gate."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..decoder import BLOCK, OUTPUT, TIED, attention, flag, head_count, modules
from ..keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    SIZES,
    AssumedByRuntime,
    DerivedKey,
    FromTensorPresence,
    FromTensorRows,
    Key,
    head_size,
)
from ..rope import PartialRotary, Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..transforms import AddOne

_DEFAULTS: Final[dict[str, Any]] = {
    "head_dim": 128,
    "max_position_embeddings": 4096,
    "norm_eps": 1e-5,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NORMS: Final = (
    ("model.norm", "output_norm"),
    (f"{BLOCK}.input_layernorm", "blk.{i}.attn_norm"),
    (f"{BLOCK}.post_attention_layernorm", "blk.{i}.ffn_norm"),
)

ARCHITECTURE: Final = Architecture(
    name="nemotron",
    classes=(
        HFClass(
            "NemotronForCausalLM",
            "nemotron",
            _DEFAULTS,
            {"num_key_value_heads": head_count, "head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("spm",),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=()),
        Key("attention.layer_norm_rms_epsilon", "norm_eps", type=ValueType.FLOAT32),
        HEAD_DIM,
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        Key("attention.layer_norm_epsilon", "norm_eps", type=ValueType.FLOAT32),
        PartialRotary(whole=True),
        DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "none"),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("mlp_bias", "blk.0.ffn_up.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("relu2",)),
    ),
    tensors=(
        *(rule for rule in OUTPUT if "norm" not in rule.gguf[0]),
        *(Rule((f"{hf}.weight",), (f"{gguf}.weight",), AddOne()) for hf, gguf in _NORMS),
        *(Rule((f"{hf}.bias",), (f"{gguf}.bias",)) for hf, gguf in _NORMS),
        *attention(bias=flag("attention_bias")),
        *modules(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), bias=flag("mlp_bias")),
    ),
)
