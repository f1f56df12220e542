"""EXAONE 4: norms after attention and feed-forward; 32B has sliding windows, and rotates only there."""

from __future__ import annotations

from typing import Any, Final

from ..config import HFConfig
from ..decoder import FFN, OUTPUT, QK_NORMS, TIED, attention, head_count, norms
from ..keys import CAUSAL, KV_HEADS, RMS_EPS, SIZES, AssumedByRuntime, FromTensorRows, HeadDim, Key, Windows
from ..rope import Llama3Factors, Rope
from ..table import Architecture, HFClass

_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 2048,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "sliding_window_pattern": 4,
    "tie_word_embeddings": False,
}


def _slides(config: HFConfig, layer: int) -> bool:
    """By a pattern such as "LLLG", or by the number of layers it would have."""
    pattern = config.find("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return pattern[layer % len(pattern)] == "L"
    return (layer + 1) % config.integer("sliding_window_pattern") != 0


ARCHITECTURE: Final = Architecture(
    name="exaone4",
    classes=(HFClass("Exaone4ForCausalLM", "exaone4", _DEFAULTS, {"num_key_value_heads": head_count}),),
    tokenizer_kinds=("bpe",),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3")),
        RMS_EPS,
        HeadDim(always=False),
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        Windows(_slides, stated=True),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
    ),
    computed=(Llama3Factors(),),
    tensors=(
        *OUTPUT,
        *attention(),
        *QK_NORMS,
        *norms(
            ("post_attention_layernorm", "post_attention_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
        ),
        *FFN,
    ),
)
