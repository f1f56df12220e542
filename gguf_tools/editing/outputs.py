"""GGUF files made of other files' tensors, as they are: laid out here, written by the one engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..container.reader import GGUFFile, Tensor
from ..container.writer import TensorInfo, header_bytes
from ..conversion.plan import Plan, PlannedFile, PlannedTensor
from ..errors import FormatError, UnsupportedError
from ..spec import GGMLType, align

if TYPE_CHECKING:
    from ..container.metadata import Metadata

__all__ = ["OutputFile", "lay_out", "outputs_of", "plan_copy"]


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file of those written, or to be.

    Attributes:
        path: its name.
        size: in bytes.
        tensors: their names, in order.
        tensor_bytes: data without header and padding.
    """

    path: Path
    size: int
    tensors: tuple[str, ...]
    tensor_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "path": str(self.path),
            "size": self.size,
            "tensors": list(self.tensors),
            "tensor_bytes": self.tensor_bytes,
        }


def outputs_of(plan: Plan, destination: Path) -> list[OutputFile]:
    """The files of a plan; see `gguf_tools.conversion.engine.execute` for ``destination``."""
    return [
        OutputFile(
            destination.parent / file.name if file.name else destination,
            file.size,
            tuple(tensor.name for tensor in file.tensors),
            sum(tensor.nbytes for tensor in file.tensors),
        )
        for file in plan.files
    ]


def plan_copy(
    kind: str,
    source: GGUFFile,
    files: Sequence[PlannedFile],
    reads: Sequence[str | os.PathLike[str]] = (),
) -> Plan:
    """A plan for files that hold what ``source`` holds; they appear all together.

    Args:
        kind: what was done, in a word.
        source: all data comes from.
        files: what is written.
        reads: what else must not be replaced, see `Plan`.
    """
    return Plan(
        "gguf",
        str(source.path),
        str(source.metadata.get("general.architecture", "")),
        kind,
        tuple(files),
        inputs=source.inputs,
        reads=(source.path, *reads),
        together=True,
    )


def lay_out(name: str, metadata: Metadata, tensors: Sequence[Tensor], *, alignment: int) -> PlannedFile:
    """Place tensors in a file. One without any is padded too, as llama.cpp's splitter does.

    Args:
        name: of the file, as `PlannedFile` has it.
        metadata: all of it.
        tensors: in order.
        alignment: of tensor data; as the metadata says.

    Raises:
        UnsupportedError: a tensor is of an unknown type, so that its size is unknown.
        FormatError: a tensor's rows are not whole blocks.
    """
    infos = [TensorInfo(tensor.name, tensor.shape, _copied_type(tensor)) for tensor in tensors]
    layout = header_bytes(metadata, infos, long_names=True)
    header = layout.header + bytes(align(len(layout.header), alignment) - len(layout.header))
    planned = tuple(
        PlannedTensor(info.name, info.shape, info.type, tensor, offset, size, info.type)
        for info, tensor, offset, size in zip(infos, tensors, layout.offsets, layout.sizes, strict=True)
    )
    return PlannedFile(name, header, planned, max(layout.total_size, len(header)))


def _copied_type(tensor: Tensor) -> GGMLType:
    if tensor.storage is None:
        raise UnsupportedError(
            "the tensor is of an unknown type, so its size is not known",
            path=tensor.path,
            tensor=tensor.name,
            found=tensor.type_name,
        )
    if tensor.nbytes is None:
        raise FormatError("its rows are not whole blocks", path=tensor.path, tensor=tensor.name)
    return tensor.storage
