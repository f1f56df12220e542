"""Cutting a model into several files, and joining them again, by the rules of llama.cpp's ``gguf-split``.

Where a file ends: before the tensor that would make it exceed the limit, counting padded tensor data and
not metadata; or after a number of tensors. The first file has all metadata; every file has ``split.no``,
``split.tensors.count`` and ``split.count``, at its end and in this order. At the usual alignment of 32 the
files are byte for byte those of llama.cpp's tool.

Two things are done differently. At other alignments that tool pads with 32 nonetheless, which makes files
nobody can read; here every file states the alignment and keeps to it. And a tensor larger than the limit
gets a file of its own, where the tool gives up.

Joining gives back the file that was split, byte for byte: without ``split.*`` keys. llama.cpp's tool leaves
them in, with a count of 0; ``keep_keys`` does the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..container.metadata import Metadata
from ..container.opening import open_gguf
from ..container.reader import GGUFFile
from ..container.shards import (
    MAX_SHARDS,
    SPLIT_KEYS,
    parse_shard_name,
    shard_groups,
    shard_metadata,
    shard_name,
)
from ..conversion.engine import execute
from ..conversion.plan import Plan
from ..conversion.run_options import Progress, RunOptions
from ..errors import FormatError, GGUFToolsError, OutputError
from ..io.input_guard import Inputs
from ..source import row_length
from ..spec import ValueType
from .outputs import OutputFile, lay_out, outputs_of, plan_copy

__all__ = ["MAX_SHARDS", "merge", "plan_merge", "plan_split", "split"]

_LAYER_NORM: Final = re.compile(r"blk\.\d+\.attn_norm\.weight")


def split(
    src: str | os.PathLike[str],
    stem: str | os.PathLike[str] | None = None,
    *,
    max_size: int | None = None,
    max_tensors: int | None = None,
    empty_first: bool = False,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[OutputFile]:
    """Cut a model into files ``STEM-00001-of-00003.gguf`` and so on.

    They get their names when all are complete, the first one last: all of them appear, or none. (With
    ``force``, files replaced before a failure are gone.)

    Args:
        src: a GGUF file; or one of a split model, which is then split anew.
        stem: the common beginning of the new files' names, with directory; default that of ``src``.
        max_size: most bytes of tensor data in a file.
        max_tensors: most tensors in a file.
        empty_first: put the metadata into a first file without tensors.
        force: replace existing files.
        resume: go on where an interrupted run stopped, see `gguf_tools.conversion.run_options`.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        What was written.

    Raises:
        FormatError: ``src`` is not well formed.
        UnsupportedError: a tensor is of an unknown type.
        OutputError: a file exists or cannot be written, or there would be more than `MAX_SHARDS`.
    """
    with open_gguf(src) as file:
        plan, target = _plan_split(file, stem, max_size, max_tensors, empty_first)
        execute(plan, target, RunOptions(force=force, resume=resume, progress=progress))
    return outputs_of(plan, target)


def plan_split(
    src: str | os.PathLike[str],
    stem: str | os.PathLike[str] | None = None,
    *,
    max_size: int | None = None,
    max_tensors: int | None = None,
    empty_first: bool = False,
) -> list[OutputFile]:
    """The files `split` would write, to the byte; see there for arguments and errors."""
    with open_gguf(src) as file:
        return outputs_of(*_plan_split(file, stem, max_size, max_tensors, empty_first))


def _plan_split(
    file: GGUFFile,
    stem: str | os.PathLike[str] | None,
    max_size: int | None,
    max_tensors: int | None,
    empty_first: bool,
) -> tuple[Plan, Path]:
    """The plan, and where the whole model would be, beside which its files go."""
    if (max_size is None) == (max_tensors is None):
        raise GGUFToolsError("say either the most bytes or the most tensors of a file")
    limit = max_tensors if max_size is None else max_size
    if limit is not None and limit < 1:
        raise GGUFToolsError("a file's limit must be positive", found=limit)
    tensors = list(file.tensors.values())
    sizes = [tensor.nbytes or 0 for tensor in tensors]
    groups: list[list[int]] = [[]] if empty_first else []
    groups += shard_groups(sizes, file.alignment, max_size=max_size, max_tensors=max_tensors)
    if len(groups) > MAX_SHARDS:
        raise OutputError(
            "too many files; allow larger ones",
            path=file.path,
            found=len(groups),
            expected=f"at most {MAX_SHARDS}",
        )
    beside = file.path if isinstance(file.path, Path) else Path(file.path.name)  # a URL's shards come here
    base = _stem_of(beside) if stem is None else Path(stem)
    files = []
    for number, group in enumerate(groups):
        metadata = shard_metadata(file.metadata, number, len(groups), len(tensors))
        name = shard_name(base.name, number + 1, len(groups))
        members = [tensors[index] for index in group]
        files.append(lay_out(name, metadata, members, alignment=file.alignment))
    return plan_copy("split", file, files), base.with_name(f"{base.name}.gguf")


def merge(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    keep_keys: bool = False,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> OutputFile:
    """Join all files of a split model into one, which appears complete or not at all.

    Args:
        src: any of the files; the others are found beside it.
        dst: the file to write.
        keep_keys: leave the ``split.*`` keys in it, with a count of 0, as llama.cpp's tool does.
        force: replace an existing file.
        resume: go on where an interrupted run stopped, see `gguf_tools.conversion.run_options`.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        What was written.

    Raises:
        FormatError: files are missing (they are named), are not well formed, or do not belong together;
            or the file is not one of several.
        UnsupportedError: a tensor is of an unknown type.
        OutputError: ``dst`` exists or cannot be written.
    """
    with open_gguf(src) as file:
        plan = _plan_merge(file, dst, keep_keys)
        execute(plan, dst, RunOptions(force=force, resume=resume, progress=progress))
    return outputs_of(plan, Path(dst))[0]


def plan_merge(
    src: str | os.PathLike[str], dst: str | os.PathLike[str], *, keep_keys: bool = False
) -> OutputFile:
    """The file `merge` would write; see there for arguments and errors."""
    with open_gguf(src) as file:
        return outputs_of(_plan_merge(file, dst, keep_keys), Path(dst))[0]


def _plan_merge(file: GGUFFile, dst: str | os.PathLike[str], keep_keys: bool) -> Plan:
    first = file.shards[0].metadata if file.shards else file.metadata
    if not file.shards and first.get("split.count") != 1:
        raise FormatError(
            "not one of the files of a split model",
            path=file.path,
            key="split.count",
            found=first.get("split.count", "no such key"),
            expected="at least 1",
        )
    _check_widths(file)
    Inputs([shard.path for shard in file.shards or (file,)]).require_apart(Path(dst))
    if keep_keys:
        metadata = _without(first, ["split.count"])
        metadata.set("split.count", 0, ValueType.UINT16)
    else:
        metadata = _without(first, SPLIT_KEYS)
    merged = lay_out("", metadata, list(file.tensors.values()), alignment=file.alignment)
    return plan_copy("merge", file, [merged])


def _check_widths(file: GGUFFile) -> None:
    """Shards of two models may agree on all numbers; if these are of different widths, say so.

    Raises:
        FormatError: a layer is not as wide as the metadata says.
    """
    width = file.metadata.get(f"{file.metadata.get('general.architecture')}.embedding_length")
    for name, tensor in file.tensors.items():
        found = row_length(tensor.shape)
        if _LAYER_NORM.fullmatch(name) and isinstance(width, int) and found != width:
            raise FormatError(
                "the shard is of another model: this tensor is not as wide as the first shard says",
                path=tensor.path,
                tensor=name,
                found=found,
                expected=width,
            )


def _stem_of(path: Path) -> Path:
    """A model's name without number and suffix."""
    parts = parse_shard_name(path.name)
    return path.with_name(parts.stem) if parts else path.with_name(path.name.removesuffix(".gguf"))


def _without(metadata: Metadata, keys: Sequence[str]) -> Metadata:
    result = metadata.copy()
    for key in keys:
        if key in result:
            del result[key]
    return result
