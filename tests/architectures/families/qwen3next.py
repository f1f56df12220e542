"""Tiny checkpoints: Qwen3-Next."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    HEADS,
    INNER,
    NARROW,
    PRE_NORMS,
    WIDTH,
    Shapes,
    attention,
    config,
    ends,
    expert_weights,
    mlp,
    named,
    router,
    weights,
)

KEYS, VALUES, DELTA = 2, 4, 32
"""Heads of the delta net, and their size."""

QWEN3_NEXT = config(
    "Qwen3NextForCausalLM",
    "qwen3_next",
    full_attention_interval=2,
    head_dim=HEAD,
    layer_types=["linear_attention", "full_attention"],
    linear_conv_kernel_dim=4,
    linear_key_head_dim=DELTA,
    linear_num_key_heads=KEYS,
    linear_num_value_heads=VALUES,
    linear_value_head_dim=DELTA,
    moe_intermediate_size=NARROW,
    norm_topk_prob=True,
    num_experts=4,
    num_experts_per_tok=3,
    partial_rotary_factor=0.25,
    shared_expert_intermediate_size=INNER // 2,
)

NEXT_EXPERTS = (
    router()
    | {
        name: tuple(NARROW if size == INNER // 2 else size for size in shape)
        for name, shape in expert_weights(4).items()
    }
    | weights(mlp(AT + "mlp.shared_expert.", INNER // 2))
    | {AT + "mlp.shared_expert_gate.weight": (1, WIDTH)}
)

NEXT_ATTENTION = (
    PRE_NORMS
    | weights(attention())
    | {AT + "self_attn.q_proj.weight": (2 * HEADS * HEAD, WIDTH)}
    | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
    | NEXT_EXPERTS
)

NEXT_DELTA = (
    PRE_NORMS
    | {
        AT + "linear_attn." + name: shape
        for name, shape in {
            "A_log": (VALUES,),
            "conv1d.weight": ((2 * KEYS + VALUES) * DELTA, 1, 4),
            "dt_bias": (VALUES,),
            "in_proj_ba.weight": (2 * VALUES, WIDTH),
            "in_proj_qkvz.weight": (2 * (KEYS + VALUES) * DELTA, WIDTH),
            "norm.weight": (DELTA,),
            "out_proj.weight": (WIDTH, VALUES * DELTA),
        }.items()
    }
    | NEXT_EXPERTS
)


def qwen3_next(*blocks: Shapes) -> Tensors:
    """Its tensors; convolutions strong enough for SiLU to bend, so that queries and keys have much in common
    and rounding does not decide what a delta net remembers."""
    made = shaped(ends(), blocks)
    return {name: values * 16 if "conv1d" in name else values for name, values in made.items()}


MODELS: dict[str, Tiny] = {
    # A delta net and gated attention, as a fine-tune saved by transformers has them.
    "qwen3-next": Tiny(
        config=QWEN3_NEXT,
        tensors=lambda _: qwen3_next(NEXT_DELTA, NEXT_ATTENTION),
        tokenizer="llama3",
        pre="llama-bpe",
        options=("--no-mtp",),
        alike=0.95,  # a delta net's output is normalized however small it is, and its rounding with it
    ),
    # With the block that predicts the token after next, which config.json does not tell of.
    "qwen3-next-mtp": Tiny(
        config=QWEN3_NEXT,
        tensors=lambda _: qwen3_next(
            NEXT_DELTA,
            NEXT_ATTENTION,
            {name.replace(AT, "mtp.layers.0."): shape for name, shape in NEXT_ATTENTION.items()}
            | {
                "mtp.fc.weight": (WIDTH, 2 * WIDTH),
                "mtp.norm.weight": (WIDTH,),
                "mtp.pre_fc_norm_embedding.weight": (WIDTH,),
                "mtp.pre_fc_norm_hidden.weight": (WIDTH,),
            },
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        kinds=("F32", "BF16"),
        runs=False,  # its likeliest token ends the text, of which the newer llama.cpp tells nothing
        newer=True,
    ),
}
