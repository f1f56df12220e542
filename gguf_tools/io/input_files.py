"""Input files: opened warily, read by position. `InputFile` is what every reader knows, `LocalFile` a file of
this machine; `gguf_tools.io.remote` has the other kind and decides between them.

Positioned reads leave memory bounded by what is in flight (pages of a mapping would count as the process's
own), let other threads run while the disk works, and make a file that shrinks meanwhile an error instead of
a crash.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias
from weakref import ReferenceType, ref

from ..errors import GGUFToolsError, reported
from ..system import copy_some, open_file, read_some
from .fd_pool import Suspendable
from .positional_io import read_into

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Buffer",
    "CopyTarget",
    "InputFile",
    "LocalFile",
    "LocalPages",
    "MemoryPages",
    "Pages",
    "open_regular",
    "read_small",
]

Buffer: TypeAlias = "bytes | bytearray | memoryview"
"""Bytes that nobody writes to."""

_COPY_BYTES: Final = 1 << 22
"""Copied at once where the kernel does not copy by itself."""

_FIRST_BYTES: Final = 1 << 14
"""Of a file, read at once and kept: enough for the header of a shard other than the first, so that a thousand
shards are read from once."""

_MOST_KEPT: Final = 1 << 26
"""Of a header, read when its file is closed and somebody may still look at it: more than any real model has.
The rest of a longer one is out of reach then."""

_SMALL_BLOCK: Final = 1 << 12
"""Read where nobody has read before it: a page, which holds most single values."""

_LARGEST_BLOCK: Final = 1 << 17
"""As much is read at once where reading goes on: the cost of a call is spread, and it fits the cache."""


class CopyTarget(Protocol):
    """A file being written; see `gguf_tools.io.atomic_files.AtomicFile`."""

    @property
    def fd(self) -> int:
        """Its descriptor."""

    def write_at(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Write all of a buffer at a byte offset."""


class Pages(Protocol):
    """A file's header, whose bytes come when they are asked for.

    Attributes:
        size: of the file, in bytes.
    """

    size: int

    def view(self, start: int, stop: int, likely: int = 0) -> Buffer:
        """The bytes from ``start`` on, at least up to ``stop``, which lies inside the file.

        Args:
            start: of the first.
            stop: of the one after the last that must be there.
            likely: where reading on from there would end.

        Raises:
            GGUFToolsError: they cannot be had any more.
        """

    def keep(self, end: int) -> None:
        """Be there when the file has been closed; the header ends at ``end``."""


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
    def pages(self) -> Pages:
        """What the header's bytes come from.

        Raises:
            GGUFToolsError: the file is closed or cannot be read.
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

    def copy_to(
        self, output: CopyTarget, offset: int, start: int, stop: int, tensor: str | None = None
    ) -> None:
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
        self._header: ReferenceType[LocalPages] | None = None
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

    def pages(self) -> LocalPages:
        return LocalPages(self)

    def header_bytes(self, offset: int, count: int) -> bytearray:
        """As `read_bytes`.

        Raises:
            GGUFToolsError: as `read_bytes`; or the file has been written to since.
        """
        self._require_open(None)
        with self._lent() as fd:
            data = bytearray(count)
            self._fill(memoryview(data), offset, None)
            try:
                status = os.fstat(fd)
            except OSError as cause:
                raise self._error(f"cannot look at the file: {cause.strerror}", path=self.path) from cause
            self._require_same(status)
        return data

    def remember(self, header: LocalPages) -> None:
        """Have a header read when the file is closed, if anybody has it then."""
        self._header = ref(header)

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

    def copy_to(
        self, output: CopyTarget, offset: int, start: int, stop: int, tensor: str | None = None
    ) -> None:
        """As everywhere; by the kernel where it can, which on some file systems shares the data."""
        with self._at_hand(tensor) as fd:
            start, offset = _copy_in_kernel(fd, output.fd, offset, start, stop)
        super().copy_to(output, offset, start, stop, tensor)

    def _at_hand(self, tensor: str | None) -> AbstractContextManager[int]:
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
        header = None if self._header is None else self._header()
        if header is not None and not self._closed:
            header.take_in()
        self._closed = True
        self._release()

    def __del__(self) -> None:
        self._release()


class MemoryPages:
    """As `Pages`, of bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = memoryview(data)

    def view(self, start: int, stop: int, likely: int = 0) -> Buffer:
        return self._data[start:]

    def keep(self, end: int) -> None:
        pass


class LocalPages:
    """As `Pages`, of a file of this machine: read by position, in blocks that grow where reading goes on.

    Only the file's first bytes are kept. Whatever else is asked for again is read again; when the file is
    closed, all of it is read.
    """

    def __init__(self, file: LocalFile) -> None:
        self.size = file.size
        self._start: Buffer = file.read_bytes(0, min(file.size, _FIRST_BYTES))
        self._file = file
        self._end = 0
        self._next, self._block = len(self._start), len(self._start)

    def view(self, start: int, stop: int, likely: int = 0) -> Buffer:
        if stop <= len(self._start):
            return memoryview(self._start)[start:]
        goes_on = abs(start - self._next) < self._block
        self._block = min(2 * self._block, _LARGEST_BLOCK) if goes_on else _SMALL_BLOCK
        until = min(max(stop, start + self._block), self.size)
        self._next = until
        return self._file.header_bytes(start, until - start)

    def keep(self, end: int) -> None:
        if len(self._start) < end <= _MOST_KEPT:
            self._end = end
            self._file.remember(self)

    def take_in(self) -> None:
        """Read the header whole, so that the file can be closed; where that fails, reading from it will."""
        with suppress(GGUFToolsError):
            self._start = self._file.header_bytes(0, self._end)


def _copy_in_kernel(source: int, fd: int, offset: int, start: int, stop: int) -> tuple[int, int]:
    """How far the kernel got, in the source and in the other file.

    Not to the end where it or the file systems cannot, or something is wrong, which an ordinary read
    and write will put into words.
    """
    with suppress(OSError):
        while start < stop and (done := copy_some(source, start, fd, offset, stop - start)):
            start, offset = start + done, offset + done
    return start, offset
