"""What other systems lack, and a way to do without it here.

``take_away("windows")`` or ``take_away("macos")``, first thing in a fresh interpreter, removes the names such
a system does not have, hides ``/proc``, and makes the calls that remain behave as they do there.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import os
import shutil
import stat
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["MACOS", "MODULES", "WINDOWS", "Lacking", "take_away"]

_MODULES: Final = """
    _winapi crypt fcntl grp msvcrt nis ossaudiodev pty pwd readline resource spwd syslog termios tty
    winreg
"""
MODULES: Final = frozenset(_MODULES.split())
"""Of the standard library, those that some system lacks."""

Lacking = dict[str, frozenset[str]]
"""Names by module."""

_FLAGS: Final = """
    O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_EVTONLY O_EXLOCK O_LARGEFILE O_NDELAY
    O_NOATIME O_NOCTTY O_NOFOLLOW O_NOFOLLOW_ANY O_NONBLOCK O_PATH O_RSYNC O_SHLOCK O_SYNC O_TMPFILE
"""
_LINUX_ONLY: Final = """
    EFD_CLOEXEC MFD_CLOEXEC O_DIRECT O_LARGEFILE O_NOATIME O_PATH O_RSYNC O_TMPFILE copy_file_range
    eventfd eventfd_read eventfd_write fdatasync getrandom getresgid getresuid getxattr listxattr
    memfd_create pidfd_open pipe2 posix_fadvise posix_fallocate process_cpu_count removexattr
    sched_getaffinity sched_getparam sched_getscheduler sched_setaffinity setns setresgid setresuid
    setxattr splice unshare
"""
_POSIX_ONLY: Final = """
    WEXITSTATUS WIFEXITED WIFSIGNALED WNOHANG WTERMSIG chown chroot confstr environb fchdir fchmod
    fchown fork forkpty fpathconf fstatvfs getegid geteuid getenvb getgid getgrouplist getgroups
    getloadavg getpgid getpgrp getpriority getsid getuid initgroups killpg lchown lockf major makedev
    minor mkfifo mknod nice openpty pathconf posix_spawn posix_spawnp pread preadv pwrite pwritev readv
    register_at_fork sched_get_priority_max sched_yield sendfile set_blocking setegid seteuid setgid
    setgroups setpgid setpriority setregid setreuid setsid setuid statvfs sync sysconf sysconf_names
    tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev
"""
_SIGNALS: Final = """
    SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT
    SIGRTMIN SIGRTMAX SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM
    SIGWINCH SIGXCPU SIGXFSZ alarm getitimer pause pidfd_send_signal pthread_kill pthread_sigmask
    setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
"""
_MAPPINGS: Final = """
    MADV_DONTNEED MADV_HUGEPAGE MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MAP_ANON
    MAP_ANONYMOUS MAP_DENYWRITE MAP_EXECUTABLE MAP_NORESERVE MAP_POPULATE MAP_PRIVATE MAP_SHARED
    MAP_STACK PROT_EXEC PROT_READ PROT_WRITE
"""
_LINUX_SIGNALS: Final = """
    SIGPOLL SIGPWR SIGRTMIN SIGRTMAX sigtimedwait sigwaitinfo pidfd_send_signal
"""
_LINUX_MAPPINGS: Final = """
    MADV_HUGEPAGE MAP_DENYWRITE MAP_EXECUTABLE MAP_POPULATE MAP_STACK
"""
_LEASES: Final = """
    F_SETLEASE F_GETLEASE F_NOTIFY F_SETSIG F_GETSIG F_SETPIPE_SZ F_GETPIPE_SZ
"""
_CLOCKS: Final = """
    clock_getres clock_gettime clock_settime pthread_getcpuclockid tzset
"""

WINDOWS: Final[Lacking] = {
    "os": frozenset(f"{_FLAGS} {_LINUX_ONLY} {_POSIX_ONLY}".split()),
    "signal": frozenset(_SIGNALS.split()),
    "mmap": frozenset(_MAPPINGS.split()),
    "socket": frozenset({"AF_UNIX", "MSG_DONTWAIT"}),
    "time": frozenset(_CLOCKS.split()),
}

MACOS: Final[Lacking] = {
    "os": frozenset(f"{_LINUX_ONLY} preadv pwritev".split()),  # the last two before release 11
    "signal": frozenset(_LINUX_SIGNALS.split()),
    "mmap": frozenset(_LINUX_MAPPINGS.split()),
    "fcntl": frozenset(_LEASES.split()),
    "time": frozenset({"pthread_getcpuclockid"}),
}

_BINARY: Final = 1 << 30
"""Stands for ``O_BINARY``. No bit of ours means anything to Linux."""

_FULL_SYNC: Final = 51
"""``F_FULLFSYNC``."""

_FOREIGN: Final = (
    *("subprocess", "tempfile", "shutil", "uuid", "socket", "fcntl", "mmap"),
    *("numba", "safetensors.numpy", "rich.console"),
)
"""Modules that ask what system this is and must be told the truth, with all they import."""


def take_away(system: str) -> None:
    """Make this process one of another system, as far as the package can tell."""
    for name in _FOREIGN:
        importlib.import_module(name)
    {"windows": _windows, "macos": _macos}[system]()
    lacking = WINDOWS if system == "windows" else MACOS
    for module, names in lacking.items():
        for name in names:
            vars(sys.modules[module]).pop(name, None)
    _hide("/proc")


def _macos() -> None:
    fcntl: Any = sys.modules["fcntl"]
    plain = fcntl.fcntl
    fcntl.F_FULLFSYNC = _FULL_SYNC

    def call(fd: int, command: int, argument: Any = 0) -> Any:
        if command == _FULL_SYNC:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return 0
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return plain(fd, command, argument)

    fcntl.fcntl = call


def _windows() -> None:
    """Files must be opened as binary; what is open or mapped is not renamed, replaced or removed; directories
    are not opened; nothing is synced that is open for reading only; locks are `msvcrt`'s."""
    fcntl: Any = sys.modules["fcntl"]
    in_use = _finder()
    plain_open, plain_fsync = os.open, os.fsync
    read_only = os.O_ACCMODE, os.O_RDONLY
    vars(os)["O_BINARY"] = _BINARY
    statvfs = os.statvfs

    def disk_usage(path: Any) -> Any:
        status = statvfs(path)
        return types.SimpleNamespace(free=status.f_bavail * status.f_frsize)

    vars(shutil).update(disk_usage=disk_usage, _use_fd_functions=False)

    def open_(path: Any, flags: int, mode: int = 0o777, **named: Any) -> int:
        if not flags & _BINARY:
            raise AssertionError(f"{path} is opened as text")
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return plain_open(path, flags & ~_BINARY, mode, **named)

    def fsync(fd: int) -> None:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & read_only[0] == read_only[1]:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        plain_fsync(fd)

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*paths: Any, **named: Any) -> Any:
            for path in paths:
                if in_use(path):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return function(*paths, **named)

        return call

    def renamed(source: Any, target: Any) -> None:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
        os.replace(source, target)

    def locking(fd: int, mode: int, count: int) -> None:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(fd, 0, os.SEEK_CUR))
        except BlockingIOError as error:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from error

    replace, unlink, rmdir = refusing(os.replace), refusing(os.unlink), refusing(os.rmdir)
    vars(os).update(open=open_, fsync=fsync, replace=replace, unlink=unlink, remove=unlink, rmdir=rmdir)
    vars(os)["rename"] = renamed
    msvcrt: Any = types.ModuleType("msvcrt")
    msvcrt.locking, msvcrt.LK_NBLCK = locking, 2
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = msvcrt


def _finder() -> Callable[[Any], bool]:
    """Tells whether this process has a file, or one in a directory, open or mapped."""
    readlink, listdir, stat_, read = os.readlink, os.listdir, os.stat, builtins.open

    def places() -> Iterator[str]:
        for number in listdir("/proc/self/fd"):
            try:
                yield readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
        with read("/proc/self/maps") as maps:
            yield from (line.split(maxsplit=5)[5].rstrip("\n") for line in maps if line.count("/"))

    def in_use(path: Any) -> bool:
        try:
            status = os.lstat(path)
        except OSError:
            return False
        real = os.path.realpath(path)
        for place in places():
            if place == real or (stat.S_ISDIR(status.st_mode) and place.startswith(real + "/")):
                return True
            try:
                found = stat_(place)
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
                return True
        return False

    return in_use


def _hide(folder: str) -> None:
    def refuse(path: Any) -> None:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **named: Any) -> Any:
            refuse(path)
            return function(path, *rest, **named)

        return call

    for name in ("open", "stat", "lstat", "listdir", "scandir", "access", "readlink"):
        # `_finder` has the ones before
        setattr(os, name, refusing(getattr(os, name)))
    builtins.open = refusing(builtins.open)
