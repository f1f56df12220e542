"""Input files: opened warily, read by position.

Positioned reads leave memory bounded by what is in flight (pages of a mapping would count as the process's
own), let other threads run while the disk works, and make a file that shrinks meanwhile an error instead of
a crash.
"""

from __future__ import annotations

import mmap
import os
import stat
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from .errors import GGUFToolsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["InputFile", "Output", "open_regular"]

_COPY_BYTES: Final = 1 << 22
"""Copied at once where the kernel does not copy by itself."""


class Output(Protocol):
    """A file being written; see `gguf_tools.files.AtomicFile`."""

    @property
    def fd(self) -> int:
        """Its descriptor."""

    def write_at(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Write all of a buffer at a byte offset."""


def open_regular(path: str | os.PathLike[str], error: type[GGUFToolsError]) -> tuple[int, int]:
    """File descriptor and size of a regular file, opened for reading; symbolic links are followed.

    Raises:
        GGUFToolsError: of the class ``error``: it cannot be opened or is not a regular file. The cause is a
            FileNotFoundError where there is no such file.
    """
    try:
        # Not blocking: opening a named pipe would otherwise wait for a writer.
        fd = _opened(path)
    except (OSError, ValueError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise error(f"cannot open the file: {why}", path=path) from cause
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise error(f"is {what}, expected a file", path=path)
    return fd, status.st_size


def _opened(path: str | os.PathLike[str]) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:
        return os.open(path, flags)  # somebody is editing the file in place: wait for the end of that


class InputFile:
    """An open file: positioned reads from any thread, closed with its last user at the latest.

    Args:
        path: of the file.
        error: class of the errors raised.

    Attributes:
        path: the same, as text.
        size: in bytes, when it was opened.
        modified: when it was last written to by then, in nanoseconds.
        inode: its number in the file system.
    """

    def __init__(self, path: str | os.PathLike[str], error: type[GGUFToolsError]) -> None:
        self.path = os.fspath(path)
        self._error = error
        self._fd = -1
        self._fd, self.size = open_regular(path, error)
        status = os.fstat(self._fd)
        self.modified, self.inode = status.st_mtime_ns, status.st_ino

    def require_unchanged(self) -> None:
        """Check that nobody has written to the file since it was opened.

        A file that was replaced or removed is still the one that was opened, and is no fault.

        Raises:
            GGUFToolsError: somebody has.
        """
        if self._fd < 0:
            return
        status = os.fstat(self._fd)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified):
            raise self._error("the file changed while it was being read", path=self.path)

    def map(self) -> mmap.mmap | bytes:
        """The whole file as memory, of which only what is touched is read."""
        if not self.size:
            return b""
        try:
            return mmap.mmap(self._fd, self.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as cause:
            raise self._error(f"cannot map the file: {cause}", path=self.path) from cause

    def read(self, offset: int, count: int, tensor: str | None = None) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``; ``tensor`` is for the error.

        Raises:
            GGUFToolsError: the file is closed, cannot be read, or ends before.
        """
        data = np.empty(count, np.uint8)
        self._fill(data.data, offset, tensor)
        return data

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """``times`` runs of ``count`` bytes, ``step`` apart, the first at ``offset``: uint8 (times, count).

        Raises:
            As `read`.
        """
        data = np.empty((times, count), np.uint8)
        flat = data.reshape(-1).data
        for i in range(times):
            run = flat[i * count : (i + 1) * count]
            try:  # thousands of small runs: a call for each would take as long as reading them
                whole = os.preadv(self._fd, [run], offset + i * step) == count
            except (OSError, OverflowError):
                whole = False
            if not whole:
                self._fill(run, offset + i * step, tensor)
        return data

    def copy_to(self, output: Output, offset: int, start: int, stop: int, tensor: str | None = None) -> None:
        """Copy bytes ``start`` to ``stop`` to ``offset`` of a file being written.

        By the kernel where it can, which on some file systems shares the data instead of copying it.

        Raises:
            GGUFToolsError: the file is closed, cannot be read, or ends before; or whatever writing raises.
        """
        start, offset = self._copy_in_kernel(output.fd, offset, start, stop)
        for first in range(start, stop, _COPY_BYTES):
            last = min(first + _COPY_BYTES, stop)
            output.write_at(offset + first - start, self.read(first, last - first, tensor))

    def _copy_in_kernel(self, fd: int, offset: int, start: int, stop: int) -> tuple[int, int]:
        """How far the kernel got, in this file and in the other.

        Not to the end where it or the file systems cannot, or something is wrong, which an ordinary read
        and write will put into words.
        """
        if hasattr(os, "copy_file_range"):
            try:
                while start < stop:
                    done = os.copy_file_range(self._fd, fd, stop - start, start, offset)
                    if not done:
                        break
                    start, offset = start + done, offset + done
            except OSError:
                pass
        return start, offset

    def _fill(self, view: memoryview, offset: int, tensor: str | None) -> None:
        count, done = len(view), 0
        if self._fd < 0:
            raise self._error("the file has been closed", path=self.path, tensor=tensor)
        try:
            while done < count:
                got = os.preadv(self._fd, [view[done:]], offset + done)
                if not got:
                    raise self._error(
                        "the file ends inside the data: it was cut short meanwhile",
                        path=self.path,
                        tensor=tensor,
                        offset=offset + done,
                        found=f"{done} bytes",
                        expected=f"{count} bytes",
                    )
                done += got
        except (OSError, OverflowError) as cause:
            raise self._error(
                f"cannot read: {cause}", path=self.path, tensor=tensor, offset=offset
            ) from cause

    def close(self) -> None:
        """Close the file; reading from it is an error from then on."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
