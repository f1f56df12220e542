"""dots.llm1: norms on query and key, experts routed by sigmoid with a bias, dense first layers."""

from ..decoder import QK_NORMS, decoder
from ..keys import EXPERT_GROUPS, EXPERT_SCALE_AND_NORM, Key, experts_keys
from ..routing import Gating, dense_then_routed
from ..table import HFClass
from ..traits import GraphTraits

ARCHITECTURE = decoder(
    "dots1",
    HFClass("Dots1ForCausalLM", "dots1"),
    defaults={"scoring_func": "sigmoid"},
    tokenizers=("spm", "bpe"),
    expert_keys=(*experts_keys("n_routed_experts"), *EXPERT_GROUPS, Gating({"noaux_tc": "sigmoid"})),
    own=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("leading_dense_block_count", "first_k_dense_replace"),
        Key("expert_shared_count", "n_shared_experts"),
        *EXPERT_SCALE_AND_NORM,
    ),
    qk_norms=QK_NORMS,
    ffn=dense_then_routed(),
    graph=GraphTraits(normed_weights=True),
)
