"""A plan for one GGUF file turned into one for the shards of it, as if the file had been cut afterwards."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..container.layout import alignment_of
from ..container.shards import MAX_SHARDS, shard_groups, shard_metadata, shard_name
from ..container.writer import TensorInfo, header_bytes
from ..errors import OutputError
from .plan import Plan, PlannedFile

__all__ = ["split_plan"]


def split_plan(plan: Plan, destination: str | os.PathLike[str], max_size: int | None) -> Plan:
    """Spread a plan's tensors over shards ``NAME-00001-of-00003.gguf`` beside ``destination``.

    The bytes are those that `gguf_tools.split` makes of the one file.

    Args:
        plan: of one GGUF file.
        destination: where that would be; its name without ``.gguf`` begins those of the shards.
        max_size: most bytes of tensor data in a shard; None leaves it the one file.

    Raises:
        OutputError: there would be more shards than names for them.
    """
    if max_size is None:
        return plan
    assert plan.metadata is not None  # it is a GGUF file's
    (file,) = plan.files
    sizes = [tensor.nbytes for tensor in file.tensors]
    groups = shard_groups(sizes, alignment_of(plan.metadata), max_size=max_size)
    if len(groups) > MAX_SHARDS:
        raise OutputError(
            "too many files; allow larger ones",
            path=destination,
            found=len(groups),
            expected=f"at most {MAX_SHARDS}",
        )
    stem = Path(destination).name.removesuffix(".gguf")
    shards = []
    for number, group in enumerate(groups):
        tensors = [file.tensors[index] for index in group]
        layout = header_bytes(
            shard_metadata(plan.metadata, number, len(groups), len(sizes)),
            [TensorInfo(tensor.name, tensor.shape, tensor.type) for tensor in tensors],
        )
        placed = tuple(
            replace(tensor, offset=offset) for tensor, offset in zip(tensors, layout.offsets, strict=True)
        )
        name = shard_name(stem, number + 1, len(groups))
        shards.append(PlannedFile(name, layout.header, placed, layout.total_size))
    return replace(plan, files=tuple(shards))
