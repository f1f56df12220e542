"""Anything that can be looked into, described in one form: GGUF files, safetensors files, checkpoints.

>>> found = inspect("model.gguf")                                              # doctest: +SKIP
>>> found.summary.model.architecture, found.summary.bits_per_weight            # doctest: +SKIP
>>> [tensor.name for tensor in found.tensors if tensor.layer == 0]             # doctest: +SKIP

Only headers and small text files are read, and nothing is decoded. `open_inspected` keeps the files open, for
whoever wants to look at the values too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ..closing import Closing, closed_on_error
from ..container.reader import open_gguf
from ..remote import locate
from ..source import Source
from .places import place_of
from .summary import Summary, summarize

if TYPE_CHECKING:
    from ..container.reader import GGUFFile

__all__ = ["Inspected", "Inspection", "TensorDescription", "describe", "inspect", "open_inspected"]


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
        stack, layer, role: see `gguf_tools.analysis.places.Place`.
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


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Describe a GGUF file (given any shard, the whole model), a safetensors file or a checkpoint directory.

    Raises:
        FormatError: the GGUF file is not well formed.
        CheckpointError: the checkpoint is incomplete or malformed.
        UnsupportedError: a version of GGUF that is not read.
    """
    with open_inspected(path) as opened:
        return opened.inspection


def open_inspected(path: str | os.PathLike[str]) -> Inspected:
    """As `inspect`, with the files kept open so that values can be read."""
    given = locate(path)
    if given.is_dir() or given.name.endswith(".safetensors"):
        from .checkpoints import open_described

        return open_described(given)
    with closed_on_error(open_gguf(path)) as file:
        return Inspected(describe(file), file.tensors, file.close)


def describe(file: GGUFFile) -> Inspection:
    """Describe an open GGUF file."""
    return Inspection(
        summarize(file),
        tuple(
            TensorDescription(
                tensor.name,
                tensor.shape,
                tensor.type_name,
                tensor.nbytes,
                tensor.offset,
                str(tensor.path),
                *place_of(tensor.name),
            )
            for tensor in file.tensors.values()
        ),
        file.metadata,
    )
