"""The journal of an edit in place: where it lies, and what it means to whoever opens the file.

While `gguf_tools.editing` overwrites a header in place, the old bytes lie in a hidden file beside it. It is
removed when the edit is complete. One that is found later tells of an edit that was interrupted (by a power
failure, say): the header may be half old and half new, and `gguf_tools.editing.recover` restores it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import FormatError
from ..io.positional_io import read_at
from ..io.temp_names import hidden_sibling, open_own

__all__ = [
    "MAGIC",
    "MAX_OLD_BYTES",
    "InterruptedEditError",
    "JournalHead",
    "check_no_journal",
    "exists",
    "journal_path",
    "read_journal",
]

MAGIC: Final = "gguf-tools edit journal 1"

_MOST_HEAD: Final = 4096
"""Bytes of a journal's first line, at most: its five facts take some 200."""

MAX_OLD_BYTES: Final = 1 << 28
"""Of a header, put into a journal: four times as many as the largest ones known have. Where more change, the
file is written anew."""


class InterruptedEditError(FormatError):
    """An edit of the file in place did not come to its end; what the header says cannot be trusted."""


def journal_path(path: str | os.PathLike[str]) -> Path:
    """Where the journal of a file lies; links are followed."""
    return hidden_sibling(Path(os.path.realpath(path)), ".edit-journal")


def exists(journal: Path) -> bool:
    """Whether anything has a journal's name. What cannot be looked at must not be taken for nothing.

    Raises:
        FormatError: the system does not tell.
    """
    try:
        os.lstat(journal)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise FormatError(f"cannot look for a journal: {error.strerror}", path=journal) from error
    return True


@dataclass(frozen=True, slots=True)
class JournalHead:
    """A journal's first line.

    Attributes:
        offset: of the old bytes in the file.
        bytes: how many they are.
        size: of the file.
        inode: of the file.
        sha256: of the old bytes, in hexadecimal.
    """

    offset: int
    bytes: int
    size: int
    inode: int
    sha256: str


def read_journal(path: str | os.PathLike[str], *, whole: bool = True) -> tuple[JournalHead, bytes] | None:
    """The journal beside a file: its first line and, where ``whole``, the old bytes, which may be cut short.

    None where there is none, or where what is there is not one of ours: nobody but the user, the owner of the
    file or of the directory, and root can have begun an edit, and what they write has a certain form.
    """
    real = Path(os.path.realpath(path))
    try:
        fd = open_own(journal_path(real), os.O_RDONLY, os.stat(real).st_uid)
    except OSError:
        return None
    if fd is None:
        return None
    try:
        line, newline, _ = read_at(fd, _MOST_HEAD, 0).partition(b"\n")
        head = _parsed(bytes(line)) if newline else None
        if head is None:
            return None
        return head, bytes(read_at(fd, head.bytes, len(line) + 1)) if whole else b""
    except OSError:
        return None
    finally:
        os.close(fd)


def _parsed(line: bytes) -> JournalHead | None:
    """A journal's first line, if it is one that was written by this package."""
    try:
        facts: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or facts.pop("magic", None) != MAGIC:
        return None
    digest = facts.pop("sha256", None)
    numbers: list[Any] = [facts.get(name) for name in ("offset", "bytes", "size", "inode")]
    if not isinstance(digest, str) or any(type(number) is not int for number in numbers):
        return None
    offset, length, size, inode = numbers
    head = JournalHead(offset, length, size, inode, digest)
    fits = 0 <= head.offset <= head.offset + head.bytes <= head.size
    return head if fits and 0 < head.bytes <= MAX_OLD_BYTES else None


def check_no_journal(path: str | os.PathLike[str], inode: int) -> None:
    """Refuse an open file whose last edit was interrupted.

    Args:
        path: what was opened.
        inode: of the open file. Meanwhile another file may have taken its name, and be edited just now.

    Raises:
        InterruptedEditError: there is a journal of ours, of this very file; see `read_journal`.
        FormatError: it is not known whether there is one.
    """
    if not exists(journal_path(path)):
        return
    journal = read_journal(path, whole=False)
    if journal is not None and journal[0].inode == inode:
        raise InterruptedEditError(
            "an edit of this file was interrupted, and its header may be damaged; "
            "`gguf-tools edit FILE --recover` restores it",
            path=path,
        )
