"""Values from files as text. No heavy imports: `--help` has this too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["shortest", "type_name"]

_JSON_NAMES: Final = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    dict: "object",
    type(None): "null",
}


def shortest(value: Any) -> str:
    """The fewest digits that round to the same float32: 1e-06, not 9.999999974752427e-07."""
    import numpy as np

    return str(np.float32(value))


def type_name(metadata: Mapping[str, Any], key: str) -> str:
    """``uint32``, or for an array its element type and length: ``string[32,000]``; else as JSON has it."""
    from ..container.metadata import Array, Metadata

    value = metadata[key]
    if isinstance(value, Array):
        return f"{value.element_type.name.lower()}[{len(value):,}]"
    if isinstance(metadata, Metadata):
        return metadata.type_of(key).name.lower()
    if isinstance(value, list):
        return f"list[{len(value):,}]"
    return _JSON_NAMES[type(value)]
