"""RoPE whose base follows from a factor alpha, which HunYuan's configs call "dynamic"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig, real, simplest
from .keys import CONTEXT, Entry, Remark
from .rope import Rope
from .rounding import power

__all__ = ["AlphaBase", "AlphaContext", "AlphaScaling"]

_BASE: Final = 10000.0
_LONGEST: Final = 256 * 1024
"""What the published models were trained for, whatever their config says."""
_PLAIN: Final = Rope()


def _alpha(config: HFConfig) -> float | None:
    """What stretches the base, where the config's RoPE is "dynamic" in this family's sense.

    Raises:
        ArchitectureError: it is, but not as in any published model: its context is not known then.
    """
    scaling = config.find("rope_parameters", "rope_scaling")
    if not isinstance(scaling, Mapping) or "dynamic" not in (scaling.get("rope_type"), scaling.get("type")):
        return None
    base = scaling.get("rope_theta", config.find("rope_theta"))
    context = config.integer("max_position_embeddings")
    if base != _BASE or context not in (_LONGEST // 8, _LONGEST):
        raise ArchitectureError(
            "dynamic RoPE of an unknown length",
            path="config.json",
            key="rope_scaling",
            found=f"rope_theta {base} and max_position_embeddings {context}",
            expected=f"{_BASE}, and {_LONGEST // 8} or {_LONGEST}",
        )
    real(scaling.get("alpha"), "rope_scaling.alpha")  # checks it; the power comes before the rounding
    return float(scaling["alpha"])


def _stretched(alpha: float, size: int) -> float:
    return _BASE * power(alpha, size / (size - 2))


class AlphaContext:
    """The context, which these configs understate."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        for key, kind, value in CONTEXT.forward(config):
            yield key, kind, value if _alpha(config) is None else _LONGEST

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        CONTEXT.inverse(facts, config)


class AlphaBase:
    """The base RoPE ends up with."""

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        alpha = _alpha(config)
        if alpha is None:
            yield from _PLAIN.forward(config)
        else:
            base = _stretched(alpha, config.integer("head_dim", least=3))
            yield "rope.freq_base", ValueType.FLOAT32, real(base, "rope_scaling.alpha")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        _PLAIN.inverse(facts, config)


class AlphaScaling:
    """That nothing is left to be scaled; ``alpha`` comes back from the base."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if _alpha(config) is not None:
            yield "rope.scaling.type", ValueType.STRING, "none"
            yield "rope.scaling.factor", ValueType.FLOAT32, 1.0
            yield "rope.scaling.original_context_length", ValueType.UINT32, _LONGEST

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if facts.find("rope.scaling.type") != "none":
            return
        size, base = HFConfig(config).integer("head_dim", least=3), config["rope_theta"]
        near = (base / _BASE) ** ((size - 2) / size)
        alpha = simplest(near, lambda alpha: _stretched(alpha, size), base)
        config["rope_theta"] = _BASE
        config["rope_scaling"] = {"type": "dynamic", "alpha": alpha, "factor": 1.0}
