"""How large each recipe would be: the table of ``inspect --sizes``, and its short form in dry runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .console import size, table

if TYPE_CHECKING:
    from rich.console import Console

    from ..conversion.predict import Prediction

__all__ = ["print_recipes"]

_USUAL: Final = ("Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "BF16")
"""What most models are published in."""

_MARK: Final = "¹"
_FOOTNOTE: Final = f"{_MARK} needs an importance matrix, whose name in the file will add some bytes"


def print_recipes(
    out: Console, predictions: Sequence[Prediction], *, usual: bool = False, chosen: str | None = None
) -> None:
    """A table from the smallest to the largest.

    Args:
        out: where to.
        predictions: of all recipes.
        usual: only those that are usual, and the chosen one.
        chosen: the recipe to make stand out.
    """
    shown = [p for p in predictions if not usual or p.recipe in _USUAL or p.recipe == chosen]
    known = sorted((p for p in shown if p.size is not None), key=lambda p: (p.size or 0, p.recipe))
    fell = any(p.fallback_tensors for p in known)
    numbers = ("bytes", "size", "bits/weight", *(("fell back",) if fell else ()))
    listing = table("recipe", *numbers, right=numbers)
    for p in known:
        name = p.recipe + (f" {_MARK}" if p.needs_imatrix else "")
        cells = [name, f"{p.size:,}", size(p.size or 0), f"{p.bits_per_weight or 0:.3f}"]
        if fell:
            cells.append(f"{p.fallback_share:.1%}" if p.fallback_tensors else "")
        listing.add_row(*cells, style="bold" if p.recipe == chosen else None)
    out.print(listing)
    out.print()
    if any(p.needs_imatrix for p in known):
        out.print(_FOOTNOTE, style="dim")
    for p in shown:
        if p.size is None:
            out.print(f"{p.recipe}: {p.problem}", style="yellow")
