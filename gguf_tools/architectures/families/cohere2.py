"""Command R7B: Command R with a window in three layers of four, the fourth not rotated."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import TIED_OUTPUT, decoder
from ..keys import LAYER_EPS, NO_SCALING_TYPE, AssumedByRuntime, DerivedKey, Key
from ..rope import Rope
from ..table import HFClass
from ..traits import GraphTraits, Window
from ..windows import windows_but
from . import command_r


def _rotary(config: HFConfig) -> int:
    share = config.number("rotary_pct")
    return int(share * (config.integer("hidden_size") // config.integer("num_attention_heads")))


ARCHITECTURE = decoder(
    "cohere2",
    HFClass("Cohere2ForCausalLM", "cohere2"),
    defaults={"rotary_pct": 1.0},
    rope=Rope(kinds=()),
    eps=LAYER_EPS,
    own=(
        command_r.LOGIT_SCALE,
        Key("attention.sliding_window", "sliding_window"),
        Key("vocab_size", "vocab_size"),
        DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
        NO_SCALING_TYPE,
    ),
    bias=None,
    assumed={"attention_bias": False},
    checks=(AssumedByRuntime("layer_types", windows_but(4), export=False),),
    output=command_r.ENDS,
    pre_norms=command_r.NORM,
    drops=(TIED_OUTPUT,),
    graph=GraphTraits(window=Window(4, required=True)),
)
