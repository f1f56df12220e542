"""``--metadata``: every key with its type and value, long ones folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..console import printable, table
from ..values import folded, plain, shortest, type_name

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show", "to_json"]


def show(out: Console, metadata: Mapping[str, Any]) -> None:
    """A table of keys."""
    from rich.text import Text

    listing = table("key", "type", "value")
    for key in metadata:
        kind = type_name(metadata, key)
        value = metadata[key]
        shown = shortest(value) if kind == "float32" else folded(value)
        listing.add_row(Text(printable(key)), kind, Text(shown))
    out.print(listing)
    out.print()


def to_json(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``key``, ``type`` and ``value`` of each, arrays whole."""
    return [{"key": key, "type": type_name(metadata, key), "value": plain(metadata[key])} for key in metadata]
