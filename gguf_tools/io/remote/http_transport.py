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
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urljoin

from urllib3 import connection_from_url
from urllib3.exceptions import (
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ResponseError,
    SSLError,
    TimeoutError,  # noqa: A004 - the name it has there
)
from urllib3.util import parse_url

from ...errors import RemoteError
from .http_connections import Attempts, RefusedError, TooSlowError, authorization, dispose, manager_for

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
_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_GONE: Final = frozenset({404, 410})
_EXPIRED: Final = _GONE | {401, 403}

_MEANINGS: Final = {
    401: "the server wants credentials",
    403: "the server refuses access",
    404: "there is no such file",
    407: "the proxy wants credentials",
    410: "the file is gone",
    416: "the server has no such bytes: the file is shorter than it said",
    429: "the server has had too many requests",
}

_TROUBLES: Final = (
    (ProxyError, "cannot get through the proxy: {why}"),
    (NameResolutionError, "the host {host} is unknown"),
    (NewConnectionError, "cannot connect: {why}"),
    (SSLError, "cannot connect: {why}"),
    (TimeoutError, "no answer within {timeout:g} s"),
    (ResponseError, "{why}"),
    (HTTPError, "the connection broke: {why}"),
)
"""What urllib3's errors mean, the first class that fits."""


class HttpTransport:
    """A `gguf_tools.io.remote.remote_bytes.Transport` for ``http`` and ``https``.

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
        self._span = (0, 0)
        try:
            self._target = self._given = _without_user(url)
            self._home = connection_from_url(self._given)
            self._credentials = {**authorization("Authorization", parse_url(url).auth), **headers}
        except HTTPError as cause:
            raise RemoteError("not a usable URL", path=str(location)) from cause
        self._opened = False
        self._response: BaseHTTPResponse | None = None
        self._position = self._end = 0
        """Where in the file that response is, and ends."""

    def first(self, count: int) -> bytes:
        return self.read(0, count)

    def read(self, start: int, stop: int) -> bytes:
        self._span = (start, stop)
        data = bytearray()
        attempts = Attempts(self._patience, self._counter)
        for _ in range(_MOST_PARTS):
            attempts = self._read_on(data, start + len(data), stop, attempts)
            if start + len(data) >= min(stop, self.size) and self._opened:
                return bytes(data)
        self._fail(f"the server sends ranges in more than {_MOST_PARTS} parts")

    def require_unchanged(self) -> None:
        """Every answer has been held against the first already."""

    def _read_on(self, data: bytearray, start: int, stop: int, attempts: Attempts) -> Attempts:
        """Add bytes from ``start`` on: what an answer has of them, or had before it broke off."""
        if self.sequential and min(stop, self.size) > MAX_STREAMED:
            self._fail(
                f"the server does not send ranges, and more than {MAX_STREAMED >> 20} MiB would have to be "
                "downloaded; download the file instead"
            )
        if self._response is None or self._position > start:
            attempts = self._ask(0 if self.sequential else start, stop, attempts)
        assert self._response is not None
        try:
            while self._position < (end := min(stop, self._end)):
                near = start if self._position < start else end  # what was read before a break comes again
                piece = self._response.read(min(near - self._position, _PIECE), decode_content=False)
                if not piece:
                    raise ProtocolError("the server sent less than it said")
                self._counter.count_bytes(len(piece))
                self._position += len(piece)
                if self._position > start:
                    data += piece
        except (HTTPError, OSError, ValueError) as cause:
            self._abandon()
            attempts = self._after_break(attempts, cause)
        if not self.sequential or self._position >= min(MAX_STREAMED, self.size):
            self._abandon()
        return attempts

    def _abandon(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _ask(self, start: int, stop: int, attempts: Attempts) -> Attempts:
        """Get an answer whose body is wanted, of status 200, 206 or (of an empty file) 416."""
        self._abandon()
        response = self._send(start, stop, attempts)
        if response.status in _EXPIRED and self._target != self._given:
            dispose(response)
            self._target = self._given
            response = self._send(start, stop, attempts)
        self._response, self._position = response, start
        try:
            self._end = self._check(response, start, stop)
        except BaseException:
            self._abandon()
            raise
        return response.retries if isinstance(response.retries, Attempts) else attempts

    def _send(self, start: int, stop: int, attempts: Attempts) -> BaseHTTPResponse:
        """The answer at the end of all redirects and retries, of whatever status; its body is to be read."""
        url = self._target
        headers = {"User-Agent": "gguf-tools", "Accept-Encoding": "identity"}
        headers["Range"] = f"bytes={start}-{stop - 1}"
        if self._home.is_same_host(url):
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
        except RefusedError as cause:
            self._fail(str(cause), None, cause)
        except ValueError as cause:  # whose words may repeat headers, and with them a token
            self._fail("no request can be made of its user, its token, or what it redirects to", None, cause)
        except HTTPError as cause:
            self._fail_of(cause)
        finally:
            self._counter.count_request()
        history = response.retries.history if response.retries else ()
        for attempt in history[len(attempts.history) :]:
            url = urljoin(url, attempt.redirect_location or "")
        self._target = _without_user(url)
        return response

    def _check(self, response: BaseHTTPResponse, start: int, stop: int) -> int:
        """Hold an answer against what was asked and known; returns where in the file its bytes end."""
        status, length = response.status, response.length_remaining
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        given = response.headers.get("Content-Range", "").strip()
        if status in {200, 206} and encoding not in {"", "identity"}:
            self._fail(f"the server compresses ({ascii(encoding[:40])[1:-1]}), which was not asked for")
        if status == 206 and not self.sequential:
            if not (match := _RANGE.fullmatch(given)):
                self._fail(f"the server does not say what it sends (Content-Range {given[:80]!a})", 206)
            first, last, size = (int(number) for number in match.groups())
            if first != start or not first <= last < min(stop, size):
                self._fail(f"the server sends another range than asked: {given}", 206)
            if length not in {None, last + 1 - first}:
                what = f"a range of {last + 1 - first} bytes, a length of {length}"
                self._fail(f"the server contradicts itself: {what}", 206)
            end = last + 1
        elif status == 200 and (self.sequential or not self._opened):
            if length is None:
                self._fail("the server neither sends ranges nor says how long the file is", 200)
            end = size = length
            self.sequential = True
        elif status == 416 and not self._opened and given in {"", "bytes */0"}:
            end = size = 0  # of an empty file, no range exists
        elif status in {200, 206}:
            self._fail("the server changed its mind about ranges; the file may have changed", status)
        else:
            self._fail_status(status, response.retries)
        tag = response.headers.get("ETag", "").removeprefix("W/")
        version = tag or response.headers.get("Last-Modified", "")
        if not self._opened:
            self.size, self.version, self._opened = size, version, True
        elif (size, version) != (self.size, self.version):
            sizes = f"{self.size} bytes before, {size} now"
            what = sizes if size != self.size else "another entity tag or date"
            self._fail(f"the file changed while it was being read: {what}", status)
        return end

    def _after_break(self, attempts: Attempts, cause: Exception) -> Attempts:
        """What is left of the attempts when an answer broke off, after the wait that is due."""
        try:
            following = attempts.after_break(cause if isinstance(cause, HTTPError) else ProtocolError(cause))
        except HTTPError as exhausted:
            self._fail_of(exhausted)
        following.sleep()
        return following

    def _fail_status(self, status: int, retries: object) -> NoReturn:
        general = {3: "a redirect to nowhere", 5: "the server cannot answer"}.get(
            status // 100, "unusable answer"
        )
        message = f"{_MEANINGS.get(status, general)} (status {status})"
        if isinstance(retries, Attempts) and retries.is_retry("GET", status):
            message += self._tried()
        self._fail(message, status, FileNotFoundError(str(self._location)) if status in _GONE else None)

    def _fail_of(self, cause: HTTPError) -> NoReturn:
        """Say in words of ours what went wrong on the way."""
        reason = cause.reason if isinstance(cause, MaxRetryError) and cause.reason else cause
        inner = _innermost(reason)
        why = self._location.describe(inner)
        if isinstance(inner, OSError) and inner.errno and inner.errno > 0:
            why = os.strerror(inner.errno)
        words = next(words for kind, words in _TROUBLES if isinstance(reason, kind))
        host = reason.conn.host if isinstance(reason, NameResolutionError) else ""
        message = words.format(why=why, host=host, timeout=self._patience.timeout)
        if isinstance(inner, TooSlowError):
            message = why
        self._fail(message + ("" if isinstance(reason, ResponseError) else self._tried()), None, cause)

    def _tried(self) -> str:
        return f"; tried {self._patience.retries + 1} times" if self._patience.retries else ""

    def _fail(self, message: str, status: int | None = None, cause: BaseException | None = None) -> NoReturn:
        raise RemoteError(message, path=str(self._location), status=status, span=self._span) from cause


def _without_user(url: str) -> str:
    """A URL without user, password and fragment."""
    return parse_url(url)._replace(auth=None, fragment=None).url


def _innermost(cause: BaseException) -> BaseException:
    """The first of errors that wrap one another, as causes or, in urllib3, as last arguments."""
    while inner := next(
        (e for e in (cause.__cause__, cause.__context__, *cause.args[-1:]) if isinstance(e, Exception)), None
    ):
        cause = inner
    return cause
