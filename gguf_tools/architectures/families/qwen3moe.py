"""Qwen3Moe: Qwen3 with routed experts in every layer."""

from ..decoder import LLAMA_DEFAULTS, QK_NORMS, decoder, routed
from ..keys import Key, experts_keys
from ..table import HFClass

ARCHITECTURE = decoder(
    "qwen3moe",
    HFClass("Qwen3MoeForCausalLM", "qwen3_moe"),
    defaults={
        **LLAMA_DEFAULTS,
        "decoder_sparse_step": 1,
        "max_position_embeddings": 32768,
        "mlp_only_layers": [],
        "moe_intermediate_size": 768,
        "norm_topk_prob": False,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "num_key_value_heads": 4,
    },
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
)
