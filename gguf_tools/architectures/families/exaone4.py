"""EXAONE 4: norms after attention and feed-forward; 32B has sliding windows, and rotates only there."""

from ..config import HFConfig
from ..decoder import POST_NORMS, QK_NORMS, decoder
from ..keys import VOCABULARY_SIZE
from ..rope import Llama3Factors, Rope
from ..table import HFClass
from ..traits import GraphTraits, Window
from ..windows import Windows


def _slides(config: HFConfig, layer: int) -> bool:
    """By a pattern such as "LLLG", or by the number of layers it would have."""
    pattern = config.find("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return pattern[layer % len(pattern)] == "L"
    return (layer + 1) % config.integer("sliding_window_pattern") != 0


ARCHITECTURE = decoder(
    "exaone4",
    HFClass("Exaone4ForCausalLM", "exaone4"),
    defaults={"sliding_window_pattern": 4},
    rope=Rope(kinds=("linear", "yarn", "llama3")),
    own=(VOCABULARY_SIZE, Windows(_slides, stated=True)),
    bias=None,
    pre_norms=POST_NORMS,
    qk_norms=QK_NORMS,
    computed=(Llama3Factors(),),
    graph=GraphTraits(window=Window(4, size=4096, layers=64)),
)
