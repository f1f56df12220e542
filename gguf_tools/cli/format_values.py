"""Metadata values on one line, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..inspection.formatting import shortest, type_name
from ..printable import printable

if TYPE_CHECKING:
    from ..editing.changes import Difference

__all__ = ["MAX_ITEMS_SHOWN", "compared", "folded", "plain", "shortest", "type_name"]

MAX_ITEMS_SHOWN: Final = 6
"""Of a long array; a vocabulary has hundreds of thousands."""

MAX_TEXT_SHOWN: Final = 160
"""Characters of a long string, such as a chat template."""

_WORDS: Final = {True: "true", False: "false", None: "null"}


def folded(value: Any) -> str:
    """A value on one line, long ones cut with their length told."""
    if isinstance(value, str):
        line = printable(value[: MAX_TEXT_SHOWN + 1], "\n").replace("\n", "⏎")
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
