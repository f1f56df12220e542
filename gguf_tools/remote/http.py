"""Ranges of a file over HTTP.

Why urllib3 and not fsspec's HTTP file system: what has to be right here is seen in the answers, and fsspec
hides them. Whether a range was honoured, whether the entity tag and total size are still those of the first
answer, what an interrupted body had delivered, where a redirect leads and what may be sent there. urllib3
gives exactly that, with pooled connections, timeouts, certificates and lengths enforced; only the decisions
are made here:

- A file is opened by asking for its first block, not by HEAD, which some servers refuse for signed URLs.
- Every later answer must be of the same size and entity tag (or, without one, date). Else somebody has put
  another file there meanwhile, and what was read fits nothing.
- A server that ignores ranges sends everything: its answer is read only as far as needed, up to
  `MAX_STREAMED`, and then broken off.
- Redirects are followed, never from https to http, and what they lead to is remembered. Credentials go to
  the host they were given for and to no other. A remembered place that refuses may have expired: the first
  one is asked again, once.
- Retried are timeouts, broken connections (going on where they broke) and the statuses of `_LATER`.
- Compressed answers are refused: they were not asked for, and ranges of them mean nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    TimeoutError,  # noqa: A004 - the name it has there
)

from ..errors import RemoteError
from .location import fault_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from .location import Location
    from .session import Counter, Settings

__all__ = ["MAX_STREAMED", "HttpTransport"]

MAX_STREAMED: Final = 1 << 26
"""Read at most of a server without ranges: no header of a real model is larger, 64 MiB."""

_MOST_REDIRECTS: Final = 10
_MOST_WAITED: Final = 20.0
"""Seconds that a server may ask to be left alone for (``Retry-After``); it is tried again after no more."""

_MOST_PARTS: Final = 256
"""Of one range: a server may send less than was asked for, but not a byte at a time."""

_PIECE: Final = 1 << 16
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403})
_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_MEANINGS: Final = {
    401: "the server wants credentials",
    403: "the server refuses access",
    404: "there is no such file",
    410: "the file is gone",
    429: "the server has had too many requests",
}


class _BrokenError(Exception):
    """An answer that broke off, or did not come; what may pass by itself."""

    def __init__(self, message: str, *, status: int | None = None, wait: float = 0.0) -> None:
        super().__init__(message)
        self.message, self.status, self.wait = message, status, wait


class HttpTransport:
    """A `gguf_tools.remote.source.Transport` for ``http`` and ``https``.

    Args:
        location: for errors.
        url: what to ask for; user and password in it become basic authentication.
        headers: to send along to its host, such as an authorization.
        settings: timeout and retries.
        counter: told about every request and byte.
    """

    def __init__(
        self, location: Location, url: str, headers: Mapping[str, str], settings: Settings, counter: Counter
    ) -> None:
        self.size = 0
        self.version = ""
        self.sequential = False
        self._path = str(location)
        self._settings = settings
        self._counter = counter
        self._given, credentials = _without_user(url)
        self._credentials = {**credentials, **headers}
        self._target = self._given
        self._stream: _Stream | None = None
        self._opened = False

    def first(self, count: int) -> bytes:
        return self._read(0, count)

    def read(self, start: int, stop: int) -> bytes:
        return self._read(start, stop)

    def require_unchanged(self) -> None:
        """Every answer has been held against the first already."""

    def _read(self, start: int, stop: int) -> bytes:
        """Bytes of a range: all of them, or of the first range as many as there are."""
        data = bytearray()
        failures = parts = 0
        while start + len(data) < stop:
            parts += 1
            if parts > _MOST_PARTS:
                raise self._fault(f"the server sends ranges in more than {_MOST_PARTS} parts", start, stop)
            try:
                for piece in self._pieces(start + len(data), stop):
                    data += piece
                    self._counter.received(len(piece))
                stop = min(stop, self.size)
            except _BrokenError as broken:
                failures += 1
                if failures > self._settings.retries:
                    tried = f"{broken.message}; tried {failures} times" if failures > 1 else broken.message
                    raise self._fault(tried, start, stop, broken.status) from broken
                time.sleep(max(self._settings.backoff * 2 ** (failures - 1), broken.wait))
        return bytes(data)

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes from ``start`` on as they come, up to ``stop`` or what the server wants to give at once."""
        if self._stream is not None:
            yield from self._streamed(self._stream, start, stop)
            return
        response = self._answer(start, stop)
        try:
            if response.status == 206:
                count = self._check_range(response, start, stop)
            elif response.status == 416 and not self._opened:
                self._opened = True  # of an empty file, no range exists
                return
            else:
                self._check_whole(response, start, stop)
                self._stream = _Stream(response)
                yield from self._streamed(self._stream, start, stop)
                return
            if count > 0:
                yield from _body(response, count)
        finally:
            if self._stream is None:
                response.close()

    def _streamed(self, stream: _Stream, start: int, stop: int) -> Iterator[bytes]:
        """The same of a server that only sends everything."""
        stop = min(stop, self.size)
        if stop > MAX_STREAMED:
            raise self._fault(
                f"the server does not send ranges, and more than {MAX_STREAMED >> 20} MiB would have to be "
                "downloaded; download the file instead",
                start,
                stop,
            )
        try:
            if stream.position > start or stream.response.closed:
                stream.response.close()
                response = self._answer(0, stop)
                if response.status != 200:
                    raise self._fault("the server changed its mind about ranges", start, stop)
                self._check_whole(response, 0, stop)
                stream = self._stream = _Stream(response)
            if stream.position < start:  # after a break: what was read before comes again
                for piece in stream.read(start):
                    self._counter.received(len(piece))
            yield from stream.read(stop)
        except _BrokenError:
            stream.response.close()
            raise
        if stream.position >= min(MAX_STREAMED, self.size):
            stream.response.close()

    def _answer(self, start: int, stop: int) -> BaseHTTPResponse:
        """The server's answer of status 200, 206 or (of an empty file) 416.

        Raises:
            _BrokenError: it may be worth trying again.
            RemoteError: it is not.
        """
        response = self._followed(start, stop)
        if response.status in _REFUSED | _GONE and self._target != self._given:
            response.close()
            self._target = self._given
            response = self._followed(start, stop)
        status = response.status
        if status in {200, 206} or (status == 416 and not self._opened):
            if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
                encoding = response.headers["Content-Encoding"]
                response.close()
                raise self._fault(f"the server compresses ({encoding}), which was not asked for", start, stop)
            return response
        wait = _seconds(response.headers.get("Retry-After"))
        response.close()
        if status == 416:
            raise self._fault(
                "the server has no such bytes: the file is shorter than it said", start, stop, status
            )
        meaning = _MEANINGS.get(status, "the server cannot answer" if status >= 500 else "unusable answer")
        message = f"{meaning} (status {status})"
        if status in _LATER:
            raise _BrokenError(message, status=status, wait=wait)
        raise self._fault(message, start, stop, status) from (
            FileNotFoundError(self._path) if status in _GONE else None
        )

    def _followed(self, start: int, stop: int) -> BaseHTTPResponse:
        """The answer at the end of all redirects, which are remembered."""
        url = self._target
        for _ in range(_MOST_REDIRECTS):
            response = self._send(url, start, stop)
            if response.status not in _REDIRECTS:
                self._target = url
                return response
            place = response.headers.get("Location")
            response.close()
            if not place:
                raise self._fault("a redirect to nowhere", start, stop, response.status)
            target = _joined(url, place)
            if not target.startswith(("http:", "https:")) or fault_of(target):
                raise self._fault("a redirect to what is not http", start, stop, response.status)
            target, _ = _without_user(target)
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise self._fault("a redirect from https to http, refused", start, stop, response.status)
            url = target
        raise self._fault(f"more than {_MOST_REDIRECTS} redirects", start, stop)

    def _send(self, url: str, start: int, stop: int) -> BaseHTTPResponse:
        """One request, one answer of whatever status; its body is still to be read."""
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        if _origin(url) == _origin(self._given):
            headers |= self._credentials
        self._counter.request()
        try:
            return _pool(_proxy(url)).request(
                "GET",
                url,
                headers={"User-Agent": "gguf-tools", **headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=self._settings.timeout,
            )
        except NameResolutionError as cause:
            raise self._fault(f"the host {urlsplit(url).hostname} is unknown", start, stop) from cause
        except NewConnectionError as cause:  # refused, say; nothing that passes by itself
            raise self._fault(f"cannot connect: {_reason(cause)}", start, stop) from cause
        except TimeoutError as cause:
            raise _BrokenError(f"no answer within {self._settings.timeout:g} s") from cause
        except ProtocolError as cause:
            raise _BrokenError(f"the connection broke: {_reason(cause)}") from cause
        except (HTTPError, LocationValueError, ValueError) as cause:
            raise self._fault(f"cannot connect: {_reason(cause)}", start, stop) from cause

    def _check_range(self, response: BaseHTTPResponse, start: int, stop: int) -> int:
        """Check a 206 against what was asked and known; how many bytes follow."""
        given = response.headers.get("Content-Range", "")
        match = _RANGE.fullmatch(given.strip())
        if match is None:
            raise self._fault(
                f"the server does not say what it sends (Content-Range {given!r})", start, stop, 206
            )
        first, last, size = (int(number) for number in match.groups())
        if first != start or not first <= last < min(stop, size):
            raise self._fault(f"the server sends another range than asked: {given}", start, stop, 206)
        length = response.headers.get("Content-Length")
        if length is not None and length != str(last + 1 - first):
            message = (
                f"the server contradicts itself: a range of {last + 1 - first} bytes, a length of {length}"
            )
            raise self._fault(message, start, stop, 206)
        self._check_same(response, size, start, stop)
        return last + 1 - first

    def _check_whole(self, response: BaseHTTPResponse, start: int, stop: int) -> None:
        """Check a 200, which ignores the range, against what is known."""
        if self._opened and not self.sequential:
            response.close()
            raise self._fault(
                "the server no longer sends ranges; the file may have changed", start, stop, 200
            )
        length = response.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,19}", length):
            response.close()
            raise self._fault(
                "the server neither sends ranges nor says how long the file is", start, stop, 200
            )
        self.sequential = True
        try:
            self._check_same(response, int(length), start, stop)
        except RemoteError:
            response.close()
            raise

    def _check_same(self, response: BaseHTTPResponse, size: int, start: int, stop: int) -> None:
        """Hold size and version of an answer against those of the first."""
        tag = response.headers.get("ETag", "").removeprefix("W/")
        version = tag or response.headers.get("Last-Modified", "")
        if not self._opened:
            self.size, self.version, self._opened = size, version, True
        elif (size, version) != (self.size, self.version):
            what = (
                f"{self.size} bytes before, {size} now" if size != self.size else "another entity tag or date"
            )
            message = f"the file changed while it was being read: {what}"
            raise self._fault(message, start, stop, response.status)

    def _fault(self, message: str, start: int, stop: int, status: int | None = None) -> RemoteError:
        return RemoteError(message, path=self._path, status=status, span=(start, stop))


class _Stream:
    """The body of an answer that is everything, read as far as needed."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self.response = response
        self.position = 0

    def read(self, stop: int) -> Iterator[bytes]:
        """Bytes from where it is up to ``stop``."""
        for piece in _body(self.response, stop - self.position):
            self.position += len(piece)
            yield piece


def _body(response: BaseHTTPResponse, count: int) -> Iterator[bytes]:
    """The next ``count`` bytes of an answer's body, in pieces.

    Raises:
        _BrokenError: it ends before, or nothing comes for too long.
    """
    try:
        while count:
            piece = response.read(min(count, _PIECE), decode_content=False)
            if not piece:
                raise _BrokenError("the server sent less than it said")
            count -= len(piece)
            yield piece
    except TimeoutError as cause:
        raise _BrokenError("the server stopped in the middle of its answer") from cause
    except (HTTPError, OSError) as cause:
        raise _BrokenError(f"the connection broke in the middle of an answer: {_reason(cause)}") from cause


@cache
def _pool(proxy: str | None) -> PoolManager:
    """Connections, kept open for further requests; those to all hosts, or to a proxy."""
    return urllib3.PoolManager() if proxy is None else urllib3.ProxyManager(proxy)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return None if proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2]) else proxy


def _joined(url: str, place: str) -> str:
    """Where a redirect leads; nowhere if that is no URL."""
    try:
        return urljoin(url, place)
    except ValueError:  # such as for brackets without an address in them
        return ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: who gets credentials."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """A URL without user, password and fragment, and the header that says the same."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    return bare, urllib3.make_headers(basic_auth=unquote(user)) if at else {}


def _seconds(text: str | None) -> float:
    """What ``Retry-After`` says, where it is a number."""
    return min(float(text), _MOST_WAITED) if text and re.fullmatch(r"\d{1,9}", text.strip()) else 0.0


def _reason(cause: BaseException) -> str:
    """The innermost words of an error that wraps others."""
    while isinstance(inner := (cause.__cause__ or cause.__context__), Exception):
        cause = inner
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__
