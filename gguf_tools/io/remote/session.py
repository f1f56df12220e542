"""What remote files share: patience, connections, and the count of what was transferred.

>>> from gguf_tools.io.remote.session import session                            # doctest: +SKIP
>>> with session(timeout=5) as opened:                                       # doctest: +SKIP
...     gguf_tools.verify("https://host/model.gguf")
...     print(opened.transfer())
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final
from weakref import WeakValueDictionary

from ...errors import RemoteError, UnsupportedError
from .location import Location
from .remote_bytes import RemoteBytes, Transport
from .transfers import Patience, Transfer, TransferCounter

__all__ = ["Patience", "Session", "Transfer", "current_session", "session"]


class Session:
    """The remote files opened while it is the current one.

    A URL that is opened again gives what has been read of it already, so that a file is one and the same to
    all who look at it: a `session` keeps that until its end, the default one as long as a file is in use. A
    `session` does not ask for what is missing again either.
    """

    def __init__(self, patience: Patience, *, keep: bool) -> None:
        self.patience = patience
        self._files: WeakValueDictionary[Location, RemoteBytes] = WeakValueDictionary()
        self._kept: list[RemoteBytes] | None = [] if keep else None
        self._missing: dict[Location, str] = {}
        self._names: dict[Location, list[str]] = {}
        self._listings = TransferCounter()

    def read(self, location: Location) -> RemoteBytes:
        """The bytes behind a URL.

        Raises:
            RemoteError: it cannot be read.
            UnsupportedError: it is of a kind that is not known, or whose package is missing.
        """
        if location in self._missing:
            raise RemoteError(self._missing[location], path=str(location)) from FileNotFoundError()
        found = self._files.get(location)
        if found is not None:
            return found
        counter = TransferCounter()
        try:
            found = self._files[location] = RemoteBytes(location, self._transport(location, counter), counter)
        except RemoteError as error:
            if self._kept is not None and isinstance(error.__cause__, FileNotFoundError):
                self._missing[location] = error.message
            raise
        if self._kept is not None:
            self._kept.append(found)
        return found

    def names(self, directory: Location) -> list[str] | None:
        """Names of the files in a directory; none where it is not there, None where it cannot be listed.

        Raises:
            As `read`.
        """
        if directory.is_web:
            return None
        found = self._names.get(directory)
        if found is None:
            self._listings.count_request()
            with _packages(directory):
                if directory.scheme == "hf":
                    from . import hub

                    found = hub.list_names(directory, self.patience.timeout)
                else:
                    from . import fsspec_transport

                    found = fsspec_transport.list_names(directory)
            if self._kept is not None:
                self._names[directory] = found
        return found

    def _transport(self, location: Location, counter: TransferCounter) -> Transport:
        with _packages(location):
            if location.is_web or location.scheme == "hf":
                from .http_transport import HttpTransport

                url, headers = location.url, dict[str, str]()
                if location.scheme == "hf":
                    from .hub import resolve

                    url, headers = resolve(location)
                return HttpTransport(location, url, headers, self.patience, counter)
            from .fsspec_transport import FsspecTransport

            return FsspecTransport(location, counter)

    def transfer(self) -> Transfer | None:
        """What was read until now; None where nothing remote was opened."""
        files = self._kept if self._kept is not None else list(self._files.values())
        if not files:
            return None
        return Transfer(
            len(files),
            self._listings.requests + sum(file.counter.requests for file in files),
            sum(file.counter.bytes for file in files),
            sum(file.size for file in files),
        )


_DEFAULT: Final = Session(Patience(), keep=False)
_CURRENT: Final[ContextVar[Session]] = ContextVar("session", default=_DEFAULT)


def current_session() -> Session:
    """The innermost `session`, or the default one."""
    return _CURRENT.get()


@contextmanager
def session(*, timeout: float = 30.0, retries: int = 3, backoff: float = 0.5) -> Iterator[Session]:
    """Open remote files with a `Patience` of these values, and count what is read of them."""
    opened = Session(Patience(timeout, retries, backoff), keep=True)
    token = _CURRENT.set(opened)
    try:
        yield opened
    finally:
        _CURRENT.reset(token)


@contextmanager
def _packages(location: Location) -> Iterator[None]:
    """A package that is not installed becomes an error that says how to get it."""
    try:
        yield
    except ModuleNotFoundError as cause:
        package = (cause.name or "").partition(".")[0]
        message = f"{location.scheme}:// needs the package {package}: pip install 'gguf-tools[remote]'"
        raise UnsupportedError(message, path=location) from cause
