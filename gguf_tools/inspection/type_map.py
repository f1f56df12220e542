"""Which type each tensor of each layer has: rows are layers, columns are roles.

Norms, biases and other vectors share one column: they are a ten-thousandth of a model and nearly always F32.
Experts that are stored one by one share the column of their matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .inspect import TensorDescription

__all__ = ["VECTORS", "Cell", "Column", "Row", "TypeMap", "folded", "grouped", "layer_ranges", "type_maps"]

VECTORS: Final = "norms"
"""Name of the column that all vectors share."""

_GROUPS: Final = (
    *("attn", "cross_attn", "indexer", "ssm", "time_mix", "channel_mix", "shortconv"),
    *("ffn", "ffn_exps", "ffn_shexp", "altup", "laurel", "nextn"),
)
"""Groups in GGUF, in the order in which columns stand."""

MAX_COLUMNS: Final = 256
MAX_CELLS: Final = 200_000
"""Stacks with more have no map. Real models have thirty roles and at most some hundred layers; made-up names
could fill any memory."""

_ROLE: Final = re.compile(
    r"(?P<group>attn|cross_attn|indexer|ssm|time_mix|channel_mix|ffn|altup|laurel)_"
    r"(?P<name>\w+?)(?P<suffix>_exps|_shexp)?"
)
"""``ffn_up_exps``: the group ``ffn_exps`` and the name ``up``."""

_ORDER: Final = (
    *("in", "x", "conv1d", "dt", "a"),
    *("q", "q_a", "q_b", "query", "qkv", "k", "key", "kv_a_mqa", "kv_b", "k_b", "v", "value", "v_b"),
    *("o", "out", "output", "sinks", "gate_inp", "gate", "up", "gate_up", "down"),
)
"""Order of columns within a group, by their names without ``_proj``."""


class Column(NamedTuple):
    """A role, as a group (``attn``, ``self_attn``; it may be empty) and the rest (``q``, ``q_proj``)."""

    group: str
    name: str
    role: str


class Cell(NamedTuple):
    """Types that occur in one place, and the bits per weight of all of it (None where unknown)."""

    types: tuple[str, ...]
    bits: float | None


class Row(NamedTuple):
    """Layers that are alike, and their cells; None where they have no such tensor."""

    layers: tuple[int, ...]
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class TypeMap:
    """The layers of one stack, such as ``blk`` or ``enc.blk``; a row for every layer."""

    stack: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: consecutive layers that are alike are one row."""
        return {
            "stack": self.stack,
            "columns": [column._asdict() for column in self.columns],
            "rows": [
                {"layers": list(row.layers), "cells": [cell and cell._asdict() for cell in row.cells]}
                for row in folded(self.rows)
            ],
        }


def type_maps(tensors: Iterable[TensorDescription]) -> list[TypeMap]:
    """A map for each stack of layers, in the order in which they first occur."""
    stacks: dict[str, dict[int, dict[Column, list[TensorDescription]]]] = {}
    for tensor in tensors:
        if tensor.layer is not None:
            layer = stacks.setdefault(tensor.stack, {}).setdefault(tensor.layer, {})
            layer.setdefault(_column_of(tensor), []).append(tensor)
    maps = (_map(stack, layers) for stack, layers in stacks.items())
    return [found for found in maps if found is not None]


def folded(rows: Sequence[Row]) -> list[Row]:
    """Consecutive rows that are alike as one."""
    found: list[Row] = []
    for row in rows:
        before = found[-1] if found else None
        if before is not None and before.cells == row.cells and before.layers[-1] + 1 == row.layers[0]:
            found[-1] = Row(before.layers + row.layers, row.cells)
        else:
            found.append(row)
    return found


def grouped(rows: Sequence[Row]) -> list[Row]:
    """All rows that are alike as one, wherever they stand."""
    found: dict[tuple[Cell | None, ...], Row] = {}
    for row in rows:
        before = found.get(row.cells)
        found[row.cells] = row if before is None else Row(before.layers + row.layers, row.cells)
    return list(found.values())


def layer_ranges(layers: Sequence[int]) -> list[str]:
    """``["0-3", "6", "9"]`` for layers 0, 1, 2, 3, 6 and 9."""
    ranges: list[list[int]] = []
    for layer in layers:
        if ranges and layer == ranges[-1][1] + 1:
            ranges[-1][1] = layer
        else:
            ranges.append([layer, layer])
    return [str(first) if first == last else f"{first}-{last}" for first, last in ranges]


def _column_of(tensor: TensorDescription) -> Column:
    role = tensor.role
    if "norm" in role or role.endswith((".bias", "_bias")) or sum(size > 1 for size in tensor.shape) < 2:
        return Column("", VECTORS, VECTORS)
    group, dot, name = role.rpartition(".")
    known = None if dot else _ROLE.fullmatch(role)
    if known is not None:
        group, name = known["group"] + (known["suffix"] or ""), known["name"]
    return Column(group, name, role)


def _map(stack: str, layers: dict[int, dict[Column, list[TensorDescription]]]) -> TypeMap | None:
    seen = list(dict.fromkeys(column for layer in layers.values() for column in layer))
    if len(seen) > MAX_COLUMNS or len(seen) * len(layers) > MAX_CELLS:
        return None
    groups = _group_order(seen)

    def rank(column: Column) -> tuple[bool, int, int]:
        """Known names in their order, others as they come; vectors last."""
        name = column.name.removesuffix("_proj")
        place = _ORDER.index(name) if name in _ORDER else len(_ORDER)
        return column.name == VECTORS, groups.index(column.group), place

    columns = sorted(seen, key=rank)
    rows = (
        Row((number,), tuple(_cell(layer.get(column)) for column in columns))
        for number, layer in sorted(layers.items())
    )
    return TypeMap(stack, tuple(columns), tuple(rows))


def _group_order(columns: Sequence[Column]) -> list[str]:
    """Known groups in their order; then attention, then others as they come, each before its parts."""
    first: dict[str, int] = {}
    for place, column in enumerate(columns):
        first.setdefault(column.group.partition(".")[0], place)

    def rank(group: str) -> tuple[bool, int, str]:
        return "att" not in group, first[group.partition(".")[0]], group

    return [*_GROUPS, *sorted({column.group for column in columns}, key=rank)]


def _cell(tensors: Sequence[TensorDescription] | None) -> Cell | None:
    if tensors is None:
        return None
    types = tuple(dict.fromkeys(tensor.type for tensor in tensors))
    sizes = [tensor.nbytes for tensor in tensors]
    parameters = sum(tensor.parameters for tensor in tensors)
    if None in sizes or not parameters:
        return Cell(types, None)
    return Cell(types, 8 * sum(size or 0 for size in sizes) / parameters)
