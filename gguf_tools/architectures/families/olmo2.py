"""OLMo 2 and 3: norms after attention and feed-forward; the third has sliding windows."""

from ..decoder import POST_NORMS, QK_NORMS, decoder
from ..table import HFClass
from ..traits import GraphTraits, Window
from ..windows import Windows

ARCHITECTURE = decoder(
    "olmo2",
    HFClass("Olmo2ForCausalLM", "olmo2"),
    HFClass("Olmo3ForCausalLM", "olmo3", {"sliding_window": 4096}),
    own=(Windows(lambda config, layer: (layer + 1) % 4 != 0),),
    bias=None,
    assumed={"attention_bias": False},
    pre_norms=POST_NORMS,
    qk_norms=QK_NORMS,
    choose=lambda facts: (
        "Olmo2ForCausalLM" if facts.find("attention.sliding_window") is None else "Olmo3ForCausalLM"
    ),
    graph=GraphTraits(window=Window(4)),
)
