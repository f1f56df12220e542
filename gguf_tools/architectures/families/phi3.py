"""Phi 3 and 4: query, key and value in one matrix, gate and up in another, long contexts by longrope."""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import decoder, norms
from ..keys import CONTEXT, HEADS, INNER, KV_HEADS, LAYERS, RMS_EPS, WIDTH, DerivedKey, Entry, Key
from ..rope import LongropeFactors, PartialRotary, longrope_scale
from ..table import HFClass
from ..traits import GraphTraits


class ZeroMeansNone:
    """``sliding_window``, of which 0 stands for none."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        given = config.find("sliding_window")
        window = 0 if given is None else config.integer("sliding_window", least=0)
        yield "attention.sliding_window", ValueType.UINT32, window

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["sliding_window"] = facts.integer("attention.sliding_window", least=0) or None


KEYS = (
    CONTEXT,
    Key("rope.scaling.original_context_length", "original_max_position_embeddings"),
    *(WIDTH, INNER, LAYERS, HEADS, KV_HEADS, RMS_EPS, PartialRotary(whole=True)),
    Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32),
)
SCALE = DerivedKey("rope.scaling.attn_factor", ValueType.FLOAT32, longrope_scale)
FACTORS = (LongropeFactors("long"), LongropeFactors("short"))

ARCHITECTURE = decoder(
    "phi3",
    HFClass("Phi3ForCausalLM", "phi3"),
    tokenizers=("spm", "bpe"),
    leading_keys=(SCALE,),
    keys=KEYS,
    own=(ZeroMeansNone(),),
    bias=None,
    computed=FACTORS,
    attn=norms(("self_attn.qkv_proj", "attn_qkv"), ("self_attn.o_proj", "attn_output")),
    ffn=norms(("mlp.gate_up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
    graph=GraphTraits(scaled_queries=True),
)
