"""Overwriting part of a file so that everybody sees the old bytes or the new ones, never a mix.

*Other processes.* The kernel grants a write lease (``F_SETLEASE``, Linux) only where nobody else has the
file open or mapped, whatever program it is; and while the lease is held, whoever opens the file waits. So
no reader exists while the bytes change. Where no lease is to be had (the file is in use, belongs to
somebody else, lies on a network share; or this is no Linux), nothing is overwritten: `NotAloneError`.

*Crashes.* Bytes inside one sector of 512 are one write that a disk carries out whole or not at all, and
that no signal can interrupt. More bytes than that could be left half written by a power failure or a
SIGKILL at the wrong moment; so the old ones are first put into a journal beside the file, on disk and under
its final name, which is removed when the new ones are on disk. A journal found later means that an edit was
interrupted: this package refuses such a file until `recover` has put the old bytes back. Other programs
do not know the journal; until then they may see a damaged header, which is the price of not copying.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from ..container.journal import MAGIC, MAX_OLD_BYTES, exists, journal_path, read_journal
from ..errors import FormatError, OutputError, reported
from ..io.atomic_files import AtomicFile
from ..io.input_guard import NO_INPUTS
from ..io.positional_io import read_at, write_at
from ..system import has_leases, lease, open_file, sync, sync_directory

__all__ = ["SECTOR", "NotAloneError", "changed_range", "overwrite", "recover"]

SECTOR: Final = 512
"""Bytes a disk writes whole or not at all. Most have sectors of 4096 today; none has smaller ones."""


class NotAloneError(OutputError):
    """Not in place: the file is open elsewhere, or it cannot be known whether it is, or too much changes."""


def overwrite(path: str | os.PathLike[str], old: bytes, new: bytes) -> None:
    """Replace ``old`` at the start of a file by ``new``, of the same length.

    Raises:
        NotAloneError: no lease; the file is untouched.
        OutputError: the file does not begin with ``old`` any more, or cannot be written.
    """
    start, stop = changed_range(old, new)
    if start == stop:
        return
    if stop - start > MAX_OLD_BYTES:
        raise NotAloneError(f"more than {MAX_OLD_BYTES} bytes differ, which no journal holds", path=path)
    real = Path(os.path.realpath(path))
    with _leased(real) as fd:
        if _read(fd, len(old), real) != old:
            raise OutputError("the file was changed by somebody else meanwhile", path=path)
        in_one_sector = start // SECTOR == (stop - 1) // SECTOR
        try:
            if not in_one_sector:
                _write_journal(fd, real, start, old[start:stop])
            _write(fd, start, new[start:stop], real)
            if not in_one_sector:
                _remove_journal(real)
        except BaseException:
            # Also where the journal alone stays: an edit that failed has changed nothing. Should this fail
            # as well, the journal is still there, and tells whoever opens the file.
            _write(fd, start, old[start:stop], real)
            if not in_one_sector:
                _remove_journal(real)
            raise


def recover(path: str | os.PathLike[str]) -> bool:
    """Undo an interrupted edit of a file: put the old bytes back.

    Returns:
        Whether there was one.

    Raises:
        FormatError: the journal is damaged or of another file.
        OutputError: the file is open elsewhere or cannot be written.
    """
    real = Path(os.path.realpath(path))
    journal = journal_path(real)
    if not exists(journal):
        return False
    offset, old = _read_journal(journal, real)
    with _leased(real) as fd:
        _write(fd, offset, old, real)
        _remove_journal(real)
    return True


def changed_range(old: bytes, new: bytes) -> tuple[int, int]:
    """The smallest range outside of which both are equal."""
    assert len(old) == len(new)
    if old == new:
        return 0, 0
    size = len(old)
    low, high = 0, size  # the first difference lies in old[low:high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if old[low:middle] != new[low:middle] else (middle, high)
    start = low
    low, high = start, size  # the last one lies in old[low:high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if old[middle:high] != new[middle:high] else (low, middle)
    return start, low + 1


@contextmanager
def _leased(path: Path) -> Iterator[int]:
    """The file, open for writing by nobody else, and unopenable for others until the block ends."""
    if not has_leases():
        raise NotAloneError("this system cannot tell whether the file is open elsewhere", path=path)
    try:
        fd = open_file(path, os.O_RDWR)
    except OSError as error:
        raise OutputError(f"cannot open the file for writing: {error.strerror}", path=path) from error
    try:
        _sync(fd, path)  # beforehand, so that nobody waits for gigabytes of somebody's unwritten data
        with ExitStack() as stack:
            try:
                stack.enter_context(lease(fd))
            except OSError as error:
                raise NotAloneError(
                    f"the file is open elsewhere, or cannot be locked: {error.strerror}", path=path
                ) from error
            yield fd
    finally:
        os.close(fd)


def _read(fd: int, count: int, path: Path) -> bytearray:
    with reported(OutputError, "cannot read", path):
        data = read_at(fd, count, 0)
    return data


def _write(fd: int, offset: int, data: bytes, path: Path) -> None:
    """Write bytes and make them durable."""
    try:
        write_at(fd, data, offset)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=path, offset=offset) from error
    _sync(fd, path)


def _sync(fd: int, path: Path) -> None:
    with reported(OutputError, "cannot write", path):
        sync(fd)


def _write_journal(fd: int, path: Path, offset: int, old: bytes) -> None:
    """A line of JSON, then the old bytes."""
    with reported(OutputError, "cannot look at the file", path):
        status = os.fstat(fd)
    facts = {
        "magic": MAGIC,
        "offset": offset,
        "bytes": len(old),
        "sha256": hashlib.sha256(old).hexdigest(),
        "size": status.st_size,
        "inode": status.st_ino,
    }
    # One that is there already is of a file that has been replaced since: opening this one told.
    with AtomicFile(journal_path(path), force=True, like=path, inputs=NO_INPUTS) as out:
        head = (json.dumps(facts) + "\n").encode()
        out.write_at(0, head)
        out.write_at(len(head), old)


def _read_journal(journal: Path, path: Path) -> tuple[int, bytes]:
    """Offset and old bytes, checked to be whole and of this very file."""
    found = read_journal(path)
    if found is None:
        raise FormatError(
            "what lies under the name of an edit's journal ends inside the data, is damaged, or was not put "
            "there by this program; nothing is restored from it",
            path=journal,
        )
    head, old = found
    if len(old) < head.bytes:
        raise FormatError(
            "the journal of the interrupted edit is damaged: it ends inside the data",
            path=journal,
            found=f"{len(old)} old bytes",
            expected=f"{head.bytes}",
        )
    if hashlib.sha256(old).hexdigest() != head.sha256:
        raise FormatError("the journal of the interrupted edit is damaged", path=journal)
    with reported(OutputError, "cannot look at the file", path):
        status = path.stat()
    if (status.st_ino, status.st_size) != (head.inode, head.size):
        raise FormatError(
            "the journal is not of this file, which has been replaced since; remove the journal", path=journal
        )
    return head.offset, old


def _remove_journal(path: Path) -> None:
    journal = journal_path(path)
    with reported(OutputError, "cannot remove the journal of the edit", journal):
        journal.unlink(missing_ok=True)
    sync_directory(path.parent)
