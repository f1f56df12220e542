"""GraniteMoe: Granite with experts, whose gate and up are fused, and perhaps a shared one."""

from ..decoder import decoder
from ..granite_parts import EXPERTS, MULTIPLIERS, has_shared, shared_mlp
from ..keys import CAUSAL, KV_HEADS, RMS_EPS, SIZES, Key, experts_keys
from ..rope import Rope
from ..table import HFClass
from ..tensors import limit_to
from ..traits import GraphTraits
from ..vocabularies import LLAMA_VOCABULARY

ARCHITECTURE = decoder(
    "granitemoe",
    HFClass("GraniteMoeForCausalLM", "granitemoe"),
    HFClass("GraniteMoeSharedForCausalLM", "granitemoeshared"),
    choose=lambda facts: (
        "GraniteMoeForCausalLM"
        if facts.find("expert_shared_feed_forward_length") is None
        else "GraniteMoeSharedForCausalLM"
    ),
    tokenizers=("spm", "llama-hf", "bpe"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, *experts_keys("num_local_experts")),
    own=(*MULTIPLIERS, Key("expert_shared_feed_forward_length", "shared_intermediate_size", optional=True)),
    permuted=True,
    ffn=(*EXPERTS, *limit_to(has_shared, shared_mlp("_shexp"))),
    vocabulary=LLAMA_VOCABULARY,
    graph=GraphTraits(normed_weights=True),
)
