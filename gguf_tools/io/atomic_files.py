"""Output that appears whole or not at all.

Both classes write to a hidden sibling of the target, ``.NAME.<pid>-<random>.partial``, and rename it at
the end. A run that fails leaves the old target untouched; a run that is killed leaves at most the hidden
sibling, never half a file under the final name. Long work that is to be resumed names that sibling itself
(``partial``) and says whether a failure keeps it (``keep``).

Others may write to the same directory. A name that can be foreseen is no place to follow: what is there must
be a file or directory of the user's own, and no link. A link under the final name is replaced, if that is
asked for, and what it leads to stays as it is. Files are as readable as the umask says from the beginning,
or as the file they replace (``like``).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

from ..errors import OutputError, reported
from ..system import allocate, allocated_bytes, imitate, open_file, sync, sync_directory, sync_file, user
from .input_guard import NO_INPUTS, Inputs
from .positional_io import read_at, write_at
from .temp_names import random_sibling

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import NDArray

__all__ = [
    "AtomicDirectory",
    "AtomicFile",
    "check_target",
    "require_space",
]

_NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
_NO_HARD_LINKS = frozenset(
    {
        *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV),
        errno.EINVAL,  # from Windows, on FAT
    }
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class AtomicFile:
    """A file that is written at known offsets and gets its name only when it is complete.

    >>> with AtomicFile("model.gguf", size=total) as out:                     # doctest: +SKIP
    ...     out.write_at(0, header)

    Args:
        path: the final name.
        size: bytes to reserve beforehand, so that a full disk shows before the work and not after it.
        force: replace an existing file.
        partial: the hidden sibling to write to; one that exists is gone on with.
        keep: leave the hidden sibling there when the work fails.
        like: a file whose mode and, where that is allowed, owner the new one has.
        inputs: what it is made of, which it must not replace; see `gguf_tools.io.input_guard`.

    Raises:
        OutputError: the target exists (without ``force``), is an input, a directory or device, its parent is
            missing or not writable, the hidden sibling is somebody else's, or the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: int | None = None,
        force: bool = False,
        partial: Path | None = None,
        keep: bool = False,
        like: Path | None = None,
        inputs: Inputs = NO_INPUTS,
    ) -> None:
        self.path = Path(path)
        self._like = like
        self._inputs = inputs
        self._size = size
        self._force = force
        self._partial = partial or random_sibling(self.path)
        self._may_exist = partial is not None
        self._keep = keep
        self._fd = -1
        self._inode = -1

    @property
    def fd(self) -> int:
        """The open file descriptor of the partial file."""
        return self._fd

    def __enter__(self) -> Self:
        check_target(self.path, self._force, inputs=self._inputs)
        try:
            self._fd = self._opened()
        except OSError as error:
            raise self._failure("cannot create the output", error) from error
        try:
            if self._like is not None:
                _liken(self._fd, self._like)
            if self._size:
                self._reserve(self._size)
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def sync(self) -> None:
        """Make what has been written so far durable.

        Raises:
            OutputError: the disk refuses.
        """
        try:
            if self._fd >= 0:
                sync(self._fd)
        except OSError as error:
            raise self._failure("cannot write", error) from error

    def set_aside(self) -> None:
        """Close the complete file, to be given its name by `finish` some time later.

        Raises:
            OutputError: the disk refuses.
        """
        self.sync()
        self._close()

    def finish(self) -> None:
        """Give the complete file its name.

        Raises:
            OutputError: the name is taken meanwhile (without ``force``), or the disk refuses.
        """
        try:
            self.sync()
            self._inode = os.lstat(self._partial).st_ino
            self._close()  # Windows renames no open file
            self._publish()
        except OSError as failure:
            self.abandon()
            raise self._failure("cannot complete the output", failure) from failure
        except BaseException:
            self.abandon()
            raise
        sync_directory(self.path.parent)

    def withdraw(self) -> None:
        """Take the name back from a finished file, and `abandon` it; never one of somebody else."""
        with suppress(OSError):
            if os.lstat(self.path).st_ino == self._inode:
                os.rename(self.path, self._partial)
        self.abandon()

    def abandon(self) -> None:
        """Give up: close the file, and remove it unless it is to be kept."""
        self._close()
        if not self._keep:
            with suppress(OSError):  # why the work failed is what matters
                self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def write_at(self, offset: int, buffer: bytes | bytearray | memoryview | NDArray[Any]) -> None:
        """Write all of a C-contiguous buffer at a byte offset. May be called from many threads.

        Raises:
            OutputError: the disk is full or the write failed.
        """
        view = memoryview(cast("memoryview", buffer))
        if view.nbytes == 0:
            return
        try:
            write_at(self._fd, view.cast("B"), offset)
        except OSError as error:
            raise self._failure("cannot write", error, offset=offset) from error

    def read_at(self, offset: int, count: int) -> bytearray:
        """What has been written there; less where the file ends.

        Raises:
            OutputError: it cannot be read.
        """
        try:
            return read_at(self._fd, count, offset)
        except OSError as error:
            raise self._failure("cannot read what was written", error, offset=offset) from error

    def _opened(self) -> int:
        """The hidden sibling: a new one, or the one that is to be gone on with."""
        mode = 0o666 if self._like is None else 0o600
        try:
            return open_file(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode, follow=False)
        except FileExistsError:
            if not self._may_exist:
                raise
        fd = open_file(self._partial, os.O_RDWR, follow=False, wait=False)
        if not _is_own(os.fstat(fd), stat.S_IFREG, self._partial):
            os.close(fd)
            raise _foreign(self.path, self._partial)
        return fd

    def _reserve(self, size: int) -> None:
        try:
            # Asking first keeps posix_fallocate from filling the disk to the brim before it fails.
            require_space(self.path, size - allocated_bytes(os.fstat(self._fd)))
            allocate(self._fd, size)
        except OSError as error:
            if error.errno not in _NO_PREALLOCATION:
                raise self._failure(f"cannot reserve {size} bytes", error) from error
            os.ftruncate(self._fd, size)

    def _publish(self) -> None:
        if self._force:
            os.replace(self._partial, self.path)
            return
        try:
            # A hard link fails when the name is taken, so nothing that appeared meanwhile is overwritten.
            os.link(self._partial, self.path)
        except FileExistsError as error:
            raise _exists(self.path) from error
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if os.path.lexists(self.path):
                raise _exists(self.path) from error
            os.rename(self._partial, self.path)
            return
        os.unlink(self._partial)

    def _failure(self, doing: str, error: OSError, offset: int | None = None) -> OutputError:
        if error.errno in _FULL:
            return _disk_full(self.path, self._size, _free_bytes(self.path.parent))
        return OutputError(f"{doing}: {error.strerror}", path=self.path, offset=offset)


class AtomicDirectory:
    """A directory that is filled under a hidden name and gets its own when everything is in it.

    >>> with AtomicDirectory("checkpoint") as folder:                         # doctest: +SKIP
    ...     (folder / "config.json").write_text("{}")

    Args:
        path: the final name.
        force: replace an existing directory with all its contents.
        partial: the hidden sibling to fill; one that exists is gone on with.
        keep: leave the hidden sibling there when the work fails.
        inputs: what it is made of, which must not be in what it replaces; see `gguf_tools.io.input_guard`.

    Raises:
        OutputError: the target exists (without ``force``), is not a directory, is or contains an input or the
            working directory, its parent is missing or not writable, or the hidden sibling is a link or
            somebody else's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        partial: Path | None = None,
        keep: bool = False,
        inputs: Inputs = NO_INPUTS,
    ) -> None:
        self.path = Path(path)
        self._inputs = inputs
        self._force = force
        self._partial = partial or random_sibling(self.path)
        self._may_exist = partial is not None
        self._keep = keep

    def __enter__(self) -> Path:
        check_target(self.path, self._force, directory=True, inputs=self._inputs)
        try:
            self._partial.mkdir()
        except OSError as error:
            if not self._may_exist or not isinstance(error, FileExistsError):
                raise OutputError(f"cannot create the output: {error.strerror}", path=self.path) from error
            if not _is_own(self._partial.lstat(), stat.S_IFDIR, self._partial):
                raise _foreign(self.path, self._partial) from error
        return self._partial

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            _sync_tree(self._partial)
            self._publish()
        except OSError as failure:
            self._abandon()
            raise OutputError(f"cannot complete the output: {failure.strerror}", path=self.path) from failure
        except BaseException:
            self._abandon()
            raise
        sync_directory(self.path.parent)

    def _abandon(self) -> None:
        if not self._keep:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _publish(self) -> None:
        if not os.path.lexists(self.path):
            os.rename(self._partial, self.path)
            return
        if not self._force:
            raise _exists(self.path)
        old = self._partial.with_suffix(".old")
        os.rename(self.path, old)
        try:
            os.rename(self._partial, self.path)
        except OSError:
            os.rename(old, self.path)
            raise
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)


def _is_own(found: os.stat_result, kind: int, path: Path) -> bool:
    """Whether what was found is of the kind expected, and of the user or of who owns the directory anyway.

    A file must have no other name: writing to it would change what has that.
    """
    owners = (user(), path.parent.stat().st_uid)
    alone = kind == stat.S_IFDIR or found.st_nlink == 1
    return stat.S_IFMT(found.st_mode) == kind and alone and found.st_uid in owners


def _foreign(path: Path, partial: Path) -> OutputError:
    return OutputError(
        "what lies under the hidden name of the output was not put there by this program; remove it",
        path=path,
        found=partial.name,
    )


def _liken(fd: int, path: Path) -> None:
    """Give a file another one's owner, group and mode; what is not allowed leaves it less open."""
    with suppress(OSError):
        imitate(fd, path.stat())


def check_target(path: Path, force: bool, *, directory: bool = False, inputs: Inputs = NO_INPUTS) -> None:
    """Refuse, before any work, a target that could not be written at the end, or must not be.

    Args:
        path: the target.
        force: whether it may exist.
        directory: whether it is to be a directory.
        inputs: what it is made of, see `gguf_tools.io.input_guard`.

    Raises:
        OutputError: it exists (without ``force``), is not of the kind expected, is or contains an input, or
            its parent is missing or not writable.
    """
    if not path.name:
        raise OutputError("is not a usable output name", path=path)
    with reported(OutputError, "cannot look at the output", path):
        _check_target(path, force, directory, inputs)


def _check_target(path: Path, force: bool, directory: bool, inputs: Inputs) -> None:
    parent = path.parent
    if not parent.is_dir():
        raise OutputError("the directory to write into does not exist", path=path, found=str(parent))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError("the directory to write into is not writable", path=path, found=str(parent))
    if not os.path.lexists(path):
        return
    if directory:
        if not path.is_dir():
            raise OutputError("exists and is not a directory", path=path)
        if force and Path.cwd().is_relative_to(path.resolve()):
            raise OutputError("is or contains the working directory; it will not be replaced", path=path)
    elif path.is_dir():
        raise OutputError("is a directory, expected the name of a file", path=path)
    elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise OutputError("exists and is not a regular file", path=path)
    inputs.require_apart(path)  # first: --force, which the other error suggests, would not help
    if not force:
        raise _exists(path)


def _exists(path: Path) -> OutputError:
    return OutputError("exists already; pass --force to replace it", path=path)


def _disk_full(path: Path, size: int | None, free: int | None) -> OutputError:
    need = "" if size is None else f" needs {size} bytes,"
    left = "" if free is None else f" {free} free"
    return OutputError(f"disk full:{need}{left}".rstrip(":,"), path=path)


def require_space(path: Path, size: int) -> None:
    """Ask, before any work, for the space of several files at once.

    Raises:
        OutputError: the disk ``path`` is to be on has less than ``size`` bytes left.
    """
    free = _free_bytes(path.parent)
    if free is not None and size > free:
        raise _disk_full(path, size, free)


def _free_bytes(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def _sync_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            file = Path(folder, name)
            if file.is_symlink():
                continue
            sync_file(file)
        sync_directory(Path(folder))
