"""Names of what lies beside a file while it is written or changed: partial files, and journals."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["hidden_sibling", "random_sibling"]


def hidden_sibling(path: Path, suffix: str) -> Path:
    """``.NAME<suffix>`` beside ``path``."""
    # A name near the limit of 255 bytes leaves no room for the suffix: keep the start of it.
    stem = os.fsdecode(os.fsencode(path.name)[:200])
    return path.parent / f".{stem}{suffix}"


def random_sibling(path: Path) -> Path:
    """A partial file beside ``path`` that nobody else writes."""
    return hidden_sibling(path, f".{os.getpid()}-{os.urandom(4).hex()}.partial")
