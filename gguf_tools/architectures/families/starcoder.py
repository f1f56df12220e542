"""GPT-BigCode (StarCoder): GPT-2 with one key and value for all heads."""

from ...spec import ValueType
from ..decoder import decoder
from ..keys import CONTEXT, DerivedKey
from ..table import HFClass
from ..traits import GraphTraits
from ..transforms import IDENTITY
from . import gpt2

ARCHITECTURE = decoder(
    "starcoder",
    HFClass("GPTBigCodeForCausalLM", "gpt_bigcode"),
    keys=(
        CONTEXT.named("n_positions"),
        gpt2.NAMED_WIDTH,
        gpt2.INNER,
        gpt2.NAMED_LAYERS,
        gpt2.NAMED_HEADS,
        DerivedKey("attention.head_count_kv", ValueType.UINT32, lambda config: 1),
        gpt2.EPS,
    ),
    bias=None,
    activation={"activation_function": ("gelu_pytorch_tanh", "gelu_new", "gelu")},
    assumed={"multi_query": True},
    output=gpt2.OUTPUT,
    blocks=gpt2.layers(IDENTITY),
    prefix="transformer.",
    drops=(gpt2.CAUSAL_MASK,),
    graph=GraphTraits(rotary=False),
)
