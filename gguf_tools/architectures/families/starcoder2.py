"""StarCoder2: layer norms, biases everywhere, and a feed-forward without gate."""

from ..decoder import EMBEDDING, HEAD, LAST_LAYER_NORM, NO_WINDOW, PRE_LAYER_NORMS, decoder, flag, modules
from ..keys import LAYER_EPS
from ..table import HFClass

ARCHITECTURE = decoder(
    "starcoder2",
    HFClass("Starcoder2ForCausalLM", "starcoder2"),
    eps=LAYER_EPS.named("norm_epsilon"),
    bias="use_bias",
    activation=("gelu_pytorch_tanh", "gelu"),
    checks=(NO_WINDOW,),
    output=(EMBEDDING, *LAST_LAYER_NORM, HEAD),
    pre_norms=PRE_LAYER_NORMS,
    ffn=modules(("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down"), bias=flag("use_bias")),
)
