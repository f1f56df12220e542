"""Fewer files open at once than the system lets a process have, however many a model has.

A model may come in a thousand files, and 1024 descriptors are all that most systems give a process. Files
that nobody is reading from are closed when others need their place, longest unused first, and opened again
when they are next read from.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakValueDictionary

from ..system import descriptor_limit

__all__ = ["Suspendable"]

_LOCK: Final = threading.RLock()
"""Over all of this. Reentrant: collecting garbage may close a file at any moment."""

_OPEN: Final[WeakValueDictionary[int, Suspendable]] = WeakValueDictionary()
"""Open files in the order of their last use, by the number of that use."""


class Suspendable(ABC):
    """A file with a descriptor that is closed while there is no room for it, and lent to whoever reads."""

    _uses = 0

    def __init__(self) -> None:
        self._fd = -1
        self._readers = 0
        self._use = 0

    @abstractmethod
    def _reopened(self) -> int:
        """A new descriptor of the same file; raises where there is none."""

    def _adopt(self, fd: int) -> None:
        """Take charge of a descriptor."""
        with _LOCK:
            self._fd = fd
            self._touch()
            _make_room()

    @contextmanager
    def _lent(self) -> Iterator[int]:
        """The descriptor, which stays open as long as the block lasts. For many threads at once."""
        with _LOCK:
            if self._fd < 0:
                self._fd = self._reopened()
            self._readers += 1
            self._touch()
            _make_room()
        try:
            yield self._fd
        finally:
            with _LOCK:
                self._readers -= 1

    def _release(self) -> None:
        """Close the descriptor; nobody may be reading."""
        with _LOCK:
            fd, self._fd = self._fd, -1
            _OPEN.pop(self._use, None)
        if fd >= 0:
            os.close(fd)

    def _touch(self) -> None:
        _OPEN.pop(self._use, None)
        Suspendable._uses += 1
        self._use = Suspendable._uses
        _OPEN[self._use] = self


def _make_room() -> None:
    surplus = len(_OPEN) - _most()
    if surplus > 0:
        for file in [file for file in _OPEN.values() if not file._readers][:surplus]:
            file._release()


def _most() -> int:
    """Half of what the process may have: outputs, libraries and the program around need some too."""
    return max(1, descriptor_limit() // 2)
