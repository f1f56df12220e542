"""Anything that can be looked into, described in one form: GGUF files, safetensors files, checkpoints.

>>> found = inspect("model.gguf")                                              # doctest: +SKIP
>>> found.summary.model.architecture, found.summary.bits_per_weight            # doctest: +SKIP
>>> [tensor.name for tensor in found.tensors if tensor.layer == 0]             # doctest: +SKIP

Only headers and small text files are read, and nothing is decoded. `open_inspected` keeps the files open, for
whoever wants to look at the values too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..container.opening import open_gguf
from ..io.closing import closed_on_error
from ..io.remote import locate
from .inspect import Inspected, Inspection, TensorDescription
from .summary import summarize
from .tensor_names import place_of

if TYPE_CHECKING:
    from ..container.reader import GGUFFile

__all__ = ["describe", "inspect", "open_inspected"]


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
        from .checkpoints import open_described  # imports numpy, which GGUF files do without

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
