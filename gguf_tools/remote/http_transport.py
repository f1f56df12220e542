"""Ranges of a file over HTTP: what urllib3 brings is held against what was asked for.

fsspec's HTTP file system hides the answers in which these things are seen:

- A file is opened by asking for its first block, not by HEAD, which some servers refuse for signed URLs.
- An answer must be the range asked for, or its start. Every later one must be of the same size and entity tag
  (or, without one, date). Else somebody has put another file there meanwhile, and what was read fits nothing.
- A server that ignores ranges sends everything: its answer is read only as far as needed, up to
  `MAX_STREAMED`, and then broken off.
- What redirects lead to is remembered. Credentials go to the host they were given for and to no other. A
  remembered target that refuses may have expired: the first one is asked again, once.
- An answer that breaks off is gone on with where it broke.
- Compressed answers are refused: they were not asked for, and ranges of them mean nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urljoin, urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from ..errors import RemoteError
from .http_connections import (
    MOST_REDIRECTS,
    Attempts,
    RefusedError,
    TooSlowError,
    authorization,
    dispose,
    manager_for,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from .location import Location
    from .transfers import Patience, TransferCounter

__all__ = ["MAX_STREAMED", "HttpTransport"]

MAX_STREAMED: Final = 1 << 26
"""Read at most of a server without ranges: no header of a real model is larger, 64 MiB."""

_MOST_PARTS: Final = 256
"""Of one range: a server may send less than was asked for, but not a byte at a time."""

_PIECE: Final = 1 << 16
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403})
_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_MEANINGS: Final = {
    401: "the server wants credentials",
    403: "the server refuses access",
    404: "there is no such file",
    407: "the proxy wants credentials",
    410: "the file is gone",
    416: "the server has no such bytes: the file is shorter than it said",
    429: "the server has had too many requests",
}


class HttpTransport:
    """A `gguf_tools.remote.remote_bytes.Transport` for ``http`` and ``https``.

    Args:
        location: for errors.
        url: what to ask for; user and password in it become basic authentication.
        headers: to send along to its host, such as an authorization.
        patience: timeout and retries.
        counter: told about every request and byte.
    """

    def __init__(
        self,
        location: Location,
        url: str,
        headers: Mapping[str, str],
        patience: Patience,
        counter: TransferCounter,
    ) -> None:
        self.size = 0
        self.version = ""
        self.sequential = False
        self._location = location
        self._patience = patience
        self._counter = counter
        user = urlsplit(url).netloc.rpartition("@")[0]
        self._given = self._target = _without_user(url)
        self._credentials = {**authorization("Authorization", user), **headers}
        self._body: _Body | None = None
        self._opened = False
        self._span = (0, 0)

    def first(self, count: int) -> bytes:
        return self.read(0, count)

    def read(self, start: int, stop: int) -> bytes:
        self._span = (start, stop)
        data = bytearray()
        attempts = Attempts(self._patience, self._counter)
        parts = 0
        while start + len(data) < stop and not (self._opened and start + len(data) >= self.size):
            parts += 1
            if parts > _MOST_PARTS:
                self._fail(f"the server sends ranges in more than {_MOST_PARTS} parts")
            body = self._body_at(start + len(data), stop, attempts)
            attempts, body.attempts = body.attempts or attempts, None
            try:
                for piece in body.read(start + len(data), min(stop, self.size)):
                    data += piece
            except (HTTPError, OSError, ValueError) as cause:
                self._abandon()
                attempts = self._after_break(attempts, cause)
            if not self.sequential or (self._body and self._body.position >= min(MAX_STREAMED, self.size)):
                self._abandon()
        return bytes(data)

    def require_unchanged(self) -> None:
        """Every answer has been held against the first already."""

    def _body_at(self, start: int, stop: int, attempts: Attempts) -> _Body:
        """An answer with the bytes from ``start`` on; of a server that sends everything, in the middle."""
        if self.sequential and min(stop, self.size) > MAX_STREAMED:
            self._fail(
                f"the server does not send ranges, and more than {MAX_STREAMED >> 20} MiB would have to be "
                "downloaded; download the file instead"
            )
        if self._body is None or self._body.position > start:
            self._abandon()
            begin = 0 if self.sequential else start
            response = self._answer(begin, stop, attempts)
            self._body = _Body(response, begin, self._counter)
            try:
                self._body.stop = self._check(response, begin, stop)
            except BaseException:
                self._abandon()
                raise
        return self._body

    def _abandon(self) -> None:
        if self._body is not None:
            self._body.response.close()
            self._body = None

    def _answer(self, start: int, stop: int, attempts: Attempts) -> BaseHTTPResponse:
        """The server's answer of status 200, 206 or (of an empty file) 416."""
        response = self._send(start, stop, attempts)
        if response.status in _REFUSED | _GONE and self._target != self._given:
            dispose(response)
            self._target = self._given
            response = self._send(start, stop, attempts)
        status = response.status
        if status in {200, 206} or (status == 416 and not self._opened):
            return response
        dispose(response)
        if 300 <= status < 400:
            self._fail("a redirect to nowhere", status)
        meaning = _MEANINGS.get(status, "the server cannot answer" if status >= 500 else "unusable answer")
        tried = self._tried() if attempts.is_retry("GET", status) else ""
        cause = FileNotFoundError(str(self._location)) if status in _GONE else None
        self._fail(f"{meaning} (status {status}){tried}", status, cause)

    def _send(self, start: int, stop: int, attempts: Attempts) -> BaseHTTPResponse:
        """The answer at the end of all redirects and retries, of whatever status; its body is to be read."""
        url = self._target
        headers = {
            "User-Agent": "gguf-tools",
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{stop - 1}",
        }
        if _origin(url) == _origin(self._given):
            headers |= self._credentials
        try:
            response = manager_for(url).urlopen(
                "GET",
                url,
                headers=headers,
                retries=attempts,
                timeout=self._patience.timeout,
                preload_content=False,
                decode_content=False,
            )
        except MaxRetryError as cause:
            reason = cause.reason or cause
            self._fail(self._words(reason) + self._tried(reason), None, cause)
        except RefusedError as cause:
            self._fail(str(cause), None, cause)
        except ValueError as cause:  # whose words may repeat headers, and with them a token
            self._fail("its address, or what it redirects to, is no usable URL", None, cause)
        except HTTPError as cause:
            self._fail(self._words(cause), None, cause)
        finally:
            self._counter.count_request()
        assert isinstance(response.retries, Attempts)
        for attempt in response.retries.history[len(attempts.history) :]:
            if attempt.redirect_location:
                url = urljoin(url, attempt.redirect_location)
        self._target = _without_user(url)
        return response

    def _after_break(self, attempts: Attempts, cause: Exception) -> Attempts:
        """What is left of the attempts when an answer broke off, after the wait that is due."""
        reason = cause if isinstance(cause, HTTPError) else ProtocolError(str(cause))
        try:
            following = attempts.after_break(reason)
        except HTTPError:
            self._fail(self._words(cause, "in the middle of its answer") + self._tried(), None, cause)
        following.sleep()
        return following

    def _check(self, response: BaseHTTPResponse, start: int, stop: int) -> int:
        """Hold an answer against what was asked and known; returns where in the file its bytes end."""
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in {"", "identity"}:
            self._fail(f"the server compresses ({_quoted(encoding)[1:-1]}), which was not asked for")
        if response.status == 206:
            end, size = self._checked_range(response, start, stop)
        elif response.status == 200:
            end = size = self._checked_whole(response)
        elif (given := response.headers.get("Content-Range", "bytes */0")) == "bytes */0":
            end = size = 0  # of an empty file, no range exists
        else:
            self._fail(f"the server has no first byte (Content-Range {_quoted(given)})", 416)
        if (
            response.status == 416
            and response.headers.get("Content-Range", "bytes */0").strip() != "bytes */0"
        ):
            self._fail("the server has no first byte of a file that is not empty", 416)
        tag = response.headers.get("ETag", "").removeprefix("W/")
        version = tag or response.headers.get("Last-Modified", "")
        if not self._opened:
            self.size, self.version, self._opened = size, version, True
        elif (size, version) != (self.size, self.version):
            before = f"{self.size} bytes before, {size} now"
            what = before if size != self.size else "another entity tag or date"
            self._fail(f"the file changed while it was being read: {what}", response.status)
        return end

    def _checked_range(self, response: BaseHTTPResponse, start: int, stop: int) -> tuple[int, int]:
        if self.sequential:
            self._fail("the server changed its mind about ranges", 206)
        given = response.headers.get("Content-Range", "").strip()
        match = _RANGE.fullmatch(given)
        if match is None:
            self._fail(f"the server does not say what it sends (Content-Range {_quoted(given)})", 206)
        first, last, size = (int(number) for number in match.groups())
        if first != start or not first <= last < min(stop, size):
            self._fail(f"the server sends another range than asked: {given}", 206)
        length = response.length_remaining
        if length is not None and length != last + 1 - first:
            self._fail(
                f"the server contradicts itself: a range of {last + 1 - first} bytes, a length of {length}",
                206,
            )
        return last + 1, size

    def _checked_whole(self, response: BaseHTTPResponse) -> int:
        if self._opened and not self.sequential:
            self._fail("the server no longer sends ranges; the file may have changed", 200)
        if response.length_remaining is None:
            self._fail("the server neither sends ranges nor says how long the file is", 200)
        self.sequential = True
        return response.length_remaining

    def _words(self, cause: BaseException, where: str = "") -> str:
        """What went wrong on the way, in words of ours as far as there are some."""
        inner = _innermost(cause)
        why = os.strerror(inner.errno) if isinstance(inner, OSError) and inner.errno else inner
        described = why if isinstance(why, str) else self._location.describe(why)
        limit = f"within {self._patience.timeout:g} s"
        if isinstance(inner, TooSlowError):
            return described
        if isinstance(cause, ProxyError):
            return f"cannot get through the proxy: {described}"
        if isinstance(cause, NameResolutionError):
            return f"the host {cause.conn.host} is unknown"
        if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
            return f"no connection {limit}"
        if isinstance(cause, ReadTimeoutError):
            return f"the server stopped {where}" if where else f"no answer {limit}"
        if isinstance(cause, ResponseError):
            return f"more than {MOST_REDIRECTS} redirects"
        if isinstance(cause, (NewConnectionError, SSLError)):
            return f"cannot connect: {described}"
        return f"the connection broke{' ' + where if where else ''}: {described}"

    def _tried(self, reason: BaseException | None = None) -> str:
        often = self._patience.retries and not isinstance(reason, ResponseError)
        return f"; tried {self._patience.retries + 1} times" if often else ""

    def _fail(self, message: str, status: int | None = None, cause: BaseException | None = None) -> NoReturn:
        raise RemoteError(message, path=str(self._location), status=status, span=self._span) from cause


class _Body:
    """The bytes of a file that an answer has, from ``position`` to ``stop``."""

    def __init__(self, response: BaseHTTPResponse, position: int, counter: TransferCounter) -> None:
        self.response = response
        self.position = self.stop = position
        self.attempts = response.retries if isinstance(response.retries, Attempts) else None
        self._counter = counter

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Those from ``start`` on, up to ``stop`` or the end; those before are read and forgotten."""
        while self.position < (until := min(stop, self.stop)):
            near = start if self.position < start else until
            piece = self.response.read(min(near - self.position, _PIECE), decode_content=False)
            if not piece:
                raise ProtocolError("the server sent less than it said")
            self._counter.count_bytes(len(piece))
            self.position += len(piece)
            if self.position > start:
                yield piece


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: who gets credentials."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _without_user(url: str) -> str:
    """A URL without user, password and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def _quoted(text: str) -> str:
    """What a server said, as far as it fits into a line."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")


def _innermost(cause: BaseException) -> BaseException:
    """The first of errors that wrap one another, as causes or, in urllib3, as last arguments."""
    while inner := next(
        (e for e in (cause.__cause__, cause.__context__, *cause.args[-1:]) if isinstance(e, Exception)), None
    ):
        cause = inner
    return cause
