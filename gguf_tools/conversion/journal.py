"""What of a job is done already, kept beside its output so that an interrupted run can be continued.

The journal of ``model.gguf`` is ``.model.gguf.journal``: a line with the fingerprint of the plan, then a
record for every run of rows that is safely in the output, 28 bytes, little endian:

    u32 file │ u32 tensor │ u64 first row │ u64 row after the last │ u32 CRC-32 of the 24 bytes before

A record is written only after the rows it speaks of have been synced: what a journal says holds even after
a loss of power. A tail that was cut or garbled is ignored.

The open journal is also the lock on the output: whoever holds it is the only one writing there.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import OutputError, reported
from ..io.positional_io import append, read_at
from ..io.temp_names import hidden_sibling, open_own
from ..system import close_and_remove, lock, open_file, sync

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Journal", "Run"]

Run = tuple[int, int]
"""Rows from the first to before the second."""

SYNC_SECONDS: Final = 5.0
"""Between two records at least: as much work as a killed run may lose. Syncing more often would keep workers
waiting for the disk."""

_HEAD: Final = "gguf-tools journal 1 {}\n"
_RECORD: Final = struct.Struct("<IIQQ")
_CHECK: Final = struct.Struct("<I")
_MOST_BYTES: Final = 1 << 28
"""Of a journal that is read: a job of 10 TB makes a hundredth of that."""

_FLAGS: Final = os.O_RDWR | os.O_APPEND


class Journal:
    """The journal of one output, locked. A context manager.

    Args:
        target: the output it belongs to.
        fingerprint: of the plan, see `Plan.fingerprint`.
        resume: continue what an earlier run of the same plan has left.
        force: start afresh even where there is something to continue.

    Attributes:
        resumed: whether there is something to continue.

    Raises:
        OutputError: somebody else is writing this output; there is something to continue and neither
            ``resume`` nor ``force``; or, with ``resume``, what is there is of another plan.
    """

    def __init__(self, target: Path, fingerprint: str, *, resume: bool, force: bool) -> None:
        self.target = target
        self.path = hidden_sibling(target, ".journal")
        self.resumed = False
        self._head = _HEAD.format(fingerprint).encode()
        self._resume, self._force = resume, force
        self._fd = -1
        self._done: dict[tuple[int, int], list[Run]] = {}
        self._pending: list[bytes] = []
        self._lock = threading.Lock()
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        self._fd = self._locked()
        try:
            self._begin()
        except BaseException:
            self._close_unless_begun()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and self._resume:
            os.close(self._fd)
            return
        try:
            close_and_remove(self._fd, self.path)
        except OSError as failure:
            if kind is None:
                raise self._failure(
                    "the output is complete, but cannot remove the journal", failure
                ) from failure

    def runs(self, file: int, tensor: int) -> list[Run]:
        """Rows of a tensor that are done, in order."""
        return sorted(self._done.get((file, tensor), []))

    def files(self) -> set[int]:
        """Numbers of the files of which something is done."""
        return {file for file, _ in self._done}

    def forget(self, file: int) -> None:
        """Of this file nothing is done after all: what was written is not there any more."""
        for key in [key for key in self._done if key[0] == file]:
            del self._done[key]

    def add(self, file: int, tensor: int, start: int, stop: int) -> None:
        """Take note of rows that have been written, if not yet synced. May be called from many threads."""
        record = _RECORD.pack(file, tensor, start, stop)
        with self._lock:
            self._pending.append(record + _CHECK.pack(zlib.crc32(record)))

    def due(self) -> bool:
        """Whether it is time to sync again; the one that is told so should."""
        with self._lock:
            now = time.monotonic()
            if now - self._synced < SYNC_SECONDS:
                return False
            self._synced = now
            return True

    def sync(self, outputs: Callable[[], None]) -> None:
        """Record what was noted, after ``outputs`` has made it durable.

        Raises:
            OutputError: the disk refuses.
        """
        with self._lock:
            noted, self._pending = self._pending, []
        outputs()
        try:
            with self._lock:
                append(self._fd, b"".join(noted))
            sync(self._fd)
        except OSError as error:
            raise self._failure("cannot write the journal", error) from error

    def _locked(self) -> int:
        """The journal's descriptor, once nobody else holds it."""
        while True:
            try:
                fd = self._opened()
            except FileNotFoundError:
                if self.target.parent.is_dir():
                    continue  # its last holder has removed it between our finding it and our opening it
                raise OutputError("the directory to write into does not exist", path=self.target) from None
            except OSError as error:
                raise self._failure("cannot create the journal", error) from error
            try:
                self._lock_up(fd)
                # its last holder may have removed it between our opening and our locking it
                with reported(OutputError, "cannot look at the journal", self.path):
                    is_ours = _is_at(fd, self.path)
            except BaseException:
                os.close(fd)
                raise
            if is_ours:
                return fd
            os.close(fd)

    def _opened(self) -> int:
        """The journal: a new one, or one that an earlier run may have left.

        Raises:
            OSError: neither is to be had.
            OutputError: what is there was not left by an earlier run.
        """
        try:
            return open_file(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, follow=False)
        except FileExistsError:
            fd = open_own(self.path, _FLAGS)
        if fd is None:
            raise OutputError(
                "what lies under the name of the journal was not put there by this program; remove it",
                path=self.target,
                found=self.path.name,
            )
        return fd

    def _lock_up(self, fd: int) -> None:
        try:
            lock(fd)
        except BlockingIOError as error:
            raise OutputError("another process is writing this output", path=self.target) from error
        except OSError:
            pass  # some network file systems cannot lock

    def _close_unless_begun(self) -> None:
        """After a failure: a journal without a whole head says nothing to anybody."""
        try:
            begun = os.fstat(self._fd).st_size >= len(self._head)
        except OSError:
            begun = True
        if begun:
            os.close(self._fd)
            return
        with suppress(OSError):
            close_and_remove(self._fd, self.path)

    def _begin(self) -> None:
        """Read what an earlier run has left, or start afresh."""
        try:
            size = min(os.fstat(self._fd).st_size, _MOST_BYTES)
            found = read_at(self._fd, min(size, len(self._head)), 0)
            ours = found == self._head
            if ours:
                found += read_at(self._fd, size - len(found), len(found))
        except OSError as error:
            raise self._failure("cannot read the journal", error) from error
        # A head that was cut short by a full disk, say, is as good as none: nothing was done after it.
        if self._resume and len(found) >= len(self._head) and not ours:
            raise OutputError(
                "what an interrupted run left cannot be continued: its source, its options or this program "
                "have changed since; without --resume it is started afresh",
                path=self.target,
            )
        done = _records(found[len(self._head) :]) if ours else []
        if done and not self._resume and not self._force:
            raise OutputError(
                "an interrupted run has left a part of this output: pass --resume to go on with it, or "
                "--force to start afresh",
                path=self.target,
            )
        if ours and self._resume:
            self.resumed = True
            for file, tensor, start, stop in done:
                self._done.setdefault((file, tensor), []).append((start, stop))
            length = len(self._head) + len(done) * (_RECORD.size + _CHECK.size)
        else:
            length = 0
        try:
            os.ftruncate(self._fd, length)
            if not length:
                append(self._fd, self._head)
        except OSError as error:
            raise self._failure("cannot write the journal", error) from error

    def _failure(self, doing: str, error: OSError) -> OutputError:
        return OutputError(f"{doing}: {error.strerror}", path=self.path)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _records(data: bytes | bytearray) -> list[tuple[int, int, int, int]]:
    """All records up to the first that is cut short or garbled."""
    size = _RECORD.size + _CHECK.size
    found = []
    for at in range(0, len(data) - size + 1, size):
        record = data[at : at + _RECORD.size]
        if _CHECK.unpack_from(data, at + _RECORD.size)[0] != zlib.crc32(record):
            break
        found.append(_RECORD.unpack(record))
    return found
