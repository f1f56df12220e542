"""Tiny checkpoints: Qwen2-VL."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, with_bias
from tests.architectures.parts.decoders import PRE_NORMS, WIDTH, attention, config, layers, mlp, weights
from tests.architectures.parts.towers import wrapped

MODELS: dict[str, Tiny] = {
    # Several axes of rotation, which in text are one. With these weights llama.cpp is as close as 4e-6 to the
    # plain Qwen2, and 2e-2 to this.
    "qwen2-vl": wrapped(
        Tiny(
            config=config(
                "Qwen2ForCausalLM",
                "qwen2_vl_text",
                rope_scaling={"mrope_section": [8, 12, 12], "type": "mrope"},
                tie_word_embeddings=True,
                use_sliding_window=False,
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                with_bias(attention(), "q_proj", "k_proj", "v_proj"),
                weights(mlp()),
                head=False,
            ),
            tokenizer="qwen2",
            pre="qwen2",
            difference=3e-2,
        ),
        "Qwen2VLForConditionalGeneration",
        model_type="qwen2_vl",
        vision={
            "depth": 1,
            "embed_dim": 64,
            "hidden_size": WIDTH,
            "model_type": "qwen2_vl",
            "num_heads": 2,
        },
        towers={"visual.merger.ln_q.weight": 64},
        prefix=("model.", "model."),
    ),
}
