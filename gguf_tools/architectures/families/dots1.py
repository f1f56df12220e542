"""dots.llm1: norms on query and key, experts routed by sigmoid with a bias, dense first layers."""

from ..decoder import LLAMA_DEFAULTS, QK_NORMS, decoder
from ..keys import EXPERT_GROUPS, EXPERT_SCALE_AND_NORM, Key, experts_keys
from ..routing import Gating, dense_then_routed
from ..table import HFClass

ARCHITECTURE = decoder(
    "dots1",
    HFClass("Dots1ForCausalLM", "dots1"),
    defaults={
        **LLAMA_DEFAULTS,
        "first_k_dense_replace": 0,
        "moe_intermediate_size": 1408,
        "n_group": 1,
        "norm_topk_prob": False,
        "num_key_value_heads": 32,
        "routed_scaling_factor": 1.0,
        "scoring_func": "sigmoid",
        "topk_group": 1,
    },
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
)
