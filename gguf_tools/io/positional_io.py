"""Positioned reads and writes that go on until they are complete.

POSIX lets every call transfer fewer bytes than it was asked to: a disk that fills up, a quota, a network file
system, a signal that comes halfway. A call that a signal interrupts before its first byte (``EINTR``) needs
nothing of ours: the functions of `os` repeat it themselves (PEP 475).
"""

from __future__ import annotations

import errno
import os

from ..system import read_some, write_some

__all__ = ["append", "read_at", "read_into", "write_at"]


def read_into(fd: int, view: memoryview, offset: int) -> int:
    """Fill a buffer of bytes from a byte offset on.

    Returns:
        How many bytes there were; fewer than the buffer takes only where the file ends.
    """
    done = 0
    while done < view.nbytes:
        got = read_some(fd, view[done:], offset + done)
        if not got:
            break
        done += got
    return done


def read_at(fd: int, count: int, offset: int) -> bytearray:
    """``count`` bytes from a byte offset on; fewer only where the file ends."""
    data = bytearray(count)
    with memoryview(data) as view:
        done = read_into(fd, view, offset)
    del data[done:]
    return data


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of some bytes at a byte offset.

    Raises:
        OSError: the disk refuses; some of them may have been written.
    """
    view = memoryview(data)
    while view.nbytes:
        written = _some(write_some(fd, view, offset))
        view = view[written:]
        offset += written


def append(fd: int, data: bytes) -> None:
    """Write all of some bytes where the descriptor stands, or at the end if it was opened so.

    Raises:
        OSError: as `write_at`.
    """
    view = memoryview(data)
    while view.nbytes:
        view = view[_some(os.write(fd, view)) :]


def _some(written: int) -> int:
    """How much was written, which is something: else one would try for ever."""
    if not written:
        raise OSError(errno.EIO, "the system writes nothing, and does not say why")
    return written
