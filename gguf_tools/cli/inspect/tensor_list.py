"""``--tensors``: a line for every tensor, and a last one with what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...inspection.sorting import totals
from ..console import number, shape, size, table
from .layers import colour

if TYPE_CHECKING:
    from rich.console import Console

    from ...inspection.inspect import TensorDescription

__all__ = ["show", "to_json"]


def show(out: Console, tensors: Sequence[TensorDescription], count: int) -> None:
    """A table of tensors, of ``count`` there are; with files where there are several."""
    from pathlib import Path

    from rich.text import Text

    files = {tensor.file for tensor in tensors}
    right = ("size", "offset")
    columns = ("tensor", "shape", "type", "size", "offset", *(("file",) if len(files) > 1 else ()))
    listing = table(*columns, right=right)
    for tensor in tensors:
        stored = "?" if tensor.nbytes is None else size(tensor.nbytes)
        cells: list[str | Text] = [
            tensor.name,
            shape(tensor.shape),
            Text(tensor.type, colour(tensor.bits_per_weight)),
            stored,
            str(tensor.offset),
        ]
        if len(files) > 1:
            cells.append(Path(tensor.file).name)
        listing.add_row(*cells)
    if tensors:
        out.print(listing)
        out.print()
    out.print(_total(tensors, count))


def to_json(tensors: Sequence[TensorDescription]) -> dict[str, Any]:
    """What is known of each, and what they come to."""
    return {
        "tensor_list": [tensor.to_dict() for tensor in tensors],
        "tensor_totals": totals(tensors).to_dict(),
    }


def _total(tensors: Sequence[TensorDescription], count: int) -> str:
    sum_ = totals(tensors)
    of_all = "" if len(tensors) == count else f" of {count:,}"
    bits = sum_.bits_per_weight
    rest = "" if bits is None else f", {bits:.3f} bits per weight"
    word = "tensor" if count == 1 else "tensors"
    return f"{sum_.tensors:,}{of_all} {word}, {number(sum_.parameters)} parameters, {size(sum_.bytes)}{rest}"
