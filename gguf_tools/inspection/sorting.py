"""Lists of tensors: some of them, in some order, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .inspect import TensorDescription

__all__ = ["ORDERS", "Totals", "arranged", "totals"]


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Numbers in names count as numbers: ``blk.2`` comes before ``blk.10``."""
    parts = re.split(r"(\d{1,18})", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


ORDERS: Final[Mapping[str, Callable[[TensorDescription], Any]]] = MappingProxyType(
    {
        "name": lambda tensor: _natural(tensor.name),
        "size": lambda tensor: -(tensor.nbytes or 0),
        "type": lambda tensor: tensor.type,
        "bits": lambda tensor: -(tensor.bits_per_weight or 0),
        "shape": lambda tensor: (len(tensor.shape), tensor.shape),
        "offset": lambda tensor: (tensor.file, tensor.offset),
    }
)
"""What to sort by, and how: sizes and bits from the largest down, all else up."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What some tensors come to; ``bytes`` leaves out tensors of unknown size."""

    tensors: int
    parameters: int
    bytes: int

    @property
    def bits_per_weight(self) -> float | None:
        """Stored bits for each parameter."""
        return 8 * self.bytes / self.parameters if self.parameters else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "tensors": self.tensors,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "bits_per_weight": self.bits_per_weight,
        }


def arranged(
    tensors: Iterable[TensorDescription],
    *,
    pattern: re.Pattern[str] | None = None,
    types: Sequence[str] = (),
    sort: str | None = None,
    reverse: bool = False,
) -> list[TensorDescription]:
    """Some tensors, in some order.

    Args:
        tensors: all of them.
        pattern: must match somewhere in the name.
        types: one of these must be the tensor's type, in upper or lower case; none for any.
        sort: a key of `ORDERS`, or None for the order given. Equal ones keep that order.
        reverse: the other way round.
    """
    wanted = {name.upper() for name in types}
    found = [
        tensor
        for tensor in tensors
        if (pattern is None or pattern.search(tensor.name)) and (not wanted or tensor.type.upper() in wanted)
    ]
    if sort is not None:
        found.sort(key=ORDERS[sort])
    return found[::-1] if reverse else found


def totals(tensors: Sequence[TensorDescription]) -> Totals:
    """What these tensors come to."""
    return Totals(
        len(tensors),
        sum(tensor.parameters for tensor in tensors),
        sum(tensor.nbytes or 0 for tensor in tensors),
    )
