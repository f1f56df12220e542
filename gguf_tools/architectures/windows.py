"""Sliding windows of attention, and which layers have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ..container.metadata import Array
from ..errors import ArchitectureError
from ..spec import MAX_LAYERS, ValueType
from .config import GGUFFacts, HFConfig
from .keys import Entry, brief
from .per_layer_keys import listed

__all__ = ["WindowPattern", "Windows", "layer_type", "windows_but"]

_PATTERN: Final = "attention.sliding_window_pattern"


class Windows:
    """``sliding_window`` and ``layer_types`` ↔ the window and, for every layer, whether it has one.

    Args:
        default: what layers are where the config does not list them: by config and number, whether a layer
            slides.
        stated: whether an export says that there is no window, and so that every layer sees all: without
            that list transformers' own configuration of EXAONE 4 divides by zero.
    """

    def __init__(self, default: Callable[[HFConfig, int], bool], *, stated: bool = False) -> None:
        self.default, self.stated = default, stated

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("sliding_window") is None:
            return
        yield "attention.sliding_window", ValueType.UINT32, config.integer("sliding_window")
        yield _PATTERN, ValueType.ARRAY, Array(ValueType.BOOL, self._layers(config))

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        window = facts.integer("attention.sliding_window")
        if window is not None or self.stated:
            config["sliding_window"] = window
        if window is None:
            if self.stated:
                config["layer_types"] = [layer_type(False)] * config["num_hidden_layers"]
            return
        pattern = facts.find(_PATTERN)
        if isinstance(pattern, Array):
            config["layer_types"] = [layer_type(bool(slides)) for slides in pattern]

    def _layers(self, config: HFConfig) -> list[bool]:
        layers = config.integer("num_hidden_layers", most=MAX_LAYERS)
        given = config.find("layer_types")
        if given is None:
            return [self.default(config, i) for i in range(layers)]
        known = (layer_type(False), layer_type(True))
        if not isinstance(given, list) or len(given) != layers or not all(kind in known for kind in given):
            raise ArchitectureError(
                f"not a list of {' or '.join(known)} for every layer",
                path="config.json",
                key="layer_types",
                found=brief(given),
                expected=f"{layers} of them",
            )
        return [kind == layer_type(True) for kind in given]


class WindowPattern:
    """``layer_types``, which the config must list ↔ which layers have a window."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        slides = [kind == layer_type(True) for kind in listed(config, "layer_types")]
        yield _PATTERN, ValueType.ARRAY, Array(ValueType.BOOL, slides)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        slides = facts.find(_PATTERN)
        if isinstance(slides, Array):
            config["layer_types"] = [layer_type(bool(one)) for one in slides]


def layer_type(slides: bool) -> str:
    """What transformers calls a layer with or without a sliding window."""
    return "sliding_attention" if slides else "full_attention"


def windows_but(period: int) -> Callable[[HFConfig], tuple[list[str], ...]]:
    """``layer_types`` as the runtime takes them: every ``period``-th layer sees all, the others slide."""

    def kinds(config: HFConfig) -> tuple[list[str], ...]:
        return ([layer_type((i + 1) % period != 0) for i in range(config.integer("num_hidden_layers"))],)

    return kinds
