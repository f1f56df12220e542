"""Maincoder: Llama with norms of query and key after the rotation, in ggml's own rotary layout."""

from ...spec import ValueType
from ..decoder import QK_NORMS, decoder, norms
from ..keys import DerivedKey
from ..table import HFClass

ARCHITECTURE = decoder(
    "maincoder",
    HFClass("MaincoderForCausalLM", "maincoder"),
    own=(DerivedKey("rope.dimension_count", ValueType.UINT32, lambda config: config.find("head_dim")),),
    qk_norms=QK_NORMS,
    ffn=norms(
        ("feed_forward.gate_proj", "ffn_gate"),
        ("feed_forward.up_proj", "ffn_up"),
        ("feed_forward.down_proj", "ffn_down"),
    ),
)
