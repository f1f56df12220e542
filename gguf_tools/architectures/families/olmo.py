"""OLMo: norms without weights."""

from ...recipes.traits import RecipeTraits
from ...spec import ValueType
from ..config import rounded
from ..decoder import EMBEDDING, HEAD, decoder
from ..keys import CAUSAL, KV_HEADS, SIZES, DerivedKey, HeadDim, Key
from ..rope import Rope
from ..table import HFClass
from ..traits import GraphTraits

ARCHITECTURE = decoder(
    "olmo",
    HFClass("OlmoForCausalLM", "olmo"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), HeadDim(always=False)),
    own=(
        DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(1e-5)),
        Key("attention.clamp_kqv", "clip_qkv", type=ValueType.FLOAT32, optional=True),
    ),
    bias=None,
    assumed={"attention_bias": False},
    output=(EMBEDDING, HEAD),
    pre_norms=(),
    permuted=True,
    graph=GraphTraits(unweighted_norms=True),
    recipe=RecipeTraits(large_layers=80),
)
