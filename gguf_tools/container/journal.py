"""The journal of an edit in place: where it lies, and what it means to whoever opens the file.

While `gguf_tools.editing` overwrites a header in place, the old bytes lie in a hidden file beside it. It is
removed when the edit is complete. One that is found later tells of an edit that was interrupted (by a power
failure, say): the header may be half old and half new, and `gguf_tools.editing.recover` restores it.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import FormatError

__all__ = ["check_no_journal", "journal_path"]


def journal_path(path: str | os.PathLike[str]) -> Path:
    """Where the journal of a file lies; links are followed."""
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name[:200]}.edit-journal")


def check_no_journal(path: str | os.PathLike[str]) -> None:
    """Refuse a file whose last edit was interrupted.

    Raises:
        FormatError: there is a journal.
    """
    if os.path.lexists(journal_path(path)):
        raise FormatError(
            "an edit of this file was interrupted, and its header may be damaged; "
            "`gguf-tools edit FILE --recover` restores it",
            path=path,
        )
