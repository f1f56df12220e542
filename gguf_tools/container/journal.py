"""The journal of an edit in place: where it lies, and what it means to whoever opens the file.

While `gguf_tools.editing` overwrites a header in place, the old bytes lie in a hidden file beside it. It is
removed when the edit is complete. One that is found later tells of an edit that was interrupted (by a power
failure, say): the header may be half old and half new, and `gguf_tools.editing.recover` restores it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from ..errors import FormatError
from ..siblings import hidden_sibling

__all__ = ["InterruptedEditError", "check_no_journal", "exists", "journal_path"]

_MOST: Final = 4096
"""Bytes of a journal's first line, at most."""


class InterruptedEditError(FormatError):
    """An edit of the file in place did not come to its end; what the header says cannot be trusted."""


def journal_path(path: str | os.PathLike[str]) -> Path:
    """Where the journal of a file lies; links are followed."""
    return hidden_sibling(Path(os.path.realpath(path)), ".edit-journal")


def exists(journal: Path) -> bool:
    """Whether there is a journal. One that cannot be looked at must not be taken for none.

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


def check_no_journal(path: str | os.PathLike[str], inode: int) -> None:
    """Refuse an open file whose last edit was interrupted.

    Args:
        path: what was opened.
        inode: of the open file. Meanwhile another file may have taken its name, and be edited just now.

    Raises:
        InterruptedEditError: there is a journal of this very file.
        FormatError: it is not known whether there is one.
    """
    journal = journal_path(path)
    if exists(journal) and _inode(journal) in (inode, None):
        raise InterruptedEditError(
            "an edit of this file was interrupted, and its header may be damaged; "
            "`gguf-tools edit FILE --recover` restores it",
            path=path,
        )


def _inode(journal: Path) -> int | None:
    """Which file a journal is of: None where that cannot be read, -1 where the journal has gone."""
    try:
        with journal.open("rb") as file:
            return int(json.loads(file.readline(_MOST))["inode"])
    except FileNotFoundError:
        return -1
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
