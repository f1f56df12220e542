"""Input files: opened warily, read by position. `InputFile` is what every reader knows, `LocalFile` a file of
this machine; `gguf_tools.remote` has the other kind and decides between them.

Positioned reads leave memory bounded by what is in flight (pages of a mapping would count as the process's
own), let other threads run while the disk works, and make a file that shrinks meanwhile an error instead of
a crash.
"""

from __future__ import annotations

import mmap
import os
import stat
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from .descriptors import Suspendable
from .errors import GGUFToolsError, reported
from .system import copy_some, open_file, pins_mapped_files, read_some
from .transfer import read_into

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["InputFile", "LocalFile", "Output", "Pages", "open_regular", "read_small"]

_COPY_BYTES: Final = 1 << 22
"""Copied at once where the kernel does not copy by itself."""


class Output(Protocol):
    """A file being written; see `gguf_tools.files.AtomicFile`."""

    @property
    def fd(self) -> int:
        """Its descriptor."""

    def write_at(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Write all of a buffer at a byte offset."""


class Pages(Protocol):
    """Memory for a file's bytes in their places, which come when they are asked for and then stay.

    Attributes:
        buffer: the memory; what was not asked for reads as zeros. It need not reach to the file's end.
        size: of the file, in bytes.
    """

    buffer: memoryview
    size: int

    def ensure(self, start: int, stop: int, likely: int = 0) -> int:
        """Have bytes ``start`` to ``stop``; ``likely`` is where reading on from there would end.

        Returns:
            Up to where there are bytes without a gap from ``start`` on; at least ``stop``.
        """


def open_regular(path: str | os.PathLike[str], error: type[GGUFToolsError]) -> tuple[int, os.stat_result]:
    """File descriptor and status of a regular file, opened for reading; symbolic links are followed.

    Raises:
        GGUFToolsError: of the class ``error``: it cannot be opened or is not a regular file. The cause is a
            FileNotFoundError where there is no such file.
    """
    try:
        # Not blocking: opening a named pipe would otherwise wait for a writer.
        fd = _opened(path)
    except (OSError, ValueError) as cause:
        if isinstance(cause, PermissionError) and os.path.isdir(path):  # Windows opens none
            raise error("is a directory, expected a file", path=path) from cause
        why = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise error(f"cannot open the file: {why}", path=path) from cause
    try:
        with reported(error, "cannot look at the file", path):
            status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise error(f"is {what}, expected a file", path=path)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def read_small(path: str | os.PathLike[str], most: int, error: type[GGUFToolsError]) -> bytes:
    """All of a small file.

    Args:
        path: of the file.
        most: bytes it may have.
        error: class of the errors raised.

    Raises:
        GGUFToolsError: it cannot be read, is not a regular file, or is larger. The cause is a
            FileNotFoundError where there is no such file.
    """
    fd, status = open_regular(path, error)
    with os.fdopen(fd, "rb") as file, reported(error, "cannot read the file", path):
        if status.st_size <= most:
            return file.read()
    raise error(
        "is too large for a file of its kind",
        path=path,
        found=f"{status.st_size} bytes",
        expected=f"at most {most}",
    )


def _opened(path: str | os.PathLike[str]) -> int:
    try:
        return open_file(path, os.O_RDONLY, wait=False)
    except BlockingIOError:
        return open_file(path, os.O_RDONLY)  # somebody is editing the file in place: wait for the end of that


class InputFile(ABC):
    """An open file: positioned reads from any thread, closed with its last user at the latest.

    Attributes:
        path: as text, for errors.
        size: in bytes, when it was opened.
        modified: a number that is another one when the file is; of a local file, when it was last written
            to, in nanoseconds.
        inode: its number in the file system, or -1.
    """

    path: str
    size: int
    modified: int
    inode: int

    @abstractmethod
    def require_unchanged(self) -> None:
        """Check that nobody has written to the file since it was opened.

        A file that was replaced or removed is still the one that was opened, and is no fault.

        Raises:
            GGUFToolsError: somebody has.
        """

    @abstractmethod
    def map(self) -> mmap.mmap | bytes | Pages:
        """The whole file as memory, of which only what is touched is read.

        Raises:
            GGUFToolsError: the file is closed, or there is no room for it.
        """

    def read(self, offset: int, count: int, tensor: str | None = None) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``; ``tensor`` is for the error.

        Raises:
            GGUFToolsError: the file is closed, cannot be read, or ends before.
        """
        import numpy as np  # not at the top: headers are read without it

        with self._at_hand(tensor):
            data = np.empty(count, np.uint8)
            self._fill(data.data, offset, tensor)
        return data

    def read_bytes(self, offset: int, count: int) -> bytes:
        """As `read`, for a few bytes, such as a header."""
        with self._at_hand(None):
            data = bytearray(count)
            self._fill(memoryview(data), offset, None)
        return bytes(data)

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """``times`` runs of ``count`` bytes, ``step`` apart, the first at ``offset``: uint8 (times, count).

        Raises:
            As `read`.
        """
        import numpy as np

        with self._at_hand(tensor):
            data = np.empty((times, count), np.uint8)
            flat = data.reshape(-1).data
            for i in range(times):
                self._fill(flat[i * count : (i + 1) * count], offset + i * step, tensor)
        return data

    def copy_to(self, output: Output, offset: int, start: int, stop: int, tensor: str | None = None) -> None:
        """Copy bytes ``start`` to ``stop`` to ``offset`` of a file being written.

        Raises:
            GGUFToolsError: the file is closed, cannot be read, or ends before; or whatever writing raises.
        """
        for first in range(start, stop, _COPY_BYTES):
            last = min(first + _COPY_BYTES, stop)
            output.write_at(offset + first - start, self.read(first, last - first, tensor))

    @abstractmethod
    def close(self) -> None:
        """Close the file; reading from it is an error from then on."""

    @abstractmethod
    def _at_hand(self, tensor: str | None) -> AbstractContextManager[object]:
        """Keeps the file ready as long as the block lasts; raises where it is closed."""

    @abstractmethod
    def _fill(self, view: memoryview, offset: int, tensor: str | None) -> None:
        """Fill a buffer from ``offset`` on, while the file is at hand. Raises as `read` does."""


class LocalFile(InputFile, Suspendable):
    """A regular file of this machine.

    Where there are more files than descriptors it may be closed in between: it is then opened again by its
    name, and must be the same file.

    Args:
        path: of the file.
        error: class of the errors raised.
    """

    def __init__(self, path: str | os.PathLike[str], error: type[GGUFToolsError]) -> None:
        super().__init__()
        self._closed = False
        self.path = os.fspath(path)
        self._error = error
        fd, status = open_regular(path, error)
        self.size, self.modified, self.inode = status.st_size, status.st_mtime_ns, status.st_ino
        self._adopt(fd)

    def require_unchanged(self) -> None:
        if self._closed:
            return
        try:
            # one that was closed for want of descriptors is found by its name
            status = os.stat(self.path if self._fd < 0 else self._fd)
        except FileNotFoundError:
            return
        except OSError as cause:
            raise self._error(f"cannot look at the file: {cause.strerror}", path=self.path) from cause
        if status.st_ino == self.inode:
            self._require_same(status)

    def map(self, most: int | None = None) -> mmap.mmap | bytes:
        """As everywhere; or only its first ``most`` bytes, which are few enough to be read."""
        if not self.size:
            return b""
        length = self.size if most is None else min(most, self.size)
        if most is not None and pins_mapped_files():
            return self.read_bytes(0, length)
        try:
            with self._lent() as fd:
                return mmap.mmap(fd, length, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as cause:
            raise self._error(f"cannot map the file: {cause}", path=self.path) from cause

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """As everywhere, for thousands of small runs: a call for each would take as long as reading it."""
        import numpy as np

        with self._at_hand(tensor):
            data = np.empty((times, count), np.uint8)
            flat = data.reshape(-1).data
            for i in range(times):
                run = flat[i * count : (i + 1) * count]
                try:
                    whole = read_some(self._fd, run, offset + i * step) == count
                except (OSError, OverflowError):
                    whole = False
                if not whole:
                    self._fill(run, offset + i * step, tensor)
        return data

    def copy_to(self, output: Output, offset: int, start: int, stop: int, tensor: str | None = None) -> None:
        """As everywhere; by the kernel where it can, which on some file systems shares the data."""
        with self._lent() as fd:
            start, offset = _copy_in_kernel(fd, output.fd, offset, start, stop)
        super().copy_to(output, offset, start, stop, tensor)

    def _at_hand(self, tensor: str | None) -> AbstractContextManager[object]:
        self._require_open(tensor)
        return self._lent()

    def _fill(self, view: memoryview, offset: int, tensor: str | None) -> None:
        try:
            done = read_into(self._fd, view, offset)
        except (OSError, OverflowError) as cause:
            raise self._error(
                f"cannot read: {cause}", path=self.path, tensor=tensor, offset=offset
            ) from cause
        if done < len(view):
            raise self._error(
                "the file ends inside the data: it was cut short meanwhile",
                path=self.path,
                tensor=tensor,
                offset=offset + done,
                found=f"{done} bytes",
                expected=f"{len(view)} bytes",
            )

    def _reopened(self) -> int:
        self._require_open(None)
        fd, status = open_regular(self.path, self._error)
        try:
            self._require_same(status)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _require_open(self, tensor: str | None) -> None:
        if self._closed:
            raise self._error("the file has been closed", path=self.path, tensor=tensor)

    def _require_same(self, status: os.stat_result) -> None:
        found = (status.st_ino, status.st_size, status.st_mtime_ns)
        if found != (self.inode, self.size, self.modified):
            raise self._error("the file changed while it was being read", path=self.path)

    def close(self) -> None:
        self._closed = True
        self._release()

    def __del__(self) -> None:
        self.close()


def _copy_in_kernel(source: int, fd: int, offset: int, start: int, stop: int) -> tuple[int, int]:
    """How far the kernel got, in the source and in the other file.

    Not to the end where it or the file systems cannot, or something is wrong, which an ordinary read
    and write will put into words.
    """
    with suppress(OSError):
        while start < stop and (done := copy_some(source, start, fd, offset, stop - start)):
            start, offset = start + done, offset + done
    return start, offset
