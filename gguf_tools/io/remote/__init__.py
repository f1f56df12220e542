"""Files on other machines, of which only what is needed is read.

Whatever opens an input file does so by `open_input`, the one place that tells a path from a URL. Nothing
else is imported until there is a URL: a local file costs a look at its name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RemoteError, UnsupportedError
from ..input_files import InputFile, LocalFile
from .location import Location, is_url

if TYPE_CHECKING:
    from ...errors import GGUFToolsError

__all__ = [
    "Location",
    "PathOrLocation",
    "exists",
    "is_missing",
    "is_url",
    "list_names",
    "locate",
    "open_input",
    "require_local",
    "size_of",
]

PathOrLocation = Path | Location
"""A path of this machine, or where a URL leads; both have names, parents and ``/``."""


def open_input(path: str | os.PathLike[str], error: type[GGUFToolsError]) -> InputFile:
    """Open a file for reading: a path of this machine, or a URL.

    Args:
        path: where it is; of URLs, ``http``, ``https``, ``hf`` and whatever fsspec knows.
        error: class of the errors raised about the file itself.

    Raises:
        GGUFToolsError: of that class: there is no such file here, or it cannot be read.
        RemoteError: the same of a file that is elsewhere.
        UnsupportedError: a package is missing that the URL needs.
    """
    if not is_url(path):
        return LocalFile(path, error)
    from .remote_bytes import RemoteFile
    from .session import current_session

    location = path if isinstance(path, Location) else Location(os.fspath(path))
    return RemoteFile(current_session().read(location), error)


def locate(path: str | os.PathLike[str]) -> PathOrLocation:
    """A path of this machine, or where a URL leads."""
    if isinstance(path, Location):
        return path
    return Location(os.fspath(path)) if is_url(path) else Path(path)


def is_missing(error: GGUFToolsError) -> bool:
    """Whether an error of opening a file says that there is no such file."""
    return isinstance(error.__cause__, FileNotFoundError)


def require_local(path: str | os.PathLike[str]) -> None:
    """Refuse a URL where a file is to be written to.

    Raises:
        UnsupportedError: it is one.
    """
    if is_url(path):
        raise UnsupportedError("is a URL, which can only be read: download the file first", path=locate(path))


def exists(place: PathOrLocation) -> bool:
    """Whether there is such a file. Of a URL, the first bytes are read. Raises as `size_of`."""
    return place.is_file() if isinstance(place, Path) else size_of(place) is not None


def size_of(place: PathOrLocation) -> int | None:
    """Bytes of a file, or None where there is none. Of a URL, the first bytes are read.

    Raises:
        RemoteError: that cannot be found out.
        UnsupportedError: a package is missing that the URL needs.
    """
    if isinstance(place, Path):
        return place.stat().st_size if place.is_file() else None
    from .session import current_session

    try:
        return current_session().read(place).size
    except RemoteError as error:
        if is_missing(error):
            return None
        raise


def list_names(directory: Location) -> list[str] | None:
    """Names of the files in a remote directory, in order; None where it cannot be listed, as over ``http``.

    Raises:
        As `size_of`.
    """
    from .session import current_session

    names = current_session().names(directory)
    return None if names is None else sorted(names)
