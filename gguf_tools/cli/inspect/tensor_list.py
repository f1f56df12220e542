"""``--tensors``: a line for every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..console import printable, shape, size, table

if TYPE_CHECKING:
    from rich.console import Console

    from ...analysis.inspection import TensorDescription

__all__ = ["show", "to_json"]


def show(out: Console, tensors: Sequence[TensorDescription]) -> None:
    """A table of tensors."""
    from rich.text import Text

    listing = table("tensor", "shape", "type", "size", "offset", right=("size", "offset"))
    for tensor in tensors:
        stored = "?" if tensor.nbytes is None else size(tensor.nbytes)
        listing.add_row(
            Text(printable(tensor.name)), shape(tensor.shape), tensor.type, stored, str(tensor.offset)
        )
    out.print(listing)


def to_json(tensors: Sequence[TensorDescription]) -> list[dict[str, Any]]:
    """What is known of each; see `TensorDescription`."""
    return [tensor.to_dict() for tensor in tensors]
