"""Qwen3Moe: Qwen3 with routed experts in every layer."""

from ..decoder import QK_NORMS, decoder, routed
from ..keys import Key, experts_keys
from ..table import HFClass
from ..traits import GraphTraits

ARCHITECTURE = decoder(
    "qwen3moe",
    HFClass("Qwen3MoeForCausalLM", "qwen3_moe"),
    defaults={"mlp_only_layers": []},
    tokenizers=("spm", "bpe"),
    expert_keys=experts_keys("num_experts"),
    own=(Key("expert_feed_forward_length", "moe_intermediate_size"),),
    assumed={
        "use_sliding_window": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    },
    qk_norms=QK_NORMS,
    ffn=routed("num_experts"),
    graph=GraphTraits(normed_weights=True),
)
