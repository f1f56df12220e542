"""What anything that can be looked into is described as; see `gguf_tools.inspection.opening`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ..io.closing import Closing
from ..source import Source
from .summary import Summary

__all__ = ["Inspected", "Inspection", "TensorDescription"]


@dataclass(frozen=True, slots=True)
class TensorDescription:
    """One tensor, as headers describe it.

    Attributes:
        name: in its file; what several parts of a checkpoint together make has the name of the whole.
        shape: of its values, in numpy's order (slowest dimension first).
        type: the stored type: ``Q4_K``; of safetensors the dtype, or a packed form such as ``GPTQ-4``.
        nbytes: of its data, all parts together; None where the type is unknown.
        offset: of its data from the start of its file, in bytes (of a packed tensor, its first part).
        file: the file it is in.
        stack, layer, role: see `gguf_tools.inspection.tensor_names.TensorRole`.
        parts: tensors of the checkpoint it is packed in; empty for a plain one.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    nbytes: int | None
    offset: int
    file: str
    stack: str
    layer: int | None
    role: str
    parts: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Values in it."""
        return prod(self.shape)

    @property
    def bits_per_weight(self) -> float | None:
        """Stored bits for each value; None where that cannot be told."""
        return None if self.nbytes is None or not self.parameters else 8 * self.nbytes / self.parameters

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "type": self.type,
            "parameters": self.parameters,
            "bytes": self.nbytes,
            "bits_per_weight": self.bits_per_weight,
            "offset": self.offset,
            "file": self.file,
            "stack": self.stack,
            "layer": self.layer,
            "role": self.role,
            "parts": list(self.parts),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """A description of a model's files.

    Attributes:
        summary: the facts.
        tensors: in the files' order.
        metadata: of a GGUF file its `Metadata`; of a checkpoint its config.json, of a safetensors file what
            stands in its header, flat: ``rope_scaling.factor``.
        notes: what the reader should know, one sentence each.
    """

    summary: Summary
    tensors: tuple[TensorDescription, ...]
    metadata: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def reads(self) -> list[str]:
        """Names of all that was read, which a page must not replace: see `gguf_tools.io.input_guard`."""
        names = [self.summary.path, *self.summary.files]
        if self.summary.kind == "safetensors":
            names.append(os.path.join(os.path.dirname(self.summary.path), "config.json"))
        return names


class Inspected(Closing):
    """An `Inspection` with its files still open. A context manager.

    Attributes:
        inspection: the description.
        sources: rows of tensors by the names in the description, decoded when they are read.
    """

    def __init__(
        self, inspection: Inspection, sources: Mapping[str, Source], close: Callable[[], None]
    ) -> None:
        self.inspection = inspection
        self.sources = sources
        self._close = close

    def close(self) -> None:
        """Close the files."""
        self._close()
