"""Models whose first blocks are dense and whose others route to experts, as DeepSeek names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .decoder import BLOCK, FFN, experts, gated, norms
from .keys import Entry
from .tensors import Condition, Rule, limit_to, unless
from .transforms import Chain, Reshape, SplitMiddle, Transpose

__all__ = [
    "GATING",
    "Gating",
    "dense_then_routed",
    "is_dense",
    "is_mixed",
    "shared_expert_gate",
    "transposed_experts",
]

GATING: Final[dict[str, int]] = {"softmax": 1, "sigmoid": 2}
"""llama.cpp's numbers (``enum llama_expert_gating_func_type``) by HF's names."""


@dataclass(frozen=True)
class Gating:
    """``scoring_func`` ↔ ``expert_gating_func``.

    Attributes:
        aliases: what a family also calls one of the functions.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        function = config.find("scoring_func")
        if function is None:
            return
        known = GATING | {alias: GATING[name] for alias, name in self.aliases.items()}
        if not isinstance(function, str) or function not in known:
            raise ArchitectureError(
                "a router that llama.cpp does not know",
                path="config.json",
                key="scoring_func",
                found=function,
                expected=" or ".join(known),
            )
        yield "expert_gating_func", ValueType.UINT32, known[function]

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        names = {number: name for name, number in GATING.items()}
        function = names.get(facts.integer("expert_gating_func") or 0)
        if function is not None:
            config["scoring_func"] = function


def is_mixed(config: HFConfig, layer: int) -> bool:
    """The condition that a layer routes to experts: all but the first ``first_k_dense_replace``."""
    return layer >= config.integer("first_k_dense_replace", least=0)


is_dense: Final = unless(is_mixed)
"""The condition that a layer has one feed-forward."""


def dense_then_routed(*, biased: Condition = is_mixed, shared: Condition = is_mixed) -> tuple[Rule, ...]:
    """Feed-forwards of the first layers; routers, routed and shared experts of the others.

    Args:
        biased: where routers have a bias for choosing.
        shared: where there are experts every token uses.
    """
    bias = Rule((f"{BLOCK}.mlp.gate.e_score_correction_bias",), ("blk.{i}.exp_probs_b.bias",))
    return (
        *limit_to(is_dense, FFN),
        *limit_to(is_mixed, norms(("mlp.gate", "ffn_gate_inp"))),
        *limit_to(biased, (bias,)),
        *experts("n_routed_experts", when=is_mixed),
        *limit_to(shared, gated("mlp.shared_experts", "_shexp")),
    )


def shared_expert_gate(block: str = BLOCK) -> tuple[Rule, ...]:
    """The gate before a shared expert. ggml's own files have one dimension."""
    one = Reshape(gguf=lambda shape: shape, hf=lambda shape: (1, shape[-1]))
    return norms(("mlp.shared_expert_gate", "ffn_gate_inp_shexp"), transform=one, block=block)


def transposed_experts(module: str) -> tuple[Rule, ...]:
    """Experts stacked as (experts, inputs, outputs), gate and up fused; ``module`` holds them."""
    return (
        Rule(
            (f"{BLOCK}.{module}.gate_up_proj",),
            ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
            Chain(Transpose(), SplitMiddle()),
        ),
        Rule((f"{BLOCK}.{module}.down_proj",), ("blk.{i}.ffn_down_exps.weight",), Transpose()),
    )
