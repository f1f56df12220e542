"""Gemma 2: norms around attention and feed-forward, capped logits, a window in every other layer."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import TIED_OUTPUT, decoder, norms
from ..keys import AssumedByRuntime, Key, layer_type
from ..table import HFClass
from ..transforms import AddOne
from . import gemma

_27B = 46  # layers

AROUND_NORMS = norms(
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    transform=AddOne(),
)


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return ([layer_type(i % 2 == 0) for i in range(config.integer("num_hidden_layers"))],)


def _attention_scalar(config: HFConfig) -> tuple[int, ...]:
    """llama.cpp scales 27B's attention by width / heads, and all others' by the head size."""
    if config.integer("num_hidden_layers") == _27B:
        return (config.integer("hidden_size") // config.integer("num_attention_heads"),)
    return (config.integer("head_dim"),)


ARCHITECTURE = decoder(
    "gemma2",
    HFClass("Gemma2ForCausalLM", "gemma2"),
    defaults={
        **gemma.DEFAULTS,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
    },
    tokenizers=("spm",),
    keys=gemma.KEYS,
    own=(
        Key("attn_logit_softcapping", "attn_logit_softcapping", type=ValueType.FLOAT32),
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32),
        Key("attention.sliding_window", "sliding_window"),
    ),
    bias=None,
    activation={"hidden_activation": ("gelu_pytorch_tanh",)},
    assumed={"rope_theta": 10000.0, "attention_bias": False},
    checks=(
        gemma.NO_SCALING,
        AssumedByRuntime("query_pre_attn_scalar", _attention_scalar),
        AssumedByRuntime("layer_types", _layer_types, export=False),
    ),
    output=gemma.ENDS,
    pre_norms=AROUND_NORMS,
    drops=(TIED_OUTPUT,),
)
