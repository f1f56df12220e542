"""Qwen2Moe: Qwen2 with routed experts in every layer, and a shared one behind a gate."""

from ..decoder import attention, decoder, gated, optional, routed
from ..keys import Key, experts_keys
from ..routing import shared_expert_gate
from ..table import HFClass
from ..tensors import always

ARCHITECTURE = decoder(
    "qwen2moe",
    HFClass("Qwen2MoeForCausalLM", "qwen2_moe"),
    defaults={"mlp_only_layers": []},
    tokenizers=("spm", "bpe"),
    expert_keys=experts_keys("num_experts"),
    own=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
    ),
    bias=None,
    assumed={
        "use_sliding_window": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": False,
    },
    attn=attention(bias=always, output_bias=optional),
    ffn=routed("num_experts"),
    tensors=(*gated("mlp.shared_expert", "_shexp"), *shared_expert_gate()),
)
