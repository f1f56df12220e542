"""What the page shows, as one plain document that JSON can hold; its script reads nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata as packages
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..container.metadata import Array
from ..inspection.formatting import shortest, type_name
from ..printable import printable
from ..spec import ValueType

if TYPE_CHECKING:
    from ..inspection.inspect import Inspection, TensorDescription
    from ..inspection.statistics import Measurement

__all__ = ["MAX_ITEMS", "MAX_TEXT", "document"]

MAX_ITEMS: Final = 100
"""Of an array; a vocabulary has hundreds of thousands, and the page is to stay light."""

MAX_TEXT: Final = 100_000
"""Characters of a string: room for any chat template."""

_LINE: Final = 100
"""Characters of an array that stands on one line; of a longer one each item has its own."""

_COLUMNS: Final = ("name", "shape", "type", "bytes", "stack", "layer", "role")

_DIGITS: Final = 7
"""Significant ones of statistics; float32 has no more."""


def document(inspection: Inspection, measurements: Sequence[Measurement] | None) -> dict[str, Any]:
    """The document; see the script for what becomes of it.

    ``statistics`` has an entry for each tensor in their order, null where it was not measured; or is null
    itself where none was.
    """
    summary = _safe(inspection.summary.to_dict())
    return {
        "title": printable(inspection.summary.model.name or Path(inspection.summary.path).name),
        "generator": f"gguf-tools {_version()}".strip(),
        "summary": summary,
        "notes": [printable(note) for note in inspection.notes],
        "tensors": {"columns": _COLUMNS, "rows": [_row(tensor) for tensor in inspection.tensors]},
        "statistics": None if measurements is None else _statistics(inspection.tensors, measurements),
        "metadata": [_entry(inspection.metadata, key) for key in inspection.metadata],
    }


def _version() -> str:
    try:
        return packages.version("gguf-tools")
    except packages.PackageNotFoundError:
        return ""


def _row(tensor: TensorDescription) -> list[Any]:
    """In the order of ``_COLUMNS``."""
    return [
        printable(tensor.name),
        list(tensor.shape),
        printable(tensor.type),
        tensor.nbytes,
        printable(tensor.stack),
        tensor.layer,
        printable(tensor.role),
    ]


def _statistics(
    tensors: Sequence[TensorDescription], measurements: Sequence[Measurement]
) -> list[dict[str, Any] | None]:
    found = {measured.name: measured for measured in measurements}
    return [
        None if (measured := found.get(tensor.name)) is None else _measured(measured) for tensor in tensors
    ]


def _measured(measured: Measurement) -> dict[str, Any]:
    """All numbers, or the reason why there are none."""
    if measured.statistics is None:
        return {"reason": printable(measured.reason)}
    return {key: _rounded(value) for key, value in measured.statistics.to_dict().items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _entry(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    """A key with its type and value as text; a note tells how much of it was left out."""
    value, kind = metadata[key], type_name(metadata, key)
    note = ""
    if isinstance(value, Array | list):
        single = isinstance(value, Array) and value.element_type is ValueType.FLOAT32
        items = [_text(item, single) for item in value[:MAX_ITEMS]]
        text = ", ".join(items)
        if len(text) > _LINE:
            text = "\n".join(items)
        if len(value) > MAX_ITEMS:
            note = f"first {MAX_ITEMS} of {len(value):,}"
    else:
        text = _text(value, kind == "float32")
        if len(text) > MAX_TEXT:
            note = f"first {MAX_TEXT:,} of {len(text):,} characters"
    return {"key": printable(key), "type": kind, "value": printable(text[:MAX_TEXT], "\n"), "note": note}


def _text(value: Any, single: bool) -> str:
    """One value; ``single`` tells floats of 32 bits."""
    if isinstance(value, Array):
        items = ", ".join(_text(item, value.element_type is ValueType.FLOAT32) for item in value[:MAX_ITEMS])
        return f"[{items}{', …' if len(value) > MAX_ITEMS else ''}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return shortest(value) if single else str(value)


def _safe(value: Any) -> Any:
    """The same with all strings printable, and NaN and infinities, which JSON does not know, as text."""
    if isinstance(value, Mapping):
        return {printable(str(key)): _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Array):
        return [_safe(item) for item in value[:MAX_ITEMS]]
    if isinstance(value, str):
        return printable(value[:MAX_TEXT], "\n")
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
