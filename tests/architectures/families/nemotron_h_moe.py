"""Tiny checkpoints: Nemotron H with experts."""

from __future__ import annotations

from tests.architectures.families.nemotron_h import NEMOTRON, nemotron
from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import INNER, config

MODELS: dict[str, Tiny] = {
    "nemotron-h-moe": Tiny(
        config=config(
            "NemotronHForCausalLM",
            "nemotron_h",
            **NEMOTRON,
            hybrid_override_pattern="ME*E",
            intermediate_size=INNER // 2,
            moe_intermediate_size=INNER // 2,
            moe_shared_expert_intermediate_size=INNER,
            n_group=1,
            n_routed_experts=4,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=3,
            routed_scaling_factor=2.5,
            topk_group=1,
        ),
        tensors=lambda _: nemotron("ME*E"),
        tokenizer="llama3",
        pre="llama-bpe",
        known=False,
    ),
}
