"""Falcon: attention and feed-forward side by side, with one norm or, in the newer decoder, one each."""

from typing import Any

from ...recipes.traits import RecipeTraits
from ...spec import GGMLType, ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import SPARE_HEAD, decoder, modules, optional, renamed
from ..keys import HEADS, LAYER_EPS, LAYERS, WIDTH, DerivedKey, FourTimes
from ..table import HFClass
from ..tensors import always, limit_to, unless
from ..traits import GraphTraits
from ..transforms import UngroupQKV

_BLOCK = "transformer.h.{i}"


def _kv_heads(config: HFConfig) -> int:
    """What transformers computes with: all of 40B's newer decoder, one of 7B's, or one for each head."""
    if config.flag("new_decoder_architecture"):
        return config.integer("num_kv_heads", "n_head_kv")
    return 1 if config.flag("multi_query") else config.integer("num_attention_heads")


def _newer(config: HFConfig, layer: int) -> bool:
    return config.flag("new_decoder_architecture") and config.find("num_ln_in_parallel_attn") != 1


def _decoder(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, Any]:
    """``num_kv_heads``, with the flags that say what it means."""
    heads = facts.integer("attention.head_count_kv") or 1
    newer = facts.has("blk.0.attn_norm_2.weight")
    return {
        "num_kv_heads": heads,
        "new_decoder_architecture": newer,
        "multi_query": newer or heads == 1,
    }


KV_HEADS = DerivedKey(
    "attention.head_count_kv",
    ValueType.UINT32,
    lambda config: config.integer("num_kv_heads", "n_head_kv"),
    _decoder,
)
CONTEXT = DerivedKey("context_length", ValueType.UINT32, lambda config: 2048)  # what it was trained on
LAYOUT = DerivedKey("tensor_data_layout", ValueType.STRING, lambda config: "jploski")

ARCHITECTURE = decoder(
    "falcon",
    HFClass("FalconForCausalLM", "falcon"),
    defaults={"activation": "gelu", "max_position_embeddings": 2048, "multi_query": True},
    derived={"num_kv_heads": _kv_heads},
    keys=(
        *(CONTEXT, LAYOUT, WIDTH, FourTimes("ffn_hidden_size"), LAYERS, HEADS, KV_HEADS),
        LAYER_EPS.named("layer_norm_epsilon"),
    ),
    bias=None,
    activation={},
    assumed={"rope_theta": 10000.0, "alibi": False, "bias": False, "parallel_attn": True},
    output=(
        *renamed(("transformer.word_embeddings", "token_embd")),
        *renamed(("transformer.ln_f", "output_norm"), bias=always),
        SPARE_HEAD,
    ),
    blocks=(
        *limit_to(unless(_newer), modules(("input_layernorm", "attn_norm"), block=_BLOCK)),
        *limit_to(_newer, modules(("ln_mlp", "attn_norm"), ("ln_attn", "attn_norm_2"), block=_BLOCK)),
        *modules(
            (
                "self_attention.query_key_value",
                "attn_qkv",
                UngroupQKV("num_attention_heads", "num_kv_heads"),
            ),
            ("self_attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"),
            ("mlp.dense_4h_to_h", "ffn_down"),
            bias=optional,
            block=_BLOCK,
        ),
    ),
    prefix="transformer.",
    graph=GraphTraits(attention_norm=True),
    recipe=RecipeTraits(output=GGMLType.Q8_0, fewer_bits=True),
)
