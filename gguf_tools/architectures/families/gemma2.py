"""Gemma 2: norms around attention and feed-forward, capped logits, a window in every other layer."""

from collections.abc import Callable

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import TIED_OUTPUT, decoder, norms
from ..keys import AssumedByRuntime, Key
from ..table import HFClass
from ..traits import GraphTraits, Window
from ..transforms import AddOne
from ..vocabularies import GEMMA_VOCABULARY
from ..windows import windows_but
from . import gemma

AROUND_NORMS = norms(
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    transform=AddOne(),
)


def attention_scalar(layers: int) -> Callable[[HFConfig], tuple[int, ...]]:
    """What llama.cpp scales attention by: width / heads in 27B, told by its layers, else the head size."""

    def scalar(config: HFConfig) -> tuple[int, ...]:
        if config.integer("num_hidden_layers") == layers:
            return (config.integer("hidden_size") // config.integer("num_attention_heads"),)
        return (config.integer("head_dim"),)

    return scalar


ARCHITECTURE = decoder(
    "gemma2",
    HFClass("Gemma2ForCausalLM", "gemma2"),
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
        AssumedByRuntime("query_pre_attn_scalar", attention_scalar(46)),
        AssumedByRuntime("layer_types", windows_but(2), export=False),
    ),
    output=gemma.ENDS,
    pre_norms=AROUND_NORMS,
    drops=(TIED_OUTPUT,),
    vocabulary=GEMMA_VOCABULARY,
    graph=GraphTraits(window=Window(2, size=4096), scaled_embeddings=True, scaled_queries=True),
)
