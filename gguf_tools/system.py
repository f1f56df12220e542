"""What operating systems do differently, and what is done on one that lacks a call.

Names of `os`, `fcntl` and the like that Windows, macOS or Linux does not have are used here and nowhere else
(a test sees to it). Whether one is there is asked when it is needed, and not which system this is: it is the
call that matters, and old releases lack some, too.

What Windows does not do at all:

- It neither renames, replaces nor removes a file that is open or mapped. Whoever does any of that closes the
  file first; a locked one goes through `close_and_remove`, and see `pins_mapped_files`.
- It has no owners, groups or modes: access is inherited from the directory. `user` is None there.
- It does not sync directories; NTFS journals renames itself.
- It has no leases, so no file is overwritten in place: `edit` writes it anew.
"""

from __future__ import annotations

import errno
import importlib
import mmap
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

__all__ = [
    "allocate",
    "allocated_bytes",
    "anonymous_memory",
    "available_cores",
    "close_and_remove",
    "copy_some",
    "descriptor_limit",
    "has_leases",
    "imitate",
    "lease",
    "lock",
    "open_file",
    "pins_mapped_files",
    "read_some",
    "sync",
    "sync_directory",
    "sync_file",
    "user",
    "write_some",
]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_FCNTL: Final = _module("fcntl")
_MSVCRT: Final = _module("msvcrt")
_RESOURCE: Final = _module("resource")

_MOST_BYTES: Final = 1 << 30
"""Of one read or write: macOS and Windows refuse more than 2^31 - 1."""

_FEW_DESCRIPTORS: Final = 512
"""Where the system does not tell how many: as many as Windows' C runtime has without being asked for more."""

_LOCKED_BYTE: Final = 1 << 30
"""Windows keeps others from reading what is locked, so it is a byte far behind the end of any journal. In 31
bits: older runtimes know no larger places."""

_POSITIONS: Final = tuple(Lock() for _ in range(64))
"""Held while a descriptor's position is moved and used, by descriptor; two of them may share one."""


def open_file(
    path: str | os.PathLike[str], flags: int, mode: int = 0o666, *, follow: bool = True, wait: bool = True
) -> int:
    """`os.open` for bytes: Windows would otherwise translate line ends. Other programs do not inherit it.

    Args:
        path: of the file.
        flags: as of `os.open`.
        mode: of a new file, less the umask.
        follow: a symbolic link as the last part of the path is followed; otherwise it is an error.
        wait: for a named pipe's other end, or until an edit in place of the file is over.

    Raises:
        OSError: as `os.open`; BlockingIOError where it would have to wait.
    """
    flags |= getattr(os, "O_BINARY", 0)
    if not wait:
        flags |= getattr(os, "O_NONBLOCK", 0)
    if follow:
        return os.open(path, flags, mode)
    if hasattr(os, "O_NOFOLLOW"):
        return os.open(path, flags | os.O_NOFOLLOW, mode)
    # Before, so that what a link leads to is not created; after, for the one that came in between.
    _refuse_link(path)
    fd = os.open(path, flags, mode)
    try:
        _refuse_link(path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _refuse_link(path: str | os.PathLike[str]) -> None:
    if os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))


def read_some(fd: int, view: memoryview, offset: int) -> int:
    """Read bytes at an offset into a buffer: how many, 0 only at the end of the file."""
    view = view[:_MOST_BYTES]
    if hasattr(os, "preadv"):
        done: int = os.preadv(fd, [view], offset)
        return done
    with _POSITIONS[fd % len(_POSITIONS)]:
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, view.nbytes)
    view[: len(data)] = data
    return len(data)


def write_some(fd: int, view: memoryview, offset: int) -> int:
    """Write some of the bytes of a buffer at an offset: how many."""
    view = view[:_MOST_BYTES]
    if hasattr(os, "pwrite"):
        done: int = os.pwrite(fd, view, offset)
        return done
    with _POSITIONS[fd % len(_POSITIONS)]:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, view)


def copy_some(source: int, start: int, target: int, offset: int, count: int) -> int:
    """Let the kernel copy bytes from one file to another: how many, 0 where it or a file system cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    done: int = os.copy_file_range(source, target, count, start, offset)
    return done


def sync(fd: int) -> None:
    """Make what was written to a file durable.

    Raises:
        OSError: the disk refuses.
    """
    if hasattr(_FCNTL, "F_FULLFSYNC"):  # on macOS, fsync leaves the bytes in the disk's own cache
        with suppress(OSError):  # not every file system has it
            _FCNTL.fcntl(fd, _FCNTL.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_file(path: Path) -> None:
    """`sync` a closed file."""
    try:
        fd = open_file(path, os.O_RDWR)  # Windows syncs nothing that is open for reading only
    except PermissionError:
        fd = open_file(path, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Make a rename durable. Some file systems refuse to sync a directory; the rename stands anyway."""
    with suppress(OSError):
        fd = open_file(directory, os.O_RDONLY)
        try:
            sync(fd)
        finally:
            os.close(fd)


def allocate(fd: int, size: int) -> None:
    """Make a file of ``size`` bytes, with its space on disk taken where that can be asked for.

    Raises:
        OSError: the disk is full, or the file system knows no such request.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)


def allocated_bytes(status: os.stat_result) -> int:
    """Space a file takes on disk; where the system does not tell, what its size says."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512


def user() -> int | None:
    """Number of the user this process acts for; None where files have no owners."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def imitate(fd: int, model: os.stat_result) -> None:
    """Give a file the owner, group and mode of another; what is not allowed leaves it less open.

    Raises:
        OSError: the mode cannot be set.
    """
    if not hasattr(os, "fchown"):
        return
    for owner in (model.st_uid, -1):
        with suppress(OSError):
            os.fchown(fd, owner, model.st_gid)
    same_group = os.fstat(fd).st_gid == model.st_gid
    chmod: Callable[[int, int], None] = getattr(os, "fchmod")  # noqa: B009 - Windows has none
    chmod(fd, stat.S_IMODE(model.st_mode) & (0o7777 if same_group else 0o7707))


def lock(fd: int) -> None:
    """Lock a file against others who lock it, until it is closed. Where there are no locks, nothing happens.

    Raises:
        BlockingIOError: somebody else has locked it.
        OSError: it cannot be locked, as on some network file systems.
    """
    if hasattr(_FCNTL, "flock"):
        _FCNTL.flock(fd, _FCNTL.LOCK_EX | _FCNTL.LOCK_NB)
    elif hasattr(_MSVCRT, "locking"):
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            _MSVCRT.locking(fd, _MSVCRT.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
            raise


def close_and_remove(fd: int, path: Path) -> None:
    """Close a locked file and remove it, in whichever order the system allows.

    Removed while it is locked, it cannot be somebody else's already. Where open files cannot be removed, it
    is emptied instead; if then somebody else opens it before it is removed, it stays, and says nothing.

    Raises:
        OSError: it cannot be removed. It is closed.
    """
    try:
        try:
            path.unlink(missing_ok=True)
            return
        except PermissionError:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    with suppress(PermissionError):
        path.unlink(missing_ok=True)


def has_leases() -> bool:
    """Whether the system can tell that nobody else has a file open; Linux can."""
    return hasattr(_FCNTL, "F_SETLEASE")


@contextmanager
def lease(fd: int) -> Iterator[None]:
    """Let nobody else open a file, which is open for writing, until the block ends: they wait.

    Raises:
        OSError: somebody has it open, or it cannot be locked.
    """
    # A process that opens the file makes the kernel notify us. Default is SIGIO, which would kill;
    # SIGURG is ignored unless somebody wants it.
    _FCNTL.fcntl(fd, _FCNTL.F_SETSIG, getattr(signal, "SIGURG"))  # noqa: B009 - other systems have none
    _FCNTL.fcntl(fd, _FCNTL.F_SETLEASE, _FCNTL.F_WRLCK)
    try:
        yield
    finally:
        with suppress(OSError):  # closing the file gives it back, too
            _FCNTL.fcntl(fd, _FCNTL.F_SETLEASE, _FCNTL.F_UNLCK)


def anonymous_memory(size: int) -> mmap.mmap:
    """Zeros, of which those that are not touched take no memory."""
    flags: Any = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    return mmap.mmap(-1, size, flags) if flags else mmap.mmap(-1, size)


def pins_mapped_files() -> bool:
    """Whether a file that is mapped cannot be replaced, even after it was closed: then better read it."""
    return _MSVCRT is not None


def available_cores() -> int:
    """Cores this process may run on: its affinity where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def descriptor_limit() -> int:
    """How many files the process may have open at once."""
    if _RESOURCE is None:
        return _FEW_DESCRIPTORS
    limit: int = _RESOURCE.getrlimit(_RESOURCE.RLIMIT_NOFILE)[0]
    return 1 << 17 if limit == _RESOURCE.RLIM_INFINITY else limit
