"""GGUF → Hugging Face checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from .. import architectures, tokenizers
from ..checkpoint import plan_shards
from ..checkpoint.json_files import json_bytes
from ..checkpoint.packed.mxfp4 import BLOCKS, MXFP4_CONFIG, packed_parts
from ..container.opening import open_gguf
from ..container.reader import GGUFFile
from ..errors import ArchitectureError, UnsupportedError
from ..io.closing import closed_on_error
from ..source import Source
from ..spec import GGMLType
from .engine import execute
from .plan import Plan, PlannedFile, PlannedTensor
from .run_options import Progress, RunOptions

__all__ = ["DTYPES", "export", "plan_export"]


class _Dtype(NamedTuple):
    """Tensor type, safetensors' name for it and torch's; whether packed tensors stay packed."""

    type: GGMLType
    safetensors: str
    torch: str
    packed: bool = False


DTYPES: Final = {
    "bf16": _Dtype(GGMLType.BF16, "BF16", "bfloat16"),
    "f16": _Dtype(GGMLType.F16, "F16", "float16"),
    "f32": _Dtype(GGMLType.F32, "F32", "float32"),
    "mxfp4": _Dtype(GGMLType.BF16, "BF16", "bfloat16", packed=True),
}
"""What ``--dtype`` accepts."""


def export(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    dtype: str = "bf16",
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Turn a GGUF file into a checkpoint directory that transformers loads.

    Args:
        src: the GGUF file, or any shard of a split one.
        dst: the directory to make; it appears complete or not at all.
        dtype: ``"bf16"``, ``"f16"`` or ``"f32"``, the type of all weights; or ``"mxfp4"``: the experts of
            gpt-oss that are in MXFP4 keep their bits, in the form OpenAI publishes, and all else is bf16.
        threads: workers; default all available cores.
        force: replace an existing directory.
        resume: go on where an interrupted run stopped, see `RunOptions`.
        max_memory: bytes that work in flight may take.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out; its notes list what the GGUF file did not carry.

    Raises:
        FormatError: the file is not well formed.
        UnsupportedError: a tensor's type cannot be decoded, ``dtype`` is unknown, or nothing is in MXFP4.
        ArchitectureError: the architecture is unsupported or its tensors do not match its table.
        OutputError: the output exists or cannot be written.
    """
    with plan_export(src, dtype=dtype) as plan:
        execute(plan, dst, RunOptions(threads, force, resume, max_memory, progress))
    return plan


def plan_export(src: str | os.PathLike[str], *, dtype: str = "bf16") -> Plan:
    """Plan the export without reading any weight; see ``export`` for arguments and errors.

    The plan keeps the file open; close it.
    """
    try:
        wanted = DTYPES[dtype.lower()]
    except KeyError:
        raise UnsupportedError("unknown dtype", found=dtype, expected=", ".join(DTYPES)) from None
    with closed_on_error(open_gguf(src)) as file:
        return _plan(os.fspath(src), file, dtype, wanted)


def _plan(source: str, file: GGUFFile, dtype: str, wanted: _Dtype) -> Plan:
    architecture = architectures.of_file(file.metadata, file.tensors)
    side = architecture.to_hf(file.metadata, file.tensors, dtype=wanted.torch, packed=wanted.packed)
    if wanted.packed and not side.packed:
        raise UnsupportedError(
            f"nothing of this {architecture.name} model has a packed form to be written in",
            path=file.path,
            found=f"--dtype {dtype}",
            expected="the experts of gpt-oss in MXFP4; or another dtype",
        )
    tensors = _stored(side.tensors, wanted)
    shards = plan_shards((name, stored, tuple(source.shape)) for name, (source, _, stored) in tensors.items())
    files = tuple(
        PlannedFile(
            shard.name,
            shard.layout.header,
            tuple(
                PlannedTensor(entry.name, entry.shape, type_, source, offset, size, type_)
                for entry, (source, type_, _), offset, size in zip(
                    shard.entries,
                    (tensors[entry.name] for entry in shard.entries),
                    shard.layout.offsets,
                    shard.layout.sizes,
                    strict=True,
                )
            ),
            shard.layout.total_size,
        )
        for shard in shards.shards
    )
    named = {"config.json": {**side.config, **(MXFP4_CONFIG if side.packed else {})}, **side.files}
    return Plan(
        kind="checkpoint",
        source=source,
        architecture=architecture.name,
        recipe="MXFP4" if side.packed else wanted.safetensors,
        files=files,
        sidecars={
            **{
                name: json_bytes(contents, name, ArchitectureError, indent=2)
                for name, contents in named.items()
            },
            **tokenizers.export(file.metadata),
            **shards.sidecars,
        },
        notes=(*side.notes, *([] if wanted.packed else _packed_notes(architecture, file.tensors.values()))),
        inputs=file.inputs,
        reads=(source,),
    )


def _packed_notes(architecture: architectures.Architecture, sources: Iterable[Source]) -> list[str]:
    """That blocks could have been kept."""
    packed = {rule.stored for rule in architecture.tensors} - {None}
    if any(source.storage in packed for source in sources):
        return ["its experts are in MXFP4 and were unpacked; --dtype mxfp4 keeps their bits"]
    return []


def _stored(tensors: Iterable[tuple[str, Source]], wanted: _Dtype) -> dict[str, tuple[Source, GGMLType, str]]:
    """By name: rows, the type they are written in, and what safetensors calls it."""
    found: dict[str, tuple[Source, GGMLType, str]] = {}
    for name, source in tensors:
        if wanted.packed and name.endswith(BLOCKS):
            # bytes; ggml has no unsigned ones, and copying does not ask
            found |= {part: (rows, GGMLType.I8, "U8") for part, rows in packed_parts(name, source)}
        else:
            found[name] = source, wanted.type, wanted.safetensors
    return found
