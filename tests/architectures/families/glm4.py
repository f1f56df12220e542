"""Tiny checkpoints: GLM 4."""

from __future__ import annotations

import json

from tests.architectures.parts.base import TOKENIZERS, Tiny, with_bias
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    layers,
    named,
)


def with_tokens(tokenizer: str, *texts: str) -> dict[str, str]:
    """tokenizer.json of a tiny tokenizer with further special tokens."""
    document = json.loads((TOKENIZERS / tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    added = document["added_tokens"]
    first = added[-1]["id"] + 1
    added += [added[-1] | {"id": first + i, "content": text} for i, text in enumerate(texts)]
    return {"tokenizer.json": json.dumps(document, ensure_ascii=False, indent=1) + "\n"}


GLM_TOKENS = with_tokens("llama3", "<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|observation|>")
"""525 to 529; the converter gives them roles by their texts."""

GATE_UP = {AT + "mlp.gate_up_proj.weight": (2 * INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)}

MODELS: dict[str, Tiny] = {
    # Norms before and after.
    "glm4": Tiny(
        config=config(
            "Glm4ForCausalLM",
            "glm4",
            attention_bias=True,
            eos_token_id=[525, 528],
            head_dim=HEAD,
            pad_token_id=525,
            partial_rotary_factor=0.5,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            named("post_self_attn_layernorm", "post_mlp_layernorm"),
            with_bias(attention(), "q_proj", "k_proj", "v_proj"),
            GATE_UP,
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
    ),
}
