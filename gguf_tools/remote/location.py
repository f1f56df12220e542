"""URLs as places with a name and neighbours, the way `pathlib.Path` is one."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ..errors import RemoteError

__all__ = ["Location", "fault_of", "is_url"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WEB: Final = frozenset({"http", "https"})


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL rather than the name of a file here: it starts with a scheme and ``://``."""
    return isinstance(path, Location) or _SCHEME.match(os.fspath(path)) is not None


def fault_of(url: str) -> str | None:
    """What makes an ``http`` URL unusable, in words."""
    try:
        parts = urlsplit(url)
        return None if parts.hostname and parts.port != 0 else "it names no host"
    except ValueError as cause:
        return str(cause)


class Location(os.PathLike[str]):
    """Where a URL leads.

    As text it is what may be shown: without user, password and query, which may hold secrets or signatures.
    Of an ``http`` URL the path is percent-encoded; of any other it is taken as it is, as fsspec does.

    Attributes:
        url: the whole URL, as it was given.
        scheme: in lower case.

    Raises:
        RemoteError: it is an ``http`` URL that cannot be taken apart.
    """

    __slots__ = ("_path", "scheme", "url")

    def __init__(self, url: str) -> None:
        match = _SCHEME.match(url)
        if match is None:
            raise ValueError(f"not a URL: {url!r}")
        self.url = url
        self.scheme = match[1].lower()
        if self.is_web and (why := fault_of(url)):
            raise RemoteError(f"not a usable URL: {why}", path=f"{self.scheme}://…")
        # Of a chain such as zip://inside.gguf::https://host/outside.zip, the file is in the first link.
        self._path = urlsplit(url).path if self.is_web else url.split("::")[0][match.end() :]

    def __str__(self) -> str:
        if not self.is_web:
            return re.sub(r"://[^/@:]*:[^/@]*@", "://", self.url)
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"

    def __fspath__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    @property
    def is_web(self) -> bool:
        """Whether it is an ``http`` or ``https`` URL."""
        return self.scheme in _WEB

    @property
    def name(self) -> str:
        """The last part of the path, decoded."""
        last = self._path.rstrip("/").rpartition("/")[2]
        return unquote(last) if self.is_web else last

    def is_file(self) -> bool:
        """Whether there is such a file; its first bytes are read.

        Raises:
            RemoteError: that cannot be found out.
            UnsupportedError: a package is missing that the URL needs.
        """
        from .session import current_session

        try:
            current_session().source(self)
        except RemoteError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        return True

    def is_dir(self) -> bool:
        """Whether it is to be taken for a directory: it ends in a slash, or is a repository of the Hub."""
        parts = [part for part in self._path.split("/") if part]
        return self._path.endswith("/") or (self.scheme == "hf" and len(parts) == 2)

    @property
    def parent(self) -> Location:
        """The directory it is in."""
        return self._at(self._path.rstrip("/").rpartition("/")[0])

    def with_name(self, name: str) -> Location:
        """Its neighbour of another name; the query stays."""
        return self.parent / name

    def __truediv__(self, name: str) -> Location:
        """What is in it under a relative path."""
        return self._at(f"{self._path.rstrip('/')}/{quote(name) if self.is_web else name}")

    def _at(self, path: str) -> Location:
        if self.is_web:
            return Location(urlunsplit(urlsplit(self.url)._replace(path=path, fragment="")))
        first, *outer = self.url.split("::")
        return Location("::".join([first[: len(first) - len(self._path)] + path, *outer]))
