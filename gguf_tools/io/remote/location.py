"""URLs as data: names, parents and neighbours, as `pathlib.PurePath` has them. Nothing is opened here."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ...errors import RemoteError

__all__ = ["HubPath", "Location", "is_url"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WEB: Final = frozenset({"http", "https"})
_HUB: Final = re.compile(
    r"(?:(models|datasets|spaces)/)?([^/@]+/[^/@]+)(?:@(refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(.*))?",
    re.DOTALL,
)
_USER: Final = re.compile(r"(?<=://)[^/]*:[^/]*@")
_LONGEST: Final = 300
"""Characters of a foreign message that are shown."""
_SHORTEST_SECRET: Final = 4
"""Characters: shorter ones protect nothing, and leaving them out could make a message unreadable."""


class HubPath(NamedTuple):
    """The parts of ``hf://[models/|datasets/|spaces/]ORG/NAME[@REVISION][/FILE]``.

    As huggingface_hub spells them: a slash in a revision is written ``%2F``, except in ``refs/pr/N`` and
    ``refs/convert/NAME``. File names are taken as they are, without percent-encoding.
    """

    kind: str
    repository: str
    revision: str | None
    file: str


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
        if self.is_web and (why := _fault_of(url)):
            raise RemoteError(f"not a usable URL: {why}", path=f"{self.scheme}://…")
        # Of a chain such as zip://inside.gguf::https://host/outside.zip, the file is in the first link.
        self._path = urlsplit(url).path if self.is_web else url.split("::")[0][match.end() :]

    def __str__(self) -> str:
        # The "::" of an IPv6 address is no link of a chain.
        return _shown(self.url) if self.is_web else "::".join(map(_shown, self.url.split("::")))

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

    @property
    def hub(self) -> HubPath | None:
        """The parts of an ``hf`` URL; None where it names no repository, or leads out of one."""
        match = _HUB.fullmatch(self._path) if self.scheme == "hf" else None
        if match is None or ".." in self._path.split("/"):
            return None
        kind, repository, revision, file = match.groups()
        file = (file or "").strip("/")
        return HubPath((kind or "models")[:-1], repository, revision and unquote(revision), file)

    def is_dir(self) -> bool:
        """Whether it is spelled as a directory: it ends in a slash, or is a whole repository of the Hub."""
        return self._path.endswith("/") or (self.hub is not None and not self.hub.file)

    def describe(self, cause: BaseException) -> str:
        """What an error of a package says about it, as one line that keeps its secrets."""
        text = (str(cause) or type(cause).__name__).replace(self.url, str(self))
        for link in self.url.split("::"):
            user, query = _USER.search(link), link.partition("?")[2]
            secrets = re.split("[&=]", query) + (user[0][:-1].split(":", 1) if user else [])
            for secret in (secret for secret in secrets if len(secret) >= _SHORTEST_SECRET):
                text = text.replace(secret, "…")
        line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
        return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"

    @property
    def parent(self) -> Location:
        """The directory it is in."""
        return self._at(self._path.rstrip("/").rpartition("/")[0])

    def with_name(self, name: str) -> Location:
        """Its neighbour of another name; the query stays."""
        return self.parent / name

    def __truediv__(self, name: str) -> Location:
        """What is in it under a relative path."""
        return self._at(
            f"{self._path.rstrip('/')}/{quote(name, errors='surrogatepass') if self.is_web else name}"
        )

    def _at(self, path: str) -> Location:
        if self.is_web:
            return Location(urlunsplit(urlsplit(self.url)._replace(path=path, fragment="")))
        first, *outer = self.url.split("::")
        return Location("::".join([first[: len(first) - len(self._path)] + path, *outer]))


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL rather than the name of a file here: it starts with a scheme and ``://``."""
    return isinstance(path, Location) or _SCHEME.match(os.fspath(path)) is not None


def _shown(url: str) -> str:
    """A URL without what may be secret."""
    if url.partition("://")[0].lower() not in _WEB:
        return _USER.sub("", url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def _fault_of(url: str) -> str | None:
    """What makes an ``http`` URL unusable, in words."""
    try:
        parts = urlsplit(url)
        return None if parts.hostname and parts.port != 0 else "it names no host"
    except ValueError as cause:
        return str(cause)
