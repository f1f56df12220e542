"""Qwen2Moe: Qwen2 with routed experts in every layer, and a shared one behind a gate."""

from ..decoder import attention, decoder, norms, optional, routed
from ..keys import Key, experts_keys
from ..table import HFClass
from ..tensors import always
from ..transforms import Reshape

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
    tensors=(
        *norms(
            ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
            ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
            ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
        ),
        *norms(
            ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
            # ggml's own files have one dimension
            transform=Reshape(gguf=lambda shape: shape, hf=lambda shape: (1, shape[-1])),
        ),
    ),
)
