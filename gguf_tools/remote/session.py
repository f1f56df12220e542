"""What remote files share: settings, connections, and the count of what was transferred.

>>> from gguf_tools.remote.session import session                            # doctest: +SKIP
>>> with session(timeout=5) as opened:                                       # doctest: +SKIP
...     gguf_tools.verify("https://host/model.gguf")
...     print(opened.transfer())
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ..errors import RemoteError, UnsupportedError
from .location import Location

if TYPE_CHECKING:
    from .source import Source

__all__ = ["Session", "Settings", "Transfer", "current_session", "session"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to wait and how often to try.

    Attributes:
        timeout: seconds without an answer, or without the next bytes, that are too long.
        retries: how often what may pass by itself is tried again: timeouts, broken connections, and the
            statuses that mean "later".
        backoff: seconds before the first retry; twice as many before each further one.
    """

    timeout: float = 30.0
    retries: int = 3
    backoff: float = 0.5


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was read of remote files.

    Attributes:
        files: how many there were.
        requests: all that were sent, redirects and retries included.
        bytes: of file contents that came.
        size: of the files, in bytes.
    """

    files: int
    requests: int
    bytes: int
    size: int

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON; the key names are stable."""
        return asdict(self)


class Counter:
    """Requests and bytes of one file, counted from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    def request(self) -> None:
        """One more was sent."""
        with self._lock:
            self.requests += 1

    def received(self, count: int) -> None:
        """So many bytes of the file came."""
        with self._lock:
            self.bytes += count


class Session:
    """The remote files opened while it is the current one.

    A URL that is opened again gives what has been read of it already, so that a file is one and the same to
    all who look at it: a `session` keeps that until its end, the default one as long as a file is in use. A
    `session` does not ask for what is missing again either.
    """

    def __init__(self, settings: Settings, *, keep: bool) -> None:
        self.settings = settings
        self._sources: WeakValueDictionary[Location, Source] = WeakValueDictionary()
        self._kept: list[Source] | None = [] if keep else None
        self._missing: dict[Location, str] = {}

    def source(self, location: Location) -> Source:
        """The bytes behind a URL.

        Raises:
            RemoteError: it cannot be read.
            UnsupportedError: it is of a kind that is not known, or whose package is missing.
        """
        if location in self._missing:
            raise RemoteError(self._missing[location], path=str(location)) from FileNotFoundError()
        found = self._sources.get(location)
        if found is not None:
            return found
        try:
            found = self._sources[location] = _connected(location, self.settings)
        except RemoteError as error:
            if self._kept is not None and isinstance(error.__cause__, FileNotFoundError):
                self._missing[location] = error.message
            raise
        if self._kept is not None:
            self._kept.append(found)
        return found

    def transfer(self) -> Transfer | None:
        """What was read until now; None where nothing remote was opened."""
        sources = self._kept if self._kept is not None else list(self._sources.values())
        if not sources:
            return None
        return Transfer(
            len(sources),
            sum(source.counter.requests for source in sources),
            sum(source.counter.bytes for source in sources),
            sum(source.size for source in sources),
        )


_DEFAULT: Final = Session(Settings(), keep=False)
_CURRENT: Final[ContextVar[Session]] = ContextVar("session", default=_DEFAULT)


def current_session() -> Session:
    """The innermost `session`, or the default one."""
    return _CURRENT.get()


@contextmanager
def session(**settings: Any) -> Iterator[Session]:
    """Open remote files with other settings (those of `Settings`), and count what is read of them."""
    opened = Session(Settings(**settings), keep=True)
    token = _CURRENT.set(opened)
    try:
        yield opened
    finally:
        _CURRENT.reset(token)


def _connected(location: Location, settings: Settings) -> Source:
    from .source import Source

    counter = Counter()
    if location.is_web or location.scheme == "hf":
        try:
            import urllib3  # noqa: F401
        except ImportError as cause:
            raise missing("urllib3", location) from cause
        from .http import HttpTransport
        from .hub import resolve

        url, headers = (location.url, {}) if location.is_web else resolve(location)
        return Source(location, HttpTransport(location, url, headers, settings, counter), counter)
    from .generic import GenericTransport

    return Source(location, GenericTransport(location, counter), counter)


def missing(package: str, location: Location) -> UnsupportedError:
    """The error about a package that is not installed."""
    return UnsupportedError(
        f"{location.scheme}:// needs the package {package}: pip install 'gguf-tools[remote]'", path=location
    )
