"""What a job reads, and its output must therefore leave alone.

``--force`` is permission to replace an old output, never an input. Inputs are recognised by what they are and
not by how they are named: the same file may be reached through a link, a second name, ``..`` or, where the
file system does not tell them apart, in other letters.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from ..errors import OutputError

__all__ = ["NO_INPUTS", "Inputs"]

_MADE: Final = (".gguf", ".html")
"""What is made of a checkpoint often lies in its directory, and may be made again."""

_DEPTH: Final = 2
"""How deep files of a checkpoint lie: beside config.json, or in a directory such as ``1_Pooling``."""

_Identity = tuple[int, int]
"""Device, and number of the file on it."""


class Inputs:
    """Everything a job reads.

    Args:
        names: files, and directories, of which all files count but those that are made of checkpoints. What
            is not there, such as a URL, cannot be replaced.
        replaced: the one whose place the output is to take: that is what editing a file means.
    """

    def __init__(
        self, names: Iterable[str | os.PathLike[str]], *, replaced: str | os.PathLike[str] | None = None
    ) -> None:
        self._names = tuple(os.fspath(name) for name in names)
        self._replaced = replaced

    def require_apart(self, output: Path) -> None:
        """Refuse an output that would replace an input, or a directory with one in it.

        Args:
            output: the file or directory that is to be written; what is there would be replaced.

        Raises:
            OutputError: it would.
        """
        there = _status(output)
        if there is None:
            return
        if (name := self._files.get(_identity(there))) is not None:
            raise OutputError(
                "is an input, which must not be replaced; choose another output", path=output, found=name
            )
        if stat.S_ISDIR(there.st_mode) and (name := self._inside(output, there)) is not None:
            raise OutputError(
                "is a directory with an input in it, which must not be replaced; choose another output",
                path=output,
                found=name,
            )

    @cached_property
    def _files(self) -> dict[_Identity, str]:
        """The inputs that are there and what is in them, each by what it is; looked at only once."""
        found: dict[_Identity, str] = {}
        for name in self._names:
            for path, status in _tree(name, _DEPTH):
                found.setdefault(_identity(status), path)
        replaced = None if self._replaced is None else _status(self._replaced)
        if replaced is not None:
            found.pop(_identity(replaced), None)
        return found

    def _inside(self, directory: Path, there: os.stat_result) -> str | None:
        """An input that lies in a directory, by the name it was given or under any other."""
        seen: set[Path] = set()
        for name in self._files.values():
            for path in (os.path.abspath(name), os.path.realpath(name)):
                for parent in Path(path).parents:
                    if parent in seen:
                        break
                    seen.add(parent)
                    found = _status(parent)
                    if found is not None and os.path.samestat(found, there):
                        return name
        for folder, _, names in os.walk(directory):
            for name in names:
                found = _status(os.path.join(folder, name))
                if found is not None and _identity(found) in self._files:
                    return os.path.join(folder, name)
        return None


NO_INPUTS: Final = Inputs(())
"""For a file that is made of nothing but what is in memory."""


def _tree(name: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """A file; or a directory and what is in it."""
    status = _status(name)
    if status is None:
        return
    yield name, status
    if depth and stat.S_ISDIR(status.st_mode):
        try:
            inside = sorted(os.listdir(name))
        except OSError:  # whoever reads it will say so
            return
        for one in inside:
            if not one.endswith(_MADE):
                yield from _tree(os.path.join(name, one), depth - 1)


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Of what a name leads to in the end; None where that is nothing, or cannot be looked at."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None
