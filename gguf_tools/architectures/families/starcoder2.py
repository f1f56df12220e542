"""StarCoder2: layer norms, biases everywhere, and a feed-forward without gate."""

from __future__ import annotations

from typing import Any, Final

from ..decoder import OUTPUT, TIED, attention, flag, head_count, modules, renamed
from ..keys import (
    CAUSAL,
    KV_HEADS,
    LAYER_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Note,
)
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import always

_BIAS: Final = flag("use_bias")
_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 4096,
    "norm_epsilon": 1e-5,
    "num_key_value_heads": 2,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "use_bias": True,
}

ARCHITECTURE: Final = Architecture(
    name="starcoder2",
    classes=(HFClass("Starcoder2ForCausalLM", "starcoder2", _DEFAULTS, {"num_key_value_heads": head_count}),),
    tokenizer_kinds=("bpe",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), LAYER_EPS.named("norm_epsilon"), HeadDim(always=False)),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("use_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("gelu_pytorch_tanh", "gelu")),
        Note(
            lambda config: (
                config.find("sliding_window") is not None
                and config.integer("sliding_window", least=0) < config.integer("max_position_embeddings")
            ),
            "config.json has a sliding window; llama.cpp attends to the whole context in this architecture",
        ),
    ),
    tensors=(
        *(rule for rule in OUTPUT if "norm" not in rule.gguf[0]),
        *renamed(("model.norm", "output_norm"), bias=always),
        *modules(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")),
        *attention(bias=_BIAS),
        *modules(("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down"), bias=_BIAS),
    ),
)
