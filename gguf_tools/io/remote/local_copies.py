"""Small files of a remote directory as files here, for code of others that knows only such."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...errors import RemoteError
from . import Location, PathOrLocation, is_missing, open_input

__all__ = ["local_directory"]

_MOST: Final = 1 << 24
"""Bytes of a file that is copied; model cards and settings have a few kilobytes."""


@contextmanager
def local_directory(directory: PathOrLocation, names: Sequence[str]) -> Iterator[Path]:
    """A directory as a path; of a remote one, a temporary copy of the same name with these files of it.

    Args:
        directory: the directory. One that has no name, such as ``.``, is resolved.
        names: plain file names; those that do not exist are left out.

    Raises:
        RemoteError: one cannot be read, or is large.
    """
    if isinstance(directory, Path):
        yield directory if directory.name else directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gguf-tools-") as scratch:
        copy = Path(scratch) / (_plain(directory.name.partition("@")[0]) or "model")
        copy.mkdir()
        for name in names:
            _copy(directory / name, copy / name)
        yield copy


def _plain(name: str) -> str:
    """A name that stays where it is put."""
    return name.replace("/", "-").replace("\\", "-").replace("\0", "-").lstrip(".")[:200]


def _copy(source: Location, target: Path) -> None:
    try:
        file = open_input(source, RemoteError)
    except RemoteError as error:
        if is_missing(error):
            return
        raise
    if file.size > _MOST:
        raise RemoteError(f"is too large for a file of its kind: {file.size} bytes", path=str(source))
    target.write_bytes(file.read(0, file.size).tobytes())
