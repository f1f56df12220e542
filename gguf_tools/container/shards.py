"""Models split over several files, ``NAME-00001-of-00003.gguf`` and so on.

As llama.cpp's ``gguf-split`` and the ``gguf`` package write them: file names count from 1, ``split.no``
from 0; every shard has ``split.count`` (its number of shards) and ``split.tensors.count`` (tensors of
the whole model); all other metadata is in the first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import FormatError, reported
from ..io.remote import Location
from ..spec import DEFAULT_ALIGNMENT, ValueType, align
from .header import fills_file
from .layout import ALIGNMENT_KEY, alignment_of
from .metadata import Metadata
from .reader import GGUFFile, check_layout, is_split, open_one

if TYPE_CHECKING:
    from .reader import Tensor

__all__ = [
    "MAX_SHARDS",
    "SPLIT_KEYS",
    "check_member",
    "open_shard",
    "open_shards",
    "shard_groups",
    "shard_metadata",
    "shard_name",
    "shard_paths",
    "shards_beside",
]

SPLIT_KEYS: Final = ("split.no", "split.count", "split.tensors.count")

MAX_SHARDS: Final = 65_535
"""``split.count`` is a UINT16; the five digits of file names would allow a few more."""

_NAME: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ShardName:
    """A shard's file name taken apart; ``number`` counts from 1."""

    stem: str
    number: int
    count: int


def shard_name(stem: str, number: int, count: int) -> str:
    """The file name of shard ``number`` (from 1) of ``count``."""
    return f"{stem}-{number:05}-of-{count:05}.gguf"


def shard_groups(
    sizes: Sequence[int], alignment: int, *, max_size: int | None = None, max_tensors: int | None = None
) -> list[list[int]]:
    """Which tensors go into which shard, as llama.cpp's ``gguf-split`` decides it.

    A shard ends before the tensor that would make it exceed the limit, counting padded tensor data and not
    metadata. A tensor larger than the limit gets a shard of its own, where that tool gives up.

    Args:
        sizes: bytes of every tensor, in order.
        alignment: of tensor data.
        max_size: most bytes of tensor data in a shard.
        max_tensors: most tensors in a shard, where ``max_size`` is None.

    Returns:
        Numbers of tensors, shard by shard; always at least one shard.
    """
    groups: list[list[int]] = [[]]
    total = 0
    for number, size in enumerate(sizes):
        padded = align(size, alignment)
        full = len(groups[-1]) == max_tensors if max_size is None else total + padded > max_size
        if full and groups[-1]:
            groups.append([])
            total = 0
        groups[-1].append(number)
        total += padded
    return groups


def shard_metadata(model: Metadata, number: int, count: int, tensors: int) -> Metadata:
    """The metadata of shard ``number`` (from 0) of ``count``, of a model with so many tensors in all.

    The first has all of the model's; the others only say what they are, and the alignment where it is not
    the usual one.
    """
    metadata = model.copy() if number == 0 else Metadata()
    for key in SPLIT_KEYS:
        if key in metadata:
            del metadata[key]
    alignment = alignment_of(model)
    if number and alignment != DEFAULT_ALIGNMENT:
        metadata.set(ALIGNMENT_KEY, alignment, ValueType.UINT32)
    metadata.set("split.no", number, ValueType.UINT16)
    metadata.set("split.tensors.count", tensors, ValueType.INT32)
    metadata.set("split.count", count, ValueType.UINT16)
    return metadata


def parse_shard_name(name: str) -> ShardName | None:
    """The parts of a shard's file name, or None where it is not one."""
    match = _NAME.fullmatch(name)
    return ShardName(match["stem"], int(match["number"]), int(match["count"])) if match else None


def shard_paths(file: GGUFFile) -> Sequence[Path | Location]:
    """The paths of all shards of the model one of whose files is given; of a URL, neighbouring URLs.

    Raises:
        FormatError: the file is not named as a shard, its name contradicts its metadata, or shards are
            missing (the message names them).
    """
    path, count = file.path, _number(file, "split.count")
    parts = parse_shard_name(path.name)
    if parts is None:
        raise FormatError(
            f"one of {count} files of a split model, but its name does not say which",
            path=path,
            found=path.name,
            expected=shard_name("NAME", _number(file, "split.no") + 1, count),
        )
    if parts.count != count:
        raise FormatError(
            "the file's name and its metadata disagree on the number of shards",
            path=path,
            key="split.count",
            found=count,
            expected=parts.count,
        )
    names = [shard_name(parts.stem, number, count) for number in range(1, count + 1)]
    if isinstance(path, Location):
        return [path.with_name(name) for name in names]  # opening tells which are missing
    # One listing instead of a look at each: a hostile file may claim 65,535 shards.
    with reported(FormatError, "cannot list the directory", path.parent):
        present = set(os.listdir(path.parent))
    missing = [name for name in names if name not in present]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise FormatError(
            f"{len(missing)} of the model's {count} files are missing beside it: {shown}", path=path
        )
    return [path.parent / name for name in names]


def shards_beside(path: Path) -> list[Path]:
    """All files that are called shards of the same model as ``path`` is, whatever is in them."""
    parts = parse_shard_name(path.name)
    if parts is None:
        return []
    with reported(FormatError, "cannot list the directory", path.parent):
        names = os.listdir(path.parent)
    wanted = (parts.stem, parts.count)
    shards = ((name, parse_shard_name(name)) for name in names)
    return [path.parent / name for name, found in shards if found and (found.stem, found.count) == wanted]


def open_shards(file: GGUFFile, *, check: bool) -> GGUFFile:
    """The whole model of which ``file`` is one shard. All are opened anew.

    The alignment of later shards may depend on the first.

    Raises:
        FormatError: shards are missing, do not belong together, or one is not well formed.
        UnsupportedError: one is of a version this package does not read.
    """
    paths = shard_paths(file)
    with ExitStack() as undo:
        shards: list[GGUFFile] = []
        for number, path in enumerate(paths):
            shard = undo.enter_context(open_shard(path, shards[0] if shards else None))
            check_member(shard, number, len(paths), file)
            if check:
                check_layout(shard)
            shards.append(shard)
        tensors = _joined(shards)
        undo.pop_all()
    metadata = shards[0].metadata.copy()
    for key in SPLIT_KEYS:
        if key in metadata:
            del metadata[key]
    return GGUFFile(file.path, shards[0].header, metadata, tensors, file._file, tuple(shards))


def open_shard(path: Path | Location, first: GGUFFile | None) -> GGUFFile:
    """Open one shard, unchecked, with the alignment its data turns out to have.

    Only the first shard may say what the alignment is: the ``gguf`` package applies it to all of them,
    while llama.cpp's splitter uses 32 for the others. Which one makes the data end with the file tells.
    """
    shard = open_one(path)
    stated = ALIGNMENT_KEY in shard.metadata or first is None or first.alignment == DEFAULT_ALIGNMENT
    if stated or first is None or fills_file(shard.header):
        return shard
    if not fills_file(replace(shard.header, alignment=first.alignment)):
        return shard
    shard.close()
    return open_one(path, alignment=first.alignment)


def check_member(shard: GGUFFile, number: int, count: int, opened: GGUFFile) -> None:
    """Check that a file is shard ``number`` (from 0) of ``count`` and of the model that was opened."""
    if not is_split(shard):
        raise FormatError(
            f"named as a shard of {opened.path.name}'s model, but not one", path=shard.path, key="split.count"
        )
    for key, expected in (
        ("split.count", count),
        ("split.no", number),
        ("split.tensors.count", _number(opened, "split.tensors.count")),
    ):
        found = _number(shard, key)
        if found != expected:
            raise FormatError(
                "the shard does not belong here or to the same model",
                path=shard.path,
                key=key,
                found=found,
                expected=expected,
            )


def _joined(shards: list[GGUFFile]) -> dict[str, Tensor]:
    """All tensors in order of the shards."""
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        for name, tensor in shard.tensors.items():
            if name in tensors:
                raise FormatError(
                    f"the tensor is also in {tensors[name].path.name}", path=shard.path, tensor=name
                )
            tensors[name] = tensor
    expected = _number(shards[0], "split.tensors.count")
    if len(tensors) != expected:
        raise FormatError(
            "the shards do not hold as many tensors as the model has",
            path=shards[0].path,
            key="split.tensors.count",
            found=len(tensors),
            expected=expected,
        )
    return tensors


def _number(file: GGUFFile, key: str) -> int:
    return file.metadata.require(key, int)
