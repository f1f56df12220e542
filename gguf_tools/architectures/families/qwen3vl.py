"""The text model inside of Qwen3-VL: Qwen3, rotated along several axes.

In text all axes count alike, so an export is the plain Qwen3 that computes the same.
"""

from collections.abc import Mapping
from dataclasses import replace

from ...spec import ValueType
from ..config import HFConfig
from ..keys import DerivedKey
from ..mrope import Axes
from ..rope import Rope
from ..table import Architecture, HFClass
from . import qwen3


def _deepstack(config: HFConfig) -> int | None:
    """How many early layers take in what is seen; of the text model alone there is nothing to say."""
    vision = config.find("vision_config")
    if not isinstance(vision, Mapping):
        return None
    layers = vision.get("deepstack_visual_indexes")
    return len(layers) if isinstance(layers, list) else 0


def with_axes(table: Architecture, name: str, *classes: HFClass) -> Architecture:
    """A text model's table for the classes that see; exports are the text model."""
    text = table.classes[0]
    derived = {**text.derived_defaults}
    return replace(
        table,
        name=name,
        classes=(
            *(replace(c, derived_defaults={**derived, **c.derived_defaults}) for c in classes),
            replace(text, export_only=True),
        ),
        choose=lambda facts: text.name,
        graph=replace(table.graph, positions=4),
        keys=tuple(Axes() if isinstance(rule, Rope) else rule for rule in table.keys),
        family_keys=(*table.family_keys, DerivedKey("n_deepstack_layers", ValueType.UINT32, _deepstack)),
    )


ARCHITECTURE = with_axes(
    qwen3.ARCHITECTURE,
    "qwen3vl",
    HFClass(
        "Qwen3VLForConditionalGeneration",
        "qwen3_vl",
    ),
)
