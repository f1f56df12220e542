"""StableLM: partial rotary embeddings, layer norms, norms for every head of query and key in 12B."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, FFN, OUTPUT, TIED, attention, flag, head_count, modules, optional, renamed
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYER_EPS,
    LAYERS,
    WIDTH,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    Key,
)
from ..rope import PartialRotary
from ..table import Architecture, HFClass
from ..tensors import Rule, always
from ..transforms import StackExperts

_DEFAULTS: Final[dict[str, Any]] = {
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "num_key_value_heads": 32,
    "partial_rotary_factor": 0.25,
    "qk_layernorm": False,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_parallel_residual": False,
    "use_qkv_bias": False,
}


def _one_norm(config: HFConfig, layer: int) -> bool:
    """Parallel residuals share one norm."""
    return not config.flag("use_parallel_residual")


ARCHITECTURE: Final = Architecture(
    name="stablelm",
    classes=(
        HFClass("StableLmForCausalLM", "stablelm", _DEFAULTS, {"num_key_value_heads": head_count}),
        HFClass("StableLMEpochForCausalLM", "stablelm", _DEFAULTS, {"num_key_value_heads": head_count}),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        CONTEXT,
        WIDTH,
        LAYERS,
        INNER,
        PartialRotary(),
        HEADS,
        KV_HEADS,
        Key("use_parallel_residual", "use_parallel_residual", type=ValueType.BOOL),
        LAYER_EPS,
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("use_qkv_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("qk_layernorm", "blk.0.attn_q_norm.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("rope_theta", (10000.0,)),
    ),
    tensors=(
        *(rule for rule in OUTPUT if "norm" not in rule.gguf[0]),
        *renamed(("model.norm", "output_norm"), bias=always),
        *modules(("input_layernorm", "attn_norm")),
        *(
            Rule(
                (f"{BLOCK}.post_attention_layernorm.{part}",), (f"blk.{{i}}.ffn_norm.{part}",), when=_one_norm
            )
            for part in ("weight", "bias")
        ),
        *attention(bias=flag("use_qkv_bias"), output_bias=optional),
        *(
            Rule(
                (f"{BLOCK}.self_attn.{letter}_layernorm.norms.{{e}}.weight",),
                (f"blk.{{i}}.attn_{letter}_norm.weight",),
                StackExperts(),
                when=flag("qk_layernorm"),
                experts=heads,
            )
            for letter, heads in (("q", "num_attention_heads"), ("k", "num_key_value_heads"))
        ),
        *FFN,
    ),
)
