"""Compiled kernels on disk: where they are kept, and whom they are taken from.

To load a kernel is to run what its file says, so a file counts only if nobody else can have written it. The
directory and the file must belong to the user or to root, and others must not be able to write to either; no
directory above may be open to everybody, unless it is sticky as ``/tmp`` is; and neither is reached through a
link of its own. All of that is looked at whenever a kernel is read, not only once. (Where files have no
owners, on Windows, the place itself has to do: the user's profile is the user's own.)

Nor does a damaged file count: LLVM ends the process over machine code that was cut short. A SHA-256 goes
before the kernel, and a file that is not what was written is removed, to be made anew. A kernel that cannot
be written is compiled again by the next process; nothing else depends on this cache.

Two processes may do all of this at once: files appear whole, under their final names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..io.positional_io import append, read_at
from ..system import open_file, user

__all__ = ["NO_DIRECTORY", "find_directory", "read_kernel", "write_kernel"]

NO_DIRECTORY: Final = "NUMBA_CACHE_DIR and the user's cache are missing, or others can write to them"
"""Why there is none."""

_MAGIC: Final = b"gguf-tools kernel 1\n"
_HEAD: Final = len(_MAGIC) + 32
"""Bytes before the kernel: what it is, and its SHA-256."""

_MOST_BYTES: Final = 1 << 26
"""Of a kernel that is read; the largest has less than a hundredth of that."""

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0


def find_directory(name: str) -> Path | None:
    """A directory for kernels that is safe from others, made if need be; None where there is none.

    It is below ``NUMBA_CACHE_DIR`` or, where that is not set or not safe, the user's cache. One that can only
    be read, as in a finished image, is second choice to one that can be written to.
    """
    readable = None
    for base in _bases():
        directory = Path(base, name).absolute()
        with suppress(OSError):
            _make(directory)
        if _is_safe(directory):
            if os.access(directory, os.W_OK | os.X_OK):
                return directory
            readable = readable or directory
    return readable


def read_kernel(directory: Path, name: str) -> bytes | None:
    """A kernel as it was written; None where there is none, or none to be trusted."""
    if not _is_safe(directory):
        return None
    path = directory / name
    try:
        kernel = _read(path)
    except FileNotFoundError:
        return None
    except OSError:
        kernel = None
    if kernel is None:
        _discard(path)
    return kernel


def write_kernel(directory: Path, name: str, kernel: bytes) -> None:
    """Keep a kernel, if that can be done."""
    if not _is_safe(directory):
        return
    partial = directory / f"{name}.{os.getpid()}-{os.urandom(4).hex()}"
    try:
        fd = open_file(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, follow=False)
        try:
            append(fd, _MAGIC + hashlib.sha256(kernel).digest() + kernel)
        finally:
            os.close(fd)
        os.replace(partial, directory / name)
    except OSError:
        _discard(partial)


def _bases() -> list[str]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    bases = [os.environ.get("NUMBA_CACHE_DIR", "")]
    if not cache.startswith("~"):  # somebody without a home
        bases.append(os.path.join(cache, "gguf-tools"))
    return [base for base in bases if base]


def _make(directory: Path) -> None:
    """Make a directory with all above it, for the user alone whatever the umask says."""
    missing = [path for path in (directory, *directory.parents) if not os.path.lexists(path)]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _is_safe(directory: Path) -> bool:
    """Whether nobody but the user and root can put anything into a directory, or another in its place."""
    try:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or not _is_own(status):
            return False
        above = Path(os.path.realpath(directory.parent))
        return user() is None or not any(
            _is_open_to_all(path.lstat().st_mode) for path in (above, *above.parents)
        )
    except OSError:
        return False


def _is_own(status: os.stat_result) -> bool:
    if user() is None:
        return True
    return status.st_uid in (user(), _ROOT) and not status.st_mode & _OTHERS_WRITE


def _is_open_to_all(mode: int) -> bool:
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _read(path: Path) -> bytes | None:
    """The kernel in a file; None where it is damaged or somebody else's."""
    fd = open_file(path, os.O_RDONLY, follow=False, wait=False)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not _is_own(status) or status.st_size > _MOST_BYTES:
            return None
        data = bytes(read_at(fd, status.st_size, 0))
    finally:
        os.close(fd)
    kernel = data[_HEAD:]
    return kernel if data[:_HEAD] == _MAGIC + hashlib.sha256(kernel).digest() else None


def _discard(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
