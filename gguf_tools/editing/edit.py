"""Changing metadata of a GGUF file without touching a tensor.

Tensor data starts at the header's end, rounded up to the alignment. A header that ends up in the same place
after the change is overwritten where it is; see `in_place` for when and how. Otherwise the file is written
anew beside the old one, its data copied, compared, and renamed over it: whoever has the old file open keeps
reading the old one.

A header that became shorter can be made to end in the same place by the key ``_padding``, an array of
zeros that means nothing; one that is there already is lengthened and shortened as need be. ``insist`` adds
it, and ``reserve`` puts one into a file that is written anew, so that later edits need not be.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ..container.array import Array
from ..container.header import fills_file
from ..container.layout import alignment_of
from ..container.metadata import Metadata
from ..container.reader import GGUFFile, is_split, open_one
from ..container.shards import shard_paths, shards_beside
from ..conversion.run_options import Progress, RunOptions
from ..errors import GGUFToolsError, OutputError, UnsupportedError, reported
from ..io.remote import require_local
from ..source import SelfContained
from ..spec import GGUF_MAGIC, GGMLType, ValueType, align
from .changes import Changes, Difference, apply
from .in_place import NotAloneError, changed_range, overwrite, recover

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..conversion.plan import PlannedFile
    from ..io.atomic_files import AtomicFile

__all__ = ["PADDING_KEY", "Edit", "edit", "plan_edit", "recover"]

PADDING_KEY: Final = "_padding"

_PADDING_BYTES: Final = len(Metadata([(PADDING_KEY, ValueType.ARRAY, Array(ValueType.UINT8))]).to_bytes())
"""What the key costs without a single item: 32, so that no gap at the usual alignment is too small."""

_ROW: Final = 1 << 16
"""Bytes of a row, where the data of a file is copied as one tensor of bytes."""

How = Literal["nothing", "in place", "rewritten"]


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit, planned or done.

    Attributes:
        path: the file that is changed: of a split model, the first, which has the metadata.
        output: where the result goes; ``path`` itself, or another file.
        differences: keys before and after.
        how: "nothing" where nothing changes, "in place" or "rewritten".
        reason: why it is not in place; empty where it is.
        size: of the result, in bytes.
        written: bytes that are written.
    """

    path: Path
    output: Path
    differences: list[Difference]
    how: How
    reason: str
    size: int
    written: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "path": str(self.path),
            "output": str(self.output),
            "differences": [difference.to_dict() for difference in self.differences],
            "how": self.how,
            "reason": self.reason,
            "size": self.size,
            "bytes_written": self.written,
        }


@dataclass(frozen=True, slots=True)
class _Options:
    """Where an edit goes, and how; see `edit`."""

    output: str | os.PathLike[str] | None = None
    insist: bool = False
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """An edit with what is needed to carry it out.

    ``old`` and ``new`` are all bytes before the tensor data, ``moved`` whether tensors get other offsets,
    ``identity`` what tells the file from one that somebody else puts in its place meanwhile.
    """

    edit: Edit
    metadata: Metadata
    old: bytes
    new: bytes
    moved: bool
    identity: tuple[int, int, int]


def edit(
    path: str | os.PathLike[str],
    changes: Changes,
    *,
    output: str | os.PathLike[str] | None = None,
    insist: bool = False,
    reserve: int = 0,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Edit:
    """Change metadata of a GGUF file.

    Args:
        path: the file, or any of a split model.
        changes: what to change.
        output: write the result there and leave the file alone.
        insist: only in place, adding the key ``_padding`` if need be; an error where that cannot be.
        reserve: bytes of room for later edits to leave in a file that is written anew.
        force: replace an existing ``output``; never the file itself, nor another one of a split model.
        resume: go on with a file that an interrupted run has half written anew, see
            `gguf_tools.conversion.run_options`.
        progress: called with bytes done, bytes in all, and a word, where data is copied.

    Returns:
        What was done.

    Raises:
        FormatError: the file is not well formed, or a change does not fit it; see `changes.apply`.
        GGUFToolsError: a new key without a type.
        OutputError: it cannot be written.
    """
    options = _Options(output, insist, reserve)
    run = RunOptions(force=force or output is None, resume=resume, progress=progress)
    with _opened(path) as file:
        plan = _plan(file, changes, options)
        done, old, new = plan.edit, plan.old, plan.new
        if done.how == "rewritten":
            _rewrite(file, plan, changes, options, run)
    if done.how == "nothing" and resume:
        from ..conversion.output import tidy

        tidy(done.output)
    if done.how != "in place":
        return done
    try:
        overwrite(done.path, old, new)
        return done
    except NotAloneError as error:
        if insist:
            raise
        reason = error.message
    with _opened(path) as file:
        plan = _plan(file, changes, options, why_not=reason)
        _rewrite(file, plan, changes, options, run)
    return plan.edit


def plan_edit(
    path: str | os.PathLike[str],
    changes: Changes,
    *,
    output: str | os.PathLike[str] | None = None,
    insist: bool = False,
    reserve: int = 0,
) -> Edit:
    """What `edit` would do; see there. It is taken for granted that the file is not open elsewhere."""
    with _opened(path) as file:
        return _plan(file, changes, _Options(output, insist, reserve)).edit


def _opened(path: str | os.PathLike[str]) -> GGUFFile:
    """The file that has the metadata, unchecked: an edit may be what makes it sound."""
    require_local(path)
    file = open_one(path)
    if not is_split(file) or file.metadata.get("split.no") == 0:
        return file
    try:
        first = shard_paths(file)[0]
    finally:
        file.close()
    return open_one(first)


def _plan(file: GGUFFile, changes: Changes, options: _Options, why_not: str = "") -> _Plan:
    """Decide how an edit is done; ``why_not`` is a reason that is known already not to do it in place."""
    output, insist, reserve = options.output, options.insist, options.reserve
    if insist and (output is not None or reserve):
        raise GGUFToolsError("an edit in place writes no other file and reserves no room")
    real = Path(os.path.realpath(file.path))
    identity = _identity(real)
    with reported(OutputError, "cannot look at the file", real):
        names = os.stat(real).st_nlink
    metadata, differences = apply(changes, file.metadata)
    start, moved = _data_start(file, metadata)
    old = file.inputs[0].read_bytes(0, start)
    fitting = None if moved else _fitted(file, metadata, start, insist)
    if moved:
        why_not = "every tensor moves"
    elif output is not None:
        why_not = "written to another file"
    elif fitting is None:
        why_not = "the metadata does not end in the same place"
    elif names > 1:
        why_not = "the file has several names (hard links), and only one is meant"
    target = real if output is None else Path(output)
    if output is None and not differences:
        nothing = Edit(real, target, [], "nothing", "", file.file_size, 0)
        return _Plan(nothing, metadata, old, old, False, identity)
    if fitting is not None and not why_not:
        new = _header(file, fitting)
        new += bytes(start - len(new))
        low, high = changed_range(old, new)
        done = Edit(real, target, differences, "in place", "", file.file_size, high - low)
        return _Plan(done, fitting, old, new, False, identity)
    if insist:
        raise OutputError(f"cannot be edited in place: {why_not}", path=file.path)
    if reserve:
        metadata.set(PADDING_KEY, _zeros(reserve), ValueType.ARRAY)
    if moved:
        from .outputs import lay_out

        laid = lay_out("", metadata, list(file.tensors.values()), alignment=alignment_of(metadata))
        new, size = laid.header, laid.size
    else:
        new = _header(file, metadata)
        new += bytes(align(len(new), _step(file, metadata, start)) - len(new))
        size = len(new) + file.file_size - start
    done = Edit(real, target, differences, "rewritten", why_not, size, size)
    return _Plan(done, metadata, old, new, moved, identity)


def _data_start(file: GGUFFile, metadata: Metadata) -> tuple[int, bool]:
    """Where the data starts in the file as it is, and whether the edit moves tensors against each other.

    They move where the alignment changes; unless the data is laid out for the new one already, which
    happens to files whose ``general.alignment`` is wrong. Files of version 1 and of big endian are written
    as version 3.

    Raises:
        UnsupportedError: tensors of one shard would move.
    """
    header, alignment = file.header, alignment_of(metadata)
    moved = header.wire.order == "big" or header.wire.width == 4
    if alignment != header.alignment:
        corrected = replace(header, alignment=alignment)
        if fills_file(corrected) and not fills_file(header):
            header = corrected
        else:
            moved = True
    if moved and is_split(file):
        raise UnsupportedError("this moves tensors; merge the model first", path=file.path)
    tail = header.entries and header.data_offset <= file.file_size
    return (header.data_offset if tail else header.end), moved


def _step(file: GGUFFile, metadata: Metadata, start: int) -> int:
    """What the end of the header is rounded up to: nothing where no data follows."""
    return 1 if start == file.header.end and start == file.file_size else alignment_of(metadata)


def _header(file: GGUFFile, metadata: Metadata) -> bytes:
    """The header with other metadata; the tensors' entries stay as they are, to the byte."""
    header = file.header
    first = header.entries[0].place if header.entries else header.end
    counts = struct.pack("<IQQ", header.version, len(header.entries), len(metadata))
    return b"".join([GGUF_MAGIC, counts, metadata.to_bytes(), header.wire.piece(first, header.end)])


def _fitted(file: GGUFFile, metadata: Metadata, start: int, insist: bool) -> Metadata | None:
    """The metadata, perhaps with other padding, where the header then ends in the same place; else None."""
    step = _step(file, metadata, start)
    room = start - len(_header(file, metadata))
    if 0 <= room < step:
        return metadata
    if PADDING_KEY not in metadata and not insist:
        return None
    bare = metadata.copy()
    if PADDING_KEY in bare:
        del bare[PADDING_KEY]
    room = start - len(_header(file, bare))
    if 0 <= room < step:
        return bare
    if room < _PADDING_BYTES:
        return None
    metadata = metadata.copy()
    metadata.set(PADDING_KEY, _zeros(room - _PADDING_BYTES), ValueType.ARRAY)
    return metadata


def _zeros(count: int) -> Array:
    return Array(ValueType.UINT8, np.zeros(count, np.uint8))


def _rewrite(file: GGUFFile, plan: _Plan, changes: Changes, options: _Options, run: RunOptions) -> None:
    """Write the file anew beside the target, check it, and rename it over the target."""
    from ..conversion.engine import execute  # not needed in place, where its import would take longest
    from .outputs import lay_out, plan_copy

    done = plan.edit
    if plan.moved:
        tensors = list(file.tensors.values())
        planned = lay_out("", plan.metadata, tensors, alignment=alignment_of(plan.metadata))
    else:
        planned = _with_header(file, plan)

    def finishing() -> None:
        _check_unchanged(plan)
        if options.output is None:
            file.close()  # all is copied, and Windows replaces no open file

    execute(
        plan_copy("edit", file, [planned], [*changes.files, *shards_beside(Path(file.path))]),
        done.output,
        run,
        check=True,
        replaced=done.path if options.output is None else None,
        finishing=finishing,
    )


def _with_header(file: GGUFFile, plan: _Plan) -> PlannedFile:
    """The file with another header; all that follows the old one counts as tensors of bytes."""
    from ..conversion.plan import PlannedFile, PlannedTensor

    header, start = plan.new, len(plan.old)
    count, rest = divmod(file.file_size - start, _ROW)
    whole = _Stretch(file, start, (count, _ROW))
    tail = _Stretch(file, start + count * _ROW, (1, rest))
    tensors = []
    offset = len(header)
    for part in (whole, tail):
        size = part.shape[0] * part.shape[1]
        tensors.append(PlannedTensor("data", part.shape, GGMLType.I8, part, offset, size, GGMLType.I8))
        offset += size
    return PlannedFile("", header, tuple(tensors), offset)


@dataclass(frozen=True, slots=True)
class _Stretch(SelfContained):
    """Bytes of a file from ``start`` on, in rows: a `gguf_tools.source.Source`."""

    file: GGUFFile
    start: int
    shape: tuple[int, int]

    @property
    def storage(self) -> GGMLType:
        return GGMLType.I8

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        length = self.shape[1]
        data = self.file.read(self.start + start * length, self.start + stop * length)
        return data.reshape(stop - start, length)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.raw(start, stop).view(np.int8).astype(np.float32)

    def copy_to(self, output: AtomicFile, offset: int, start: int, stop: int) -> None:
        self.file.copy_to(output, offset, self.start + start, self.start + stop)


def _identity(path: Path) -> tuple[int, int, int]:
    with reported(OutputError, "cannot look at the file", path):
        status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check_unchanged(plan: _Plan) -> None:
    """Do not undo what somebody else did to the file while it was copied.

    Raises:
        OutputError: it is another file now.
    """
    if _identity(plan.edit.path) != plan.identity:
        raise OutputError("the file was changed by somebody else meanwhile", path=plan.edit.path)
