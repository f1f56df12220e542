"""RoPE along several axes, for models that see: time, height and width, which in text are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..container.metadata import Array
from ..errors import ArchitectureError
from ..spec import ValueType
from .config import HFConfig
from .keys import Entry, Remark
from .rope import Rope

__all__ = ["Axes"]

_AXES: Final = 4


@dataclass(frozen=True)
class Axes(Rope):
    """RoPE with ``mrope_section``: how many of a head's pairs turn along each axis, four numbers in GGUF.

    An export is a text model and does not say.
    """

    kinds: tuple[str, ...] = ("linear", "yarn", "mrope")

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        rope = config.find("rope_parameters", "rope_scaling")
        sections = rope.get("mrope_section") if isinstance(rope, Mapping) else None
        if sections is not None:
            if (
                not isinstance(sections, list)
                or len(sections) > _AXES
                or not all(isinstance(size, int) and size >= 0 for size in sections)
            ):
                raise ArchitectureError(
                    "not a list of sizes",
                    path="config.json",
                    key="rope_scaling.mrope_section",
                    found=sections,
                    expected=f"at most {_AXES}",
                )
            padded = [*sections, *[0] * (_AXES - len(sections))]
            yield "rope.dimension_sections", ValueType.ARRAY, Array(ValueType.INT32, padded)
        yield from super().forward(config)
