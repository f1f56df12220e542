"""SmolLM3: Llama in which every fourth layer is not rotated."""

from ..config import HFConfig
from ..decoder import decoder
from ..keys import MLP_BIAS, ROPE_DIMENSION, VOCABULARY_SIZE, AssumedByRuntime
from ..rope import Llama3Factors, Rope
from ..table import HFClass
from ..vocabularies import LLAMA_VOCABULARY

_PERIOD = 4  # the runtime leaves every fourth layer unrotated


def _rotated(config: HFConfig) -> tuple[list[int], ...]:
    return ([int((i + 1) % _PERIOD != 0) for i in range(config.integer("num_hidden_layers"))],)


ARCHITECTURE = decoder(
    "smollm3",
    HFClass("SmolLM3ForCausalLM", "smollm3"),
    tokenizers=("spm", "llama-hf", "bpe"),
    rope=Rope(kinds=("linear", "yarn", "llama3")),
    own=(VOCABULARY_SIZE, ROPE_DIMENSION),
    assumed={"no_rope_layer_interval": _PERIOD, "use_sliding_window": False},
    flags=(MLP_BIAS,),
    checks=(AssumedByRuntime("no_rope_layers", _rotated, export=False),),
    permuted=True,
    computed=(Llama3Factors(),),
    vocabulary=LLAMA_VOCABULARY,
)
