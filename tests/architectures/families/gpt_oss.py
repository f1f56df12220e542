"""Tiny checkpoints: gpt-oss."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, with_bias
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    HEADS,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    layers,
)

OSS = (
    PRE_NORMS,
    with_bias(attention()),
    {
        AT + "self_attn.sinks": (HEADS,),
        AT + "mlp.router.weight": (4, WIDTH),
        AT + "mlp.router.bias": (4,),
        AT + "mlp.experts.gate_up_proj": (4, WIDTH, INNER),
        AT + "mlp.experts.gate_up_proj_bias": (4, INNER),
        AT + "mlp.experts.down_proj": (4, INNER // 2, WIDTH),
        AT + "mlp.experts.down_proj_bias": (4, WIDTH),
    },
)

OSS_CONFIG = config(
    "GptOssForCausalLM",
    "gpt_oss",
    attention_bias=True,
    head_dim=HEAD,
    intermediate_size=INNER // 2,
    layer_types=["sliding_attention", "full_attention"],
    max_position_embeddings=4096,
    num_experts_per_tok=2,
    num_local_experts=4,
    rope_theta=150000.0,
    sliding_window=8,
)

YARN = {
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "factor": 8.0,
    "original_max_position_embeddings": 512,
    "rope_type": "yarn",
    "truncate": False,
}

MODELS: dict[str, Tiny] = {
    # Interleaved experts with biases, sinks, a window in every other layer.
    "gpt-oss": Tiny(
        config=OSS_CONFIG | {"rope_scaling": None},
        tensors=lambda _: layers(*OSS),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # ggml rounds the bounds of YaRN's ramp, which these models do not: logits differ by 0.4.
    "gpt-oss-yarn": Tiny(
        config=OSS_CONFIG | {"rope_scaling": YARN},
        tensors=lambda _: layers(*OSS),
        tokenizer="llama3",
        pre="llama-bpe",
        runs=False,
    ),
}
