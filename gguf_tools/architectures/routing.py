"""How routers make weights of logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .keys import Entry

__all__ = ["GATING", "Gating"]

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
