"""urllib3's connections and retries, with the bounds and rules that it leaves to its users.

urllib3 keeps connections, checks certificates and lengths, talks to proxies, follows redirects (leaving
``Authorization`` behind where the host changes), waits and tries again. Added here: which proxy the
environment names for each hop; no redirect from https to http; errors for answers that drip or whose head
never ends; one limit on retries of all kinds; no reading of large bodies that are not wanted.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
from functools import cache
from time import monotonic
from typing import Any, Final, Self
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
    Retry,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import parse_url

from .transfers import Patience, TransferCounter

__all__ = ["Attempts", "RefusedError", "TooSlowError", "authorization", "dispose", "manager_for"]

_MOST_REDIRECTS: Final = 10

SLOWEST: Final = 1 << 10
"""Bytes a second. An answer may take its timeout and then as long as this rate allows for what has come."""

LARGEST_HEAD: Final = 1 << 18
"""Bytes of an answer before its body, with all its ``100 Continue``; servers send a few thousand."""

_LARGEST_DRAINED: Final = 1 << 16
"""A body that is not wanted is read to its end if that is near, and the connection can be used again."""

_LONGEST_WAIT: Final = 20
"""Seconds that a server may ask to be left alone for (``Retry-After``); it is tried again after no more."""

_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})


class RefusedError(HTTPError):
    """What the server or the environment wants is not done; the text says why."""


class TooSlowError(TimeoutError):
    """An answer drips."""


class Attempts(Retry):
    """urllib3's retries: ``patience.retries`` of all kinds together, besides `_MOST_REDIRECTS` redirects.

    Args:
        patience: how often, and how long to wait before.
        counter: told about every request that was followed by another; the last one is the caller's to count.
        kept: what urllib3 carries over from one attempt to the next.
    """

    def __init__(self, patience: Patience, counter: TransferCounter, **kept: Any) -> None:
        self._patience = patience
        self._counter = counter
        rules = {
            "total": None,
            "redirect": _MOST_REDIRECTS,
            "status_forcelist": _LATER,
            "raise_on_status": False,
            "backoff_factor": patience.backoff,
            "backoff_max": _LONGEST_WAIT,
        }
        super().__init__(**{**rules, **kept})

    def new(self, **kept: Any) -> Self:
        return super().new(patience=self._patience, counter=self._counter, **kept)

    def increment(  # type: ignore[override]
        self,
        method: str = "GET",
        url: str = "",
        response: BaseHTTPResponse | None = None,
        *rest: Any,
        **named: Any,
    ) -> Self:
        """As urllib3's, after a look at where a redirect leads.

        Raises:
            RefusedError: it does not lead where a request may go.
        """
        if response is not None:
            target = urlsplit(urljoin(url, response.get_redirect_location() or ""))
            if target.scheme not in {"", "http", "https"}:
                raise RefusedError("a redirect to what is not http, refused")
            if target.scheme == "http" and urlsplit(url).scheme == "https":
                raise RefusedError("a redirect from https to http, refused")
            dispose(response)
        following = super().increment(method, url, response, *rest, **named)
        self._counter.count_request()
        return following

    def after_break(self, error: Exception) -> Self:
        """The attempts that are left when an answer broke off; raises as `increment` where none is."""
        return super().increment("GET", error=error)

    def is_exhausted(self) -> bool:
        failures = sum(not attempt.redirect_location for attempt in self.history)
        return failures > self._patience.retries or super().is_exhausted()

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            seconds = super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return None if seconds is None else min(seconds, _LONGEST_WAIT)


def dispose(response: BaseHTTPResponse) -> None:
    """Have done with an answer whose body is not wanted."""
    length = response.length_remaining
    if length is not None and length <= _LARGEST_DRAINED:
        response.drain_conn()
    else:
        response.close()


class _BoundedReader(io.RawIOBase):
    """The bytes of one answer as they come. Too slowly, or with too long a head, they end in an error."""

    def __init__(self, raw: io.RawIOBase, timeout: float | None) -> None:
        self._raw = raw
        self._timeout = timeout or 0.0
        self._waited = 0.0
        self._received = 0
        self.in_head = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begun = monotonic()
        count = self._raw.readinto(buffer)
        self._waited += monotonic() - begun
        self._received += count or 0
        if self._waited > self._timeout + self._received / SLOWEST:
            raise TooSlowError(f"the answer drips, with fewer than {SLOWEST} bytes a second")
        if self.in_head and self._received > LARGEST_HEAD:
            raise http.client.HTTPException(f"its head is longer than {LARGEST_HEAD >> 10} KiB")
        return count

    def readall(self) -> bytes:
        """Nobody asks for all there is; a server could make http.client do so, by a length of -1."""
        raise http.client.HTTPException("an answer with a negative length")

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer, of a proxy as well, that is read through a `_BoundedReader`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._reader = _BoundedReader(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.in_head = False


class _Connection(HTTPConnection):
    response_class = _BoundedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Direct(PoolManager):
    """Hands a request over to the manager that its URL belongs to: a redirect may lead elsewhere."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> BaseHTTPResponse:  # type: ignore[override]
        # What an earlier hop through a proxy has put there is of that hop.
        options["headers"] = {name: text for name, text in options["headers"].items() if name != "Host"}
        manager = manager_for(url)
        opened = super().urlopen if manager is self else manager.urlopen
        return opened(method, url, redirect=redirect, **options)


class _Proxied(_Direct, ProxyManager):
    """The same through a proxy."""


def manager_for(url: str) -> PoolManager:
    """The connections to use for a URL: kept open, through the proxy that the environment names, or direct.

    Raises:
        RefusedError: what it names is no proxy.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return _manager(None if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]) else proxy)


@cache
def _manager(proxy: str | None) -> PoolManager:
    if proxy is None:
        return _Direct()
    try:
        address = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        headers = authorization("Proxy-Authorization", address.auth)
        return _Proxied(address._replace(auth=None).url, proxy_headers=headers)
    except (HTTPError, ValueError):  # whose words repeat the password
        message = "the proxy that the environment names is unusable: expected http://HOST:PORT"
        raise RefusedError(message) from None


def authorization(name: str, user: str | None) -> dict[str, str]:
    """The header of a name that says the ``user:password`` of a URL, if there is one."""
    if not user:
        return {}
    return {name: "Basic " + base64.b64encode(unquote(user).encode("utf-8", "surrogatepass")).decode()}
