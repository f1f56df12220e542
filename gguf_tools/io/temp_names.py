"""What lies beside a file while it is written or changed: partial files, and journals.

Others may be able to write to the same directory, and the names can be foreseen. So whatever is found under
one is looked at before it is believed, and never written through.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..system import open_file, user

__all__ = ["hidden_sibling", "open_own", "random_sibling"]


def hidden_sibling(path: Path, suffix: str) -> Path:
    """``.NAME<suffix>`` beside ``path``."""
    # A name near the limit of 255 bytes leaves no room for the suffix: keep the start of it.
    stem = os.fsdecode(os.fsencode(path.name)[:200])
    return path.parent / f".{stem}{suffix}"


def random_sibling(path: Path) -> Path:
    """A partial file beside ``path`` that nobody else writes."""
    return hidden_sibling(path, f".{os.getpid()}-{os.urandom(4).hex()}.partial")


def open_own(path: Path, flags: int, *owners: int) -> int | None:
    """Descriptor of a file that this program may have left under a hidden name; None where it cannot have.

    It must be a regular file without another name, so that nobody else's is changed through this one; and of
    the user, or of somebody who could change everything here anyway: root, or the directory's owner.

    Args:
        path: of the file.
        flags: such as ``os.O_RDONLY``.
        owners: other users whose file it may be.

    Raises:
        OSError: it cannot be opened, being a link, for instance; FileNotFoundError where there is none.
    """
    fd = open_file(path, flags, follow=False, wait=False)
    try:
        found = os.fstat(fd)
        trusted = {0, os.stat(path.parent).st_uid, user(), *owners}
    except BaseException:
        os.close(fd)
        raise
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid in trusted:
        return fd
    os.close(fd)
    return None
