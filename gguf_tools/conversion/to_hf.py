"""GGUF → Hugging Face checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from .. import architectures, tokenizers
from ..checkpoint import plan_shards
from ..errors import UnsupportedError
from ..spec import GGMLType
from .engine import Progress, execute
from .opening import open_decoding
from .plan import Plan, PlannedFile, PlannedTensor

__all__ = ["DTYPES", "export", "plan_export"]

DTYPES: Final = {
    "bf16": (GGMLType.BF16, "BF16", "bfloat16"),
    "f16": (GGMLType.F16, "F16", "float16"),
    "f32": (GGMLType.F32, "F32", "float32"),
}
"""What ``--dtype`` accepts: the tensor type, safetensors' name for it and torch's."""


def export(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    dtype: str = "bf16",
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Turn a GGUF file into a checkpoint directory that transformers loads.

    Args:
        src: the GGUF file, or any shard of a split one.
        dst: the directory to make; it appears complete or not at all.
        dtype: ``"bf16"``, ``"f16"`` or ``"f32"``, the type of all weights.
        threads: workers; default all available cores.
        force: replace an existing directory.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out; its notes list what the GGUF file did not carry.

    Raises:
        FormatError: the file is not well formed.
        UnsupportedError: a tensor's type cannot be decoded, or ``dtype`` is unknown.
        ArchitectureError: the architecture is unsupported or its tensors do not match its table.
        OutputError: the output exists or cannot be written.
    """
    plan = plan_export(src, dtype=dtype)
    execute(plan, dst, threads=threads, force=force, progress=progress)
    return plan


def plan_export(src: str | os.PathLike[str], *, dtype: str = "bf16") -> Plan:
    """Plan the export without reading any weight; see ``export`` for arguments and errors."""
    try:
        type_, safetensors_dtype, torch_dtype = DTYPES[dtype.lower()]
    except KeyError:
        raise UnsupportedError("unknown dtype", found=dtype, expected=", ".join(DTYPES)) from None
    file = open_decoding(src)
    architecture = architectures.of_file(file.metadata, file.tensors)
    side = architecture.to_hf(file.metadata, file.tensors, dtype=torch_dtype)
    shards = plan_shards((name, safetensors_dtype, tuple(source.shape)) for name, source in side.tensors)
    sources = dict(side.tensors)
    files = tuple(
        PlannedFile(
            shard.name,
            shard.layout.header,
            tuple(
                PlannedTensor(entry.name, entry.shape, type_, sources[entry.name], offset, size, type_)
                for entry, offset, size in zip(
                    shard.entries, shard.layout.offsets, shard.layout.sizes, strict=True
                )
            ),
            shard.layout.total_size,
        )
        for shard in shards.shards
    )
    return Plan(
        kind="checkpoint",
        source=os.fspath(src),
        architecture=architecture.name,
        recipe=safetensors_dtype,
        files=files,
        sidecars={
            "config.json": _json(side.config),
            **{name: _json(contents) for name, contents in side.files.items()},
            **tokenizers.export(file.metadata),
            **shards.sidecars,
        },
        notes=tuple(side.notes),
    )


def _json(contents: Mapping[str, Any]) -> bytes:
    return (json.dumps(contents, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
