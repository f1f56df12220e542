"""How much of a model is of which tensor type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

__all__ = ["TypeShare", "type_shares"]


@dataclass(frozen=True, slots=True)
class TypeShare:
    """How much of a model is of one tensor type. ``bytes`` is None for a type of unknown block size."""

    type: str
    tensors: int
    parameters: int
    bytes: int | None

    @property
    def bits_per_weight(self) -> float | None:
        """Stored bits per parameter."""
        return None if self.bytes is None or not self.parameters else 8 * self.bytes / self.parameters

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "type": self.type,
            "tensors": self.tensors,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "bits_per_weight": self.bits_per_weight,
        }


def type_shares(tensors: Iterable[tuple[str, tuple[int, ...], int | None]]) -> list[TypeShare]:
    """Group (type name, shape, bytes) triples by type, the type with the most parameters first."""
    groups: dict[str, TypeShare] = {}
    for name, shape, size in tensors:
        seen = groups.get(name, TypeShare(name, 0, 0, 0))
        total = None if seen.bytes is None or size is None else seen.bytes + size
        groups[name] = TypeShare(name, seen.tensors + 1, seen.parameters + prod(shape), total)
    return sorted(groups.values(), key=lambda share: (-share.parameters, share.type))
