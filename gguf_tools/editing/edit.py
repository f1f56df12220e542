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
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ..container.array import Array
from ..container.header import fills_file
from ..container.metadata import Metadata
from ..container.reader import GGUFFile, is_split, open_one
from ..container.shards import shard_paths
from ..container.writer import alignment_of
from ..errors import GGUFToolsError, OutputError, UnsupportedError
from ..files import AtomicFile
from ..remote import require_local
from ..spec import GGUF_MAGIC, ValueType, align
from .changes import Changes, Difference, apply
from .in_place import NotAloneError, changed_range, overwrite, recover
from .outputs import Progress, check_copy, lay_out, write_outputs

__all__ = ["PADDING_KEY", "Edit", "edit", "plan_edit", "recover"]

PADDING_KEY: Final = "_padding"

_PADDING_BYTES: Final = len(Metadata([(PADDING_KEY, ValueType.ARRAY, Array(ValueType.UINT8))]).to_bytes())
"""What the key costs without a single item: 32, so that no gap at the usual alignment is too small."""

_CHUNK: Final = 1 << 24

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
    progress: Progress | None = None,
) -> Edit:
    """Change metadata of a GGUF file.

    Args:
        path: the file, or any of a split model.
        changes: what to change.
        output: write the result there and leave the file alone.
        insist: only in place, adding the key ``_padding`` if need be; an error where that cannot be.
        reserve: bytes of room for later edits to leave in a file that is written anew.
        force: replace an existing ``output``.
        progress: called with bytes done, bytes in all, and a word, where data is copied.

    Returns:
        What was done.

    Raises:
        FormatError: the file is not well formed, or a change does not fit it; see `changes.apply`.
        GGUFToolsError: a new key without a type.
        OutputError: it cannot be written.
    """
    with _opened(path) as file:
        plan = _plan(file, changes, output, insist, reserve)
        done, old, new = plan.edit, plan.old, plan.new
        if done.how == "rewritten":
            _rewrite(file, plan, force=force, progress=progress)
    if done.how != "in place":
        return done
    del file, plan  # a mapping of the file in this very process would be in the way, too
    try:
        overwrite(done.path, old, new)
        return done
    except NotAloneError as error:
        if insist:
            raise
        reason = error.message
    with _opened(path) as file:
        plan = _plan(file, changes, output, insist, reserve, why_not=reason)
        _rewrite(file, plan, force=force, progress=progress)
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
        return _plan(file, changes, output, insist, reserve).edit


def _opened(path: str | os.PathLike[str]) -> GGUFFile:
    """The file that has the metadata, unchecked: an edit may be what makes it sound."""
    require_local(path)
    file = open_one(path, decoder=None)
    if not is_split(file) or file.metadata.get("split.no") == 0:
        return file
    try:
        first = shard_paths(file)[0]
    finally:
        file.close()
    return open_one(first, decoder=None)


def _plan(
    file: GGUFFile,
    changes: Changes,
    output: str | os.PathLike[str] | None,
    insist: bool,
    reserve: int,
    why_not: str = "",
) -> _Plan:
    """Decide how an edit is done; ``why_not`` is a reason that is known already not to do it in place."""
    if insist and (output is not None or reserve):
        raise GGUFToolsError("an edit in place writes no other file and reserves no room")
    real = Path(os.path.realpath(file.path))
    identity = _identity(real)
    metadata, differences = apply(changes, file.metadata)
    start, moved = _data_start(file, metadata)
    old = bytes(file.header.wire.buffer[:start])
    fitting = None if moved else _fitted(file, metadata, start, insist)
    if moved:
        why_not = "every tensor moves"
    elif output is not None:
        why_not = "written to another file"
    elif fitting is None:
        why_not = "the metadata does not end in the same place"
    elif os.stat(real).st_nlink > 1:
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
        laid = lay_out(target, metadata, list(file.tensors.values()), alignment=alignment_of(metadata))
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
    return b"".join([GGUF_MAGIC, counts, metadata.to_bytes(), header.wire.buffer[first : header.end]])


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


def _rewrite(file: GGUFFile, plan: _Plan, *, force: bool, progress: Progress | None) -> None:
    """Write the file anew beside the target, check it, and rename it over the target."""
    done = plan.edit
    replaces = done.output == done.path
    if plan.moved:
        tensors = list(file.tensors.values())
        _check_unchanged(plan)
        laid = lay_out(done.output, plan.metadata, tensors, alignment=alignment_of(plan.metadata))
        write_outputs([laid], force=force or replaces, progress=progress, check=True)
        return
    start, stop = len(plan.old), file.file_size
    with AtomicFile(done.output, size=done.size, force=force or replaces) as out:
        out.write_at(0, plan.new)
        for first in range(start, stop, _CHUNK):
            last = min(first + _CHUNK, stop)
            file.copy_to(out, len(plan.new) + first - start, first, last)
            if progress is not None:
                progress(last - start, stop - start, "copying")
        for first in range(start, stop, _CHUNK):
            last = min(first + _CHUNK, stop)
            check_copy(out, len(plan.new) + first - start, file.read(first, last))
        _check_unchanged(plan)
        if replaces:
            _keep_permissions(done.path, out.fd)


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check_unchanged(plan: _Plan) -> None:
    """Do not undo what somebody else did to the file while it was copied.

    Raises:
        OutputError: it is another file now.
    """
    if _identity(plan.edit.path) != plan.identity:
        raise OutputError("the file was changed by somebody else meanwhile", path=plan.edit.path)


def _keep_permissions(path: Path, fd: int) -> None:
    """Give the new file mode and, where that is allowed, owner of the one it replaces."""
    status = path.stat()
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    with suppress(OSError):
        os.fchown(fd, status.st_uid, status.st_gid)
