"""The type map: rows are layers, columns are roles, colours are bits per weight.

Alike layers are one row: everywhere in the overview, and only where they follow one another with ``--map``.
Where the columns do not fit beside one another they continue below, a group of columns at a time if possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ...inspection.type_map import Cell, Column, Row, TypeMap, folded, grouped, layer_ranges, type_maps
from ..console import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ...inspection.inspect import TensorDescription

__all__ = ["colour", "show", "to_json"]

_GAP: Final = 2
_MAX_LABEL: Final = 24
"""Columns for the numbers of layers before they continue on the next line."""

_MAX_OUTSIDE: Final = 12
"""Tensors outside of layers that are named; encoders of images have many more."""

_NONE: Final = "·"
_HEADING: Final = "layer"

Fold = Callable[[Sequence[Row]], list[Row]]

_COLOURS: Final = (
    (2.7, "red"),
    (3.8, "bright_red"),
    (4.4, "bright_yellow"),
    (5.2, "yellow"),
    (6.3, "green"),
    (7.9, "bright_green"),
    (10.0, "cyan"),
    (16.0, "bright_blue"),
)
"""The colour up to so many bits per weight: warm for few, cold for many, plain for full precision."""


@lru_cache  # of thousands of tensors
def colour(bits: float | None) -> str:
    """The style for so many bits per weight."""
    if bits is None:
        return "bold"
    return next((style for most, style in _COLOURS if bits <= most), "dim")


def show(out: Console, tensors: Sequence[TensorDescription], *, every_layer: bool) -> None:
    """The map of each stack of layers, and the types of what is outside of layers."""
    maps = type_maps(tensors)
    for found in maps:
        if len(maps) > 1:
            out.print(f"{found.stack}:", style="dim")
        for line in _lines(found, folded if every_layer else grouped, out.width):
            out.print(line, no_wrap=True, overflow="crop")
        out.print()
    outside = [tensor for tensor in tensors if tensor.layer is None]
    if maps and outside:
        for line in _outside(outside, out.width):
            out.print(line, no_wrap=True, overflow="crop")
        out.print()


def to_json(tensors: Sequence[TensorDescription]) -> list[dict[str, Any]]:
    """A map for each stack of layers."""
    return [found.to_dict() for found in type_maps(tensors)]


def _outside(tensors: Sequence[TensorDescription], width: int) -> Iterator[Text]:
    """Names and types side by side, as many as fit on a line."""
    from rich.text import Text

    items = [
        Text(f"{printable(tensor.role)} ").append(tensor.type, colour(tensor.bits_per_weight))
        for tensor in tensors[:_MAX_OUTSIDE]
    ]
    if len(tensors) > _MAX_OUTSIDE:
        items.append(Text(f"and {len(tensors) - _MAX_OUTSIDE} more outside of layers"))
    line = items[0]
    for item in items[1:]:
        if len(line) + len(item) + 1 + _GAP > width:
            yield line
            line = item
        else:
            line.append(" " * (1 + _GAP)).append(item)
    yield line


def _lines(found: TypeMap, fold: Fold, width: int) -> Iterator[Text]:
    """The map in bands of columns; layers that are alike in a band are one row of it."""
    widths = _widths(found.columns, found.rows)
    longest = max(len(line) for row in fold(found.rows) for line in _label(row.layers))
    label_width = max(len(_HEADING), longest) + _GAP
    for number, band in enumerate(_bands(found.columns, widths, width - label_width)):
        if number:
            yield _blank()
        columns = [found.columns[place] for place in band]
        rows = fold([Row(row.layers, tuple(row.cells[place] for place in band)) for row in found.rows])
        own = [widths[place] for place in band]
        yield from _headings(columns, own, label_width)
        for row in rows:
            yield from _row(row, own, label_width)


def _label(layers: Sequence[int]) -> list[str]:
    """The numbers of layers, on as many lines as they take."""
    lines = [""]
    for part in layer_ranges(layers):
        joined = f"{lines[-1]},{part}" if lines[-1] else part
        if len(joined) > _MAX_LABEL:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return lines


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """Of each column; the last one of a group makes room for the group's name."""
    widths = []
    for place, column in enumerate(columns):
        cells = (row.cells[place] for row in rows)
        widths.append(max(len(printable(column.name)), *(len(_text(cell)) for cell in cells)) + _GAP)
    for group in dict.fromkeys(column.group for column in columns):
        places = [place for place, column in enumerate(columns) if column.group == group]
        widths[places[-1]] += max(0, len(group) + _GAP - sum(widths[place] for place in places))
    return widths


def _bands(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[list[int]]:
    """Places of the columns that stand beside one another; groups are only cut if they must be."""
    bands: list[list[int]] = [[]]
    for group in dict.fromkeys(column.group for column in columns):
        places = [place for place, column in enumerate(columns) if column.group == group]
        taken = sum(widths[place] for place in bands[-1])
        if bands[-1] and taken + sum(widths[place] for place in places) > room + _GAP:
            bands.append([])
        for place in places:
            if bands[-1] and sum(widths[one] for one in bands[-1]) + widths[place] > room + _GAP:
                bands.append([])
            bands[-1].append(place)
    return bands


def _headings(columns: Sequence[Column], widths: Sequence[int], label_width: int) -> Iterator[Text]:
    """The names of groups, if there are any, and below them those of columns."""
    from rich.text import Text

    groups, names = Text(" " * label_width), Text(_HEADING.ljust(label_width), "dim")
    before = ""
    for column, width in zip(columns, widths, strict=True):
        if column.group != before:
            groups.append(" " * (len(names) - len(groups)))
            groups.append(printable(column.group), "bold")
        before = column.group
        names.append(printable(column.name).ljust(width), "bold")
    for line in (groups, names):
        line.rstrip()
        if line.plain:
            yield line


def _row(row: Row, widths: Sequence[int], label_width: int) -> Iterator[Text]:
    from rich.text import Text

    first, *more = _label(row.layers)
    line = Text(first.ljust(label_width))
    for cell, width in zip(row.cells, widths, strict=True):
        text = _text(cell)
        line.append(text, "dim" if cell is None else colour(cell.bits))
        line.append(" " * (width - len(text)))
    line.rstrip()
    yield line
    yield from map(Text, more)


def _text(cell: Cell | None) -> str:
    return _NONE if cell is None else "/".join(cell.types)


def _blank() -> Text:
    from rich.text import Text

    return Text()
