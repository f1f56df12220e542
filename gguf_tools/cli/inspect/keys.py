"""``--metadata``: every key with its type and value, long ones folded. ``--key``: one value, as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...errors import FormatError
from ..console import print_as_it_is, print_json, table
from ..format_values import folded, plain, shortest, type_name

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_value", "show", "to_json"]

_MOST_SUGGESTED: Final = 5


def show(out: Console, metadata: Mapping[str, Any], pattern: re.Pattern[str] | None) -> None:
    """A table of the keys that match."""
    keys = list(_matching(metadata, pattern))
    listing = table("key", "type", "value")
    for key in keys:
        kind = type_name(metadata, key)
        value = metadata[key]
        shown = shortest(value) if kind == "float32" else folded(value)
        listing.add_row(key, kind, shown)
    if keys:
        out.print(listing)
        out.print()
    of_all = "" if len(keys) == len(metadata) else f" of {len(metadata):,}"
    out.print(f"{len(keys):,}{of_all} key{'' if len(metadata) == 1 else 's'}")


def to_json(metadata: Mapping[str, Any], pattern: re.Pattern[str] | None) -> list[dict[str, Any]]:
    """``key``, ``type`` and ``value`` of each that matches, arrays whole."""
    return [
        {"key": key, "type": type_name(metadata, key), "value": plain(metadata[key])}
        for key in _matching(metadata, pattern)
    ]


def print_value(metadata: Mapping[str, Any], key: str, path: str, *, as_json: bool) -> None:
    """Print the value of a key and nothing else: text byte for byte, of arrays one item a line.

    On a terminal control characters are escaped, and a line end is added to text without one.

    Raises:
        FormatError: there is no such key; suggests those that are near.
    """
    if key not in metadata:
        raise FormatError("there is no such key" + _suggestion(key, metadata), path=path, key=key)
    value = metadata[key]
    if as_json:
        print_json(plain(value))
        return
    single = type_name(metadata, key).startswith("float32")
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) or hasattr(value, "element_type"):
        text = "".join(f"{_raw(item, single=single)}\n" for item in value)
    else:
        text = f"{_raw(value, single=single)}\n"
    print_as_it_is(text)


def _matching(metadata: Mapping[str, Any], pattern: re.Pattern[str] | None) -> Iterator[str]:
    return (key for key in metadata if pattern is None or pattern.search(key))


def _raw(value: Any, *, single: bool) -> str:
    """One value without decoration: ``true``, ``1e-06``; nested ones as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and single:
        return shortest(value)
    return json.dumps(plain(value))


def _suggestion(key: str, metadata: Mapping[str, Any]) -> str:
    """Keys that contain what was given, else those that are spelled like it."""
    from difflib import get_close_matches

    near = [known for known in metadata if len(key) > 2 and key.lower() in known.lower()]
    last = {known.rpartition(".")[2]: known for known in metadata}
    near = near or get_close_matches(key, metadata, n=_MOST_SUGGESTED, cutoff=0.7)
    near = near or [last[name] for name in get_close_matches(key.rpartition(".")[2], last, n=3, cutoff=0.7)]
    if not near:
        return "; --metadata lists them all"
    shown = ", ".join(near[:_MOST_SUGGESTED])
    return f"; did you mean {shown}" + ("?" if len(near) <= _MOST_SUGGESTED else " …?")
