"""A small HTTP server on this machine that serves files by range, counts, and misbehaves as it is told."""

from __future__ import annotations

import http.server
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

MTIME = "Wed, 25 Nov 2026 12:00:00 GMT"


@dataclass
class Request:
    """What came, and what was sent back."""

    path: str
    headers: Mapping[str, str]
    span: tuple[int, int] | None
    method: str = "GET"
    status: int = 0
    sent: int = 0


@dataclass
class Reply:
    """What to send: changed by tests to be wrong in any way. ``length`` is what Content-Length claims."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: int | None = None
    """Send so many bytes of the body and then end the connection."""
    reset: bool = False
    """End it by a reset, which may overtake what was sent."""
    delay: float = 0.0
    """Seconds before the first byte."""


Misbehaviour = Callable[[Request, Reply], Reply | None]


@dataclass
class Server:
    """Files by path (percent-decoded), what was asked for, and a way to meddle with replies.

    ``meddle`` is called with every request and the proper reply, which it may change or replace.
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    meddle: Misbehaviour | None = None
    ranges: bool = True
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    @property
    def sent(self) -> int:
        """Bytes of bodies sent with 200 and 206."""
        return sum(request.sent for request in self.requests if request.status in {200, 206})

    def reply(self, request: Request) -> Reply:
        """What a well-behaved server answers."""
        data = self.files.get(unquote(urlsplit(request.path).path).lstrip("/"))
        if data is None:
            return Reply(404, {}, b"not here")
        headers = {"ETag": f'"{hash(data):x}"', "Last-Modified": MTIME, "Accept-Ranges": "bytes"}
        if request.span is None or not self.ranges:
            return Reply(200, headers, data)
        start, stop = request.span[0], min(request.span[1], len(data))
        if start >= len(data):
            return Reply(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return Reply(206, headers, data[start:stop])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def setup(self) -> None:
        self.owner.connections += 1
        super().setup()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        span = (int(match[1]), int(match[2]) + 1 if match[2] else 1 << 62) if match else None
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, span, self.command)
        reply = self.owner.reply(request)
        if self.owner.meddle is not None:
            reply = self.owner.meddle(request, reply) or reply
        request.status = reply.status
        self.owner.requests.append(request)
        self.owner.stopping.wait(reply.delay)
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = reply.body if reply.cut is None else reply.body[: reply.cut]
        for start in range(0, len(body), 1 << 14):
            piece = body[start : start + (1 << 14)]
            request.sent += len(piece)  # before the client can have it
            self.wfile.write(piece)
        self.close_connection = self.close_connection or reply.cut is not None
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what is tested here."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as the context lasts."""
    handler = type("Handler", (_Handler,), {})
    with _Quiet(("127.0.0.1", 0), handler) as httpd:
        server = Server(httpd.server_address[1])
        handler.owner = server  # type: ignore[attr-defined]
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            httpd.shutdown()
            thread.join()
