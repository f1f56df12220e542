"""What befalls a call on the disk: it fails, transfers less than it was asked to, or nothing.

``EINTR`` is not among it. The functions of `os` take a call up again that a signal interrupted before its
first byte (PEP 475), so our code never sees that; one interrupted later transfers less, which is here.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["CALLS", "ERRORS", "FAULTS", "LOOKS", "UNDO", "Calls", "Fault"]

WRITES: Final = ("pwrite", "write", "copy_file_range")
"""Functions of `os` that write a number of bytes; the last one reads them, too."""

TRANSFERS: Final = ("preadv", "pread", *WRITES)
"""Those that read or write: they may do a part of what is asked."""

LOOKS: Final = ("stat", "lstat", "fstat", "scandir", "listdir")
"""Functions of `os` that tell what is there."""

LOCKS: Final = ("flock", "fcntl")
"""Functions of `fcntl`, which lock journals and files that are edited in place."""

CALLS: Final = (
    *LOOKS,
    *LOCKS,
    *TRANSFERS,
    *("open", "mkdir", "posix_fallocate", "ftruncate", "fsync", "link", "replace", "rename", "unlink"),
)
"""Functions by which the package deals with the disk: those of `os`, but for locks. What Python's own file
objects do, which read small texts, is not seen."""

UNDO: Final = frozenset({"unlink"})
"""What is left over when this fails cannot be helped."""

ERRORS: Final = (errno.ENOSPC, errno.EIO)
"""What calls fail with, in turn: the disk is full, or broken."""


@dataclass(frozen=True)
class Fault:
    """What befalls one call, and perhaps others after it.

    Attributes:
        calls: those that it can befall.
        share: of the bytes asked for, what the call transfers: of 2, half of them; None where it fails.
        later: what befalls later calls: ``"same"`` the same; ``"fail"`` the next of its name fails for want
            of space; ``"dead"`` all of them fail, as if the disk were gone.
        harmless: the job must succeed all the same.
    """

    calls: tuple[str, ...]
    share: int | None = None
    later: str = ""
    harmless: bool = False


FAULTS: Final = {
    "fails": Fault(CALLS),
    "short": Fault(TRANSFERS, share=2, harmless=True),
    "all short": Fault(TRANSFERS, share=2, later="same", harmless=True),
    "nothing": Fault(TRANSFERS, share=0),
    "short, full": Fault(WRITES, share=2, later="fail"),
    "dead": Fault(CALLS, later="dead"),
    "short, dead": Fault(WRITES, share=2, later="dead"),
}


class Calls:
    """Functions that count their calls on files below a directory, and suffer a fault at one of them.

    Nothing is synced: no power fails here, and waiting for the disk would take most of the time.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = os.fspath(root)
        self.rest()
        for name in CALLS:
            module = fcntl if name in LOCKS else os
            function = (lambda fd: None) if name == "fsync" else getattr(module, name)
            monkeypatch.setattr(module, name, self._faulty(name, function))

    def rest(self) -> None:
        """Count anew; nothing happens."""
        self.arm(Fault(()), "", 0)

    def arm(self, fault: Fault, call: str, number: int) -> None:
        """Let a fault befall the ``number``-th call, counted from 1, of a name."""
        self.counts = dict.fromkeys(CALLS, 0)
        self.fault, self.call, self.number = fault, call, number
        self.error = ERRORS[number % len(ERRORS)]
        self.hit = False

    def _faulty(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **named: Any) -> Any:
            if not self._is_ours(first):
                return function(first, *rest, **named)
            self.counts[name] += 1
            if self._fails(name):
                raise OSError(self.error, os.strerror(self.error))
            if self._is_short(name):
                assert self.fault.share is not None
                return _shortened(name, function, self.fault.share, first, *rest)
            return function(first, *rest, **named)

        return call

    def _is_it(self, name: str, later: int = 0) -> bool:
        here = name == self.call and self.counts[name] == self.number + later
        self.hit |= here
        return here

    def _fails(self, name: str) -> bool:
        fault = self.fault
        if fault.later == "dead" and self.hit:
            return True
        if fault.later == "fail" and self._is_it(name, later=1):
            self.error = errno.ENOSPC
            return True
        return fault.share is None and self._is_it(name)

    def _is_short(self, name: str) -> bool:
        fault = self.fault
        if fault.share is None:
            return False
        return self._is_it(name) or (fault.later == "same" and self.hit and name in fault.calls)

    def _is_ours(self, place: Any) -> bool:
        if isinstance(place, int):
            try:
                place = os.readlink(f"/proc/self/fd/{place}")
            except OSError:
                return False
        return os.fspath(place).startswith(self.root)


def _shortened(name: str, function: Callable[..., Any], share: int, first: Any, *rest: Any) -> Any:
    """A transfer of a part of what is asked for, and at least a byte; or with a share of 0, of nothing."""
    if not share:
        return b"" if name == "pread" else 0
    match name, rest:
        case "pwrite" | "write", (data, *others):
            return function(first, _start(data, share), *others)
        case "preadv", (buffers, *others):
            return function(first, [_start(buffers[0], share)], *others)
        case "pread", (count, *others):
            return function(first, max(1, count // share), *others)
        case "copy_file_range", (target, count, *others):
            return function(first, target, max(1, count // share), *others)
    raise AssertionError(name)


def _start(data: Any, share: int) -> memoryview:
    view = memoryview(data).cast("B")
    return view[: max(1, len(view) // share)]
