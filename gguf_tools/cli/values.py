"""Metadata values on one line, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .console import printable

if TYPE_CHECKING:
    from ..editing.changes import Difference

__all__ = ["MAX_ITEMS_SHOWN", "compared", "folded", "plain", "shortest", "type_name"]

MAX_ITEMS_SHOWN: Final = 6
"""Of a long array; a vocabulary has hundreds of thousands."""

MAX_TEXT_SHOWN: Final = 160
"""Characters of a long string, such as a chat template."""

_JSON_NAMES: Final = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    dict: "object",
    type(None): "null",
}

_WORDS: Final = {True: "true", False: "false", None: "null"}


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


def shortest(value: Any) -> str:
    """The fewest digits that round to the same float32: 1e-06, not 9.999999974752427e-07."""
    return str(np.float32(value))


def folded(value: Any) -> str:
    """A value on one line, long ones cut with their length told."""
    if isinstance(value, str):
        line = printable(value).replace("\n", "⏎")
        return (
            line if len(line) <= MAX_TEXT_SHOWN else f"{line[:MAX_TEXT_SHOWN]}… ({len(value):,} characters)"
        )
    if isinstance(value, list) or hasattr(value, "element_type"):
        shown = ", ".join(printable(repr(item)) for item in value[:MAX_ITEMS_SHOWN])
        return f"[{shown}{', …' if len(value) > MAX_ITEMS_SHOWN else ''}]"
    return _WORDS.get(value, "") if value is None or isinstance(value, bool) else str(value)


def compared(difference: Difference) -> tuple[str, str]:
    """Two values on a line each, with their types where these differ; of long arrays, where they part."""
    before, after = difference.before, difference.after
    sides = []
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after) > MAX_ITEMS_SHOWN:
        places = [i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
        if places:
            first = places[0]
            left, right = (printable(repr(side[first])) for side in (before, after))
            return f"[{first}] {left}", f"[{first}] {right} ({len(places):,} of {len(after):,} items differ)"
    for value, kind in ((before, difference.before_type), (after, difference.after_type)):
        if kind is None:
            sides.append("–")
            continue
        shown = (shortest(value) if kind == "float32" else folded(value)) or "(empty text)"
        if isinstance(value, list) and len(value) > MAX_ITEMS_SHOWN:
            shown += f" ({len(value):,} items)"
        known = {difference.before_type, difference.after_type} - {None}
        sides.append(f"{shown} ({kind})" if len(known) > 1 else shown)
    return sides[0], sides[1]


def plain(value: Any) -> Any:
    """Arrays as lists, whole: JSON is for machines, and they may want all of a vocabulary."""
    return [plain(item) for item in value] if hasattr(value, "element_type") else value
