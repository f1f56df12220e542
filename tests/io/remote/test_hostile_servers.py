"""Servers and proxies that mean harm: every one of them is an error of one line, and soon."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from gguf_tools.container import open_gguf
from gguf_tools.errors import GGUFToolsError, RemoteError
from gguf_tools.io.remote import http_connections
from gguf_tools.io.remote.session import Session, session
from tests.io.remote.files import model
from tests.io.remote.raw import CERTIFICATE, MOST, Script, raw_serving
from tests.io.remote.server import Reply, Request, Server, serving

BIG = model(30_000)
RANGE = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-65535/9999999\r\n"


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The certificate of the tests' servers is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    http_connections._manager.cache_clear()
    yield
    http_connections._manager.cache_clear()


def refused(url: str) -> RemoteError:
    """The error of opening a URL, which must be a line."""
    with pytest.raises(RemoteError) as caught:
        open_gguf(url)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 600
    return caught.value


def dripping(start: bytes, piece: bytes = b"x") -> Script:
    """A start, and then a piece every twentieth of a second."""

    def script(head: bytes) -> Iterator[bytes]:
        yield start
        while True:
            time.sleep(0.05)
            yield piece

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            lambda head: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), id="100-continue"
        ),
        pytest.param(
            lambda head: itertools.chain(
                [b"HTTP/1.1 100 Continue\r\n"], itertools.repeat(b"X: " + b"y" * 60_000 + b"\r\n")
            ),
            id="100-with-headers",
        ),
        pytest.param(
            lambda head: itertools.chain([RANGE], itertools.repeat(b"X: " + b"y" * 60_000 + b"\r\n")),
            id="long-headers",
        ),
        pytest.param(
            lambda head: itertools.chain([RANGE], itertools.repeat(b"X: y\r\n" * 100)), id="headers"
        ),
        pytest.param(
            lambda head: itertools.chain([RANGE, b"X: "], itertools.repeat(b"y" * 9999)), id="header"
        ),
        pytest.param(
            lambda head: itertools.chain([b"HTTP/1.1 "], itertools.repeat(b"2" * 9999)), id="status"
        ),
    ],
)
def test_heads_without_an_end(opened: Session, script: Script) -> None:
    with raw_serving(script) as server:
        assert "the connection broke" in str(refused(server.url()))
        assert len(server.heads) == 3
        assert server.sent < 3 * (8 << 20)  # what the system's buffers take included


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(dripping(RANGE + b"Content-Length: 65536\r\n\r\n"), id="body"),
        pytest.param(dripping(RANGE + b"X: "), id="header"),
        pytest.param(dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="100-continue"),
        pytest.param(dripping(RANGE + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
        pytest.param(dripping(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9999\r\n\r\n"), id="not-wanted"),
    ],
)
def test_answers_that_drip(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    monkeypatch.setattr(http_connections, "SLOWEST", 1 << 20)
    with raw_serving(script) as server, session(timeout=0.3, retries=0):
        text = str(refused(server.url()))
        assert any(words in text for words in ("drips", "no answer", "status 404"))
        assert server.sent < 2000


class Clock:
    """A thousand bytes at a time, each time after so many seconds of a clock that nobody waits for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0

    def readinto(self, buffer: bytearray) -> int:
        self.now += self.seconds
        return min(1000, len(buffer))

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds", "enough"), [(0.9, True), (1.1, False)])
def test_the_rate_that_is_enough(monkeypatch: pytest.MonkeyPatch, seconds: float, enough: bool) -> None:
    clock = Clock(seconds)
    monkeypatch.setattr(http_connections, "monotonic", clock.monotonic)
    reader = http_connections._BoundedReader(clock, timeout=30)  # type: ignore[arg-type]
    reader.in_head = False
    read = 0
    try:
        for _ in range(1000):
            read += reader.readinto(bytearray(4096)) or 0
    except http_connections.TooSlowError:
        assert not enough
        assert read / 1024 + 30 < clock.now
    else:
        assert enough
        assert clock.now > 30


class TestBodies:
    @pytest.mark.parametrize(
        "chunks",
        [
            itertools.repeat(b"10000\r\n" + b"x" * 65536 + b"\r\n"),
            [b"-1\r\n", *[b"x" * 65536] * 999],
            [b"-5\r\n", *[b"x" * 65536] * 999],
            [b"zz\r\n", *[b"x" * 65536] * 999],
            itertools.repeat(b"1" * 65536),
        ],
        ids=["endless", "-1", "-5", "zz", "long"],
    )
    def test_chunks(self, opened: Session, chunks: Iterator[bytes]) -> None:
        head = RANGE + b"Transfer-Encoding: chunked\r\n\r\n"
        with raw_serving(lambda _: itertools.chain([head], chunks)) as server:
            with pytest.raises(GGUFToolsError):
                open_gguf(server.url())
            assert server.sent < 3 * (8 << 20)

    @pytest.mark.parametrize("length", ["5, 6", "-1", "1", "65537", "999999999999999999999", "zz"])
    def test_lengths_that_are_lies(self, opened: Session, length: str) -> None:
        head = RANGE + f"Content-Length: {length}\r\n\r\n".encode()
        with raw_serving(lambda _: itertools.chain([head], [b"x" * 9999])) as server:
            refused(server.url())

    @pytest.mark.parametrize("status", ["503 Later", "302 Found\r\nLocation: /other", "404 Not Found"])
    @pytest.mark.parametrize("length", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
    def test_large_bodies_that_nobody_wants(self, opened: Session, status: str, length: str) -> None:
        head = f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode()
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with raw_serving(lambda _: itertools.chain([head], itertools.repeat(chunk))) as server:
            refused(server.url())
            assert server.sent < len(server.heads) * (8 << 20) < MOST << 16


class TestRedirects:
    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ("http://[x", "no request can be made"),
            ("http://host:99999/", "no request can be made"),
            ("file:///etc/passwd", "not http, refused"),
            ("FILE:///etc/passwd", "not http, refused"),
            ("data:,x", "not http, refused"),
            ("gopher://localhost/", "not http, refused"),
            ("//[::1", "no request can be made"),
            ("http://", "too many redirects"),  # which is the same place again
            ("\x00", ""),
        ],
    )
    def test_to_what_is_no_address(self, server: Server, opened: Session, place: str, message: str) -> None:
        server.meddle = lambda request, reply: Reply(302, {"Location": place}, b"")
        assert message in str(refused(server.url("m.gguf")))
        assert len(server.requests) <= 11

    def test_in_a_circle(self, server: Server, opened: Session) -> None:
        server.meddle = lambda request, reply: Reply(302, {"Location": f"{request.path}x"}, b"")
        assert "too many redirects" in str(refused(server.url("m.gguf")))
        assert len(server.requests) == 11

    def test_ten_are_followed(self, server: Server, opened: Session) -> None:
        server.files["m.gguf" + "x" * 10] = BIG
        server.meddle = lambda request, reply: (
            Reply(302, {"Location": f"{request.path}x"}, b"") if reply.status == 404 else None
        )
        open_gguf(server.url("m.gguf")).close()

    @pytest.mark.usefixtures("_trusted")
    def test_from_https_to_http(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        places = ["HTTPS://localhost:{port}/m.gguf", server.url("m.gguf")]  # in capitals it is https, too

        def script(head: bytes) -> list[bytes]:
            place = places[len(secure.heads) - 1].format(port=secure.port)
            return [f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()]

        with raw_serving(script, tls=True) as secure:
            url = secure.url(scheme="https").replace("localhost", "me:secret@localhost")
            assert "from https to http, refused" in str(refused(url))
            assert len(secure.heads) == 2
            assert all(b"Authorization: Basic" in head for head in secure.heads)
        assert server.requests == []

    @pytest.mark.usefixtures("_trusted")
    def test_to_another_port_without_credentials(self, opened: Session) -> None:
        with raw_serving(lambda head: [b"HTTP/1.1 404 Not Found\r\n\r\n"], tls=True) as other:
            place = other.url(scheme="https")
            answer = f"HTTP/1.1 307 Go\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
            with raw_serving(lambda head: [answer], tls=True) as secure:
                refused(secure.url(scheme="https").replace("localhost", "me:secret@localhost"))
            assert b"Authorization" in secure.heads[0]
            assert other.heads
            assert b"Authorization" not in b"".join(other.heads)


@pytest.mark.parametrize("value", ["9" * 5000, "soon", "-5", "Wed, 99 Nov 9999 12:00:00 GMT", "1e999"])
def test_retry_after_that_is_no_time(
    server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    server.meddle = lambda request, reply: Reply(503, {"Retry-After": value}, b"")
    assert "status 503); tried 3 times" in str(refused(server.url("m.gguf")))
    assert all(seconds <= 20 for seconds in waited)


class TestProxies:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        http_connections._manager.cache_clear()
        yield
        http_connections._manager.cache_clear()

    @pytest.fixture
    def proxy(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
        """A proxy that has a file itself, whatever host it is asked of."""
        with serving() as proxy:
            proxy.files["m.gguf"] = BIG
            monkeypatch.setenv("http_proxy", proxy.url("").replace("http://", "http://me:s%40crt@"))
            yield proxy

    def test_its_credentials_are_sent_to_it(self, proxy: Server, opened: Session) -> None:
        open_gguf("http://far.invalid/m.gguf").close()
        assert {request.headers.get("Proxy-Authorization") for request in proxy.requests} == {
            "Basic bWU6c0BjcnQ="
        }
        assert {request.path for request in proxy.requests} == {"http://far.invalid/m.gguf"}

    @pytest.mark.parametrize("name", ["127.0.0.1", "*"])
    def test_and_to_nobody_else(
        self, proxy: Server, server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("no_proxy", name)
        server.files["m.gguf"] = BIG
        open_gguf(server.url("m.gguf")).close()
        assert proxy.requests == []
        assert not any("Proxy-Authorization" in request.headers for request in server.requests)

    def test_a_redirect_from_behind_it_to_a_host_without(
        self, proxy: Server, server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.files["m.gguf"] = BIG
        proxy.meddle = lambda request, reply: Reply(302, {"Location": server.url("m.gguf")}, b"")
        open_gguf("http://far.invalid/m.gguf").close()
        assert len(proxy.requests) == 1
        assert {request.headers["Host"] for request in server.requests} == {f"127.0.0.1:{server.port}"}
        assert not any("Proxy-Authorization" in request.headers for request in server.requests)

    def test_a_redirect_to_a_host_behind_it(
        self, proxy: Server, server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.meddle = lambda request, reply: Reply(302, {"Location": "http://far.invalid/m.gguf"}, b"")
        open_gguf(server.url("m.gguf")).close()
        assert len(server.requests) == 1
        assert {request.headers["Host"] for request in proxy.requests} == {"far.invalid"}

    def test_the_way_to_https(self, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        with raw_serving(lambda head: [refusal]) as proxy:
            monkeypatch.setenv("https_proxy", f"http://me:secret@localhost:{proxy.port}")
            text = str(refused("https://token:t0ken@far.invalid/m.gguf"))
        assert "cannot get through the proxy: Tunnel connection failed: 407" in text
        assert "secret" not in text
        assert b"CONNECT far.invalid:443" in proxy.heads[0]
        assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.heads[0]
        assert b"\r\nAuthorization" not in proxy.heads[0]

    def test_a_proxy_that_wants_credentials(self, proxy: Server, opened: Session) -> None:
        proxy.meddle = lambda request, reply: Reply(407, {}, b"")
        assert "the proxy wants credentials (status 407)" in str(refused("http://far.invalid/m.gguf"))

    @pytest.mark.parametrize("answer", [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, b"X: y\r\n" * 1000])
    def test_a_proxy_whose_answer_never_ends(
        self, opened: Session, monkeypatch: pytest.MonkeyPatch, answer: bytes
    ) -> None:
        script = [b"HTTP/1.1 200 OK\r\n"]
        with raw_serving(lambda head: itertools.chain(script, itertools.repeat(answer))) as proxy:
            monkeypatch.setenv("https_proxy", f"http://localhost:{proxy.port}")
            refused("https://far.invalid/m.gguf")
            assert proxy.sent < 3 * (8 << 20)

    @pytest.mark.parametrize(
        "proxy", ["socks5://me:secret@h:1", "http://me:secret@[x", "http://me:secret@h:999999"]
    )
    def test_what_is_no_proxy(self, opened: Session, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
        monkeypatch.setenv("http_proxy", proxy)
        text = str(refused("http://far.invalid/m.gguf"))
        assert "the proxy that the environment names is unusable" in text
        assert "secret" not in text

    def test_one_without_a_scheme(
        self, proxy: Server, opened: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        open_gguf("http://far.invalid/m.gguf").close()
        assert "Proxy-Authorization" not in proxy.requests[0].headers


SECRETS = "me:t0ps3cret@"


@pytest.mark.parametrize(
    "meddle",
    [
        lambda request, reply: Reply(404, {}, b""),
        lambda request, reply: Reply(503, {}, b""),
        lambda request, reply: Reply(302, {"Location": "http://[x"}, b""),
        lambda request, reply: Reply(302, {"Location": "/m.gguf?sig=t0ps3cret"}, b""),
        lambda request, reply: Reply(206, {"Content-Range": "\x1b[31m" * 5000}, b""),
        lambda request, reply: Reply(200, {"Content-Encoding": "\x1b[31m" * 5000}, b""),
        lambda request, reply: Reply(200, {"Content-Length": "9"}, b"", cut=0, reset=True),
    ],
)
def test_secrets_are_in_no_message(
    server: Server, opened: Session, meddle: Callable[[Request, Reply], Reply]
) -> None:
    server.meddle = meddle
    url = server.url("m.gguf?key=t0ps3cret").replace("127.0.0.1", f"{SECRETS}127.0.0.1")
    assert "t0ps3cret" not in str(refused(url))


def test_a_secret_that_is_no_header(server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client repeats a header that it will not send."""
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    monkeypatch.setattr("gguf_tools.io.remote.hub.get_token", lambda: "hf_t0ps3cret\r\nX: y")
    assert "t0ps3cret" not in str(refused("hf://org/name/m.gguf"))
