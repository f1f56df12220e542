"""What fits into a device: how many layers for a context, and how much context for all layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import UnsupportedError
from .model import Model
from .offload import shares
from .settings import Settings, Sizes

__all__ = ["Fit", "fit"]

_STEP: Final = 256
"""Contexts are whole multiples of so many tokens."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits into so much memory of a device.

    Attributes:
        budget: bytes there are.
        context: tokens asked for.
        layers: most that fit with these, for ``--gpu-layers``; the output counts as one. 0: not even that.
        of_layers: how many there are, with the output.
        largest_context: most tokens that fit with all layers, at most what the model was trained with; None
            where not even the smallest context does.
    """

    budget: int
    context: int
    layers: int
    of_layers: int
    largest_context: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "budget": self.budget,
            "context": self.context,
            "layers": self.layers,
            "of_layers": self.of_layers,
            "largest_context": self.largest_context,
        }


def fit(model: Model, settings: Settings, budget: int) -> Fit:
    """Find out.

    Raises:
        UnsupportedError: the budget is no positive number; or as `Sizes.of`.
    """
    if budget < 1:
        raise UnsupportedError("the memory to fit into is out of range", found=budget, expected="at least 1")
    count = model.stored_layers + 1

    def on_device(wanted: Settings) -> int:
        return shares(model, Sizes.of(wanted, model))[1].total

    layers = _most(count, lambda n: on_device(replace(settings, gpu_layers=n)) <= budget)
    whole = replace(settings, gpu_layers=count)
    steps = max(model.trained_context // _STEP, 1)
    contexts = _most(steps, lambda n: on_device(replace(whole, context=n * _STEP)) <= budget)
    return Fit(
        budget=budget,
        context=Sizes.of(settings, model).context,
        layers=layers,
        of_layers=count,
        largest_context=contexts * _STEP or None,
    )


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to a limit that fits, where each that does has smaller ones that do; or 0."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
