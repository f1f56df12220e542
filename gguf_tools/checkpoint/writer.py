"""Laying out safetensors files to be written: headers with every offset known before any data exists.

The layout is that of the safetensors package: 8 bytes of header length, JSON padded with spaces to a
multiple of 8, data without gaps. Wider elements come first, so that every tensor starts at a multiple of
its element's size; tensors of equal width keep the order they were given in. Models above `MAX_SHARD_BYTES`
are split as transformers splits them: in order, each file filled until the next tensor would exceed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple

from ..errors import CheckpointError
from .directory import INDEX_NAME, SINGLE_NAME
from .dtypes import Dtype, dtype_named

__all__ = [
    "MAX_SHARD_BYTES",
    "SafetensorsLayout",
    "Shard",
    "ShardPlan",
    "StoredEntry",
    "plan_shards",
    "safetensors_header",
]

MAX_SHARD_BYTES: Final = 5_000_000_000
"""transformers' default since 2022."""

PYTORCH_METADATA: Final[Mapping[str, str]] = {"format": "pt"}
"""What transformers insists on finding in a file of a PyTorch model."""


class StoredEntry(NamedTuple):
    """A tensor to be written: ``dtype`` as safetensors spells it, ``shape`` slowest dimension first."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SafetensorsLayout:
    """Where everything of a file goes; offsets and sizes in bytes, in the order of the entries.

    Attributes:
        header: all bytes before the first tensor's.
        offsets: each tensor's offset from the start of the file.
        sizes: each tensor's bytes.
        total_size: of the file.
    """

    header: bytes
    offsets: list[int]
    sizes: list[int]
    total_size: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a checkpoint: its name, what is in it, and where."""

    name: str
    entries: tuple[StoredEntry, ...]
    layout: SafetensorsLayout


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """All files of a checkpoint's weights.

    Attributes:
        shards: at least one; their entries, one after the other, are those given, in order.
        index: contents of ``model.safetensors.index.json``, or None where there is a single file.
    """

    shards: tuple[Shard, ...]
    index: bytes | None

    @property
    def sidecars(self) -> dict[str, bytes]:
        """The index by its file name, where there is one."""
        return {} if self.index is None else {INDEX_NAME: self.index}


def safetensors_header(
    entries: Iterable[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str] = PYTORCH_METADATA
) -> SafetensorsLayout:
    """The header of a safetensors file, and the place of every tensor in it.

    Args:
        entries: ``(name, dtype, shape)`` each, such as ``("model.norm.weight", "BF16", (2048,))``.
        metadata: text for ``__metadata__``; empty leaves it out.

    Raises:
        CheckpointError: a name occurs twice, is reserved or not UTF-8, or a dtype is unknown or not of whole
            bytes.
    """
    given = [(name, _dtype(name, dtype), tuple(shape)) for name, dtype, shape in entries]
    described: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    sizes = [dtype.bits // 8 * prod(shape) for _, dtype, shape in given]
    places = [0] * len(given)
    position = 0
    for i in sorted(range(len(given)), key=lambda i: -given[i][1].bits):
        name, dtype, shape = given[i]
        _require_text(name)
        if name in described or name == "__metadata__":
            raise CheckpointError("the name occurs twice, or is reserved", tensor=name)
        places[i] = position
        position += sizes[i]
        described[name] = {"dtype": dtype.name, "shape": list(shape), "data_offsets": [places[i], position]}
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    begin = 8 + len(text)
    return SafetensorsLayout(
        len(text).to_bytes(8, "little") + text, [begin + place for place in places], sizes, begin + position
    )


def plan_shards(
    entries: Iterable[tuple[str, str, Sequence[int]]],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    metadata: Mapping[str, str] = PYTORCH_METADATA,
) -> ShardPlan:
    """Divide tensors over files: ``model.safetensors``, or ``model-00001-of-0000N.safetensors`` and an index.

    Args:
        entries: as for `safetensors_header`.
        max_shard_bytes: of tensor data in one file; a larger tensor gets a file of its own.
        metadata: of each file.

    Raises:
        CheckpointError: as `safetensors_header`, across all files.
    """
    groups: list[list[StoredEntry]] = [[]]
    filled = total = 0
    weight_map: dict[str, int] = {}
    for name, dtype, shape in entries:
        entry = StoredEntry(name, dtype, tuple(shape))
        size = _dtype(name, dtype).bits // 8 * prod(entry.shape)
        if groups[-1] and filled + size > max_shard_bytes:
            groups.append([])
            filled = 0
        if name in weight_map:
            raise CheckpointError("the name occurs twice, or is reserved", tensor=name)
        weight_map[name] = len(groups) - 1
        groups[-1].append(entry)
        filled += size
        total += size
    count = len(groups)
    names = [SINGLE_NAME]
    if count > 1:
        names = [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    shards = tuple(
        Shard(name, tuple(group), safetensors_header(group, metadata))
        for name, group in zip(names, groups, strict=True)
    )
    if count == 1:
        return ShardPlan(shards, None)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {name: names[shard] for name, shard in sorted(weight_map.items())},
    }
    return ShardPlan(shards, (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def _require_text(name: str) -> None:
    """Names of GGUF files may be any bytes, those of safetensors are JSON.

    Raises:
        CheckpointError: the name is not UTF-8.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CheckpointError(
            "the name is not UTF-8, which safetensors cannot express; leave the tensor out, or write it to a "
            ".npy file of its own",
            tensor=name,
        ) from error


def _dtype(tensor: str, name: str) -> Dtype:
    dtype = dtype_named(name)
    if dtype is None or dtype.bits % 8:
        raise CheckpointError("cannot write this dtype", tensor=tensor, found=name)
    return dtype
