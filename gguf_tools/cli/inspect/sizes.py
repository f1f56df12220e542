"""``--sizes``: what the model would become under each recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..recipe_sizes import print_recipes

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show", "to_json"]


def show(out: Console, path: str) -> None:
    """A table from the smallest to the largest."""
    from ...conversion.predict import predict_sizes

    print_recipes(out, predict_sizes(path))


def to_json(path: str) -> list[dict[str, Any]]:
    """All recipes, in the order in which they are documented; see `Prediction`."""
    from ...conversion.predict import predict_sizes

    return [prediction.to_dict() for prediction in predict_sizes(path)]
