"""A server of one script for every connection: what a well-behaved HTTP server cannot be made to send."""

from __future__ import annotations

import itertools
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Signed by itself, for localhost and 127.0.0.1; trusted where SSL_CERT_FILE names it."""

MOST = 4096
"""Pieces a script is asked for; a client that reads on so long reads for ever."""

Script = Callable[[bytes], Iterable[bytes]]
"""Called with the head of a request; what it yields is sent, piece by piece."""


@dataclass
class RawServer:
    """Heads of the requests that came, and how much was sent."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    sent: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "m.gguf", scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.port}/{path}"


def head_of(connection: socket.socket) -> bytes:
    """The head of a request, or nothing where none comes."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and (piece := connection.recv(1)):
        head += piece
    return head


@contextmanager
def raw_serving(script: Script, *, tls: bool = False) -> Iterator[RawServer]:
    """Such a server for as long as the context lasts."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                connection = self.request
                if tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(CERTIFICATE)
                    connection = context.wrap_socket(connection, server_side=True)
                head = head_of(connection)
                server.heads.append(head)
                for piece in itertools.islice(script(head), MOST):
                    if server.stopping.is_set():
                        return
                    connection.sendall(piece)
                    server.sent += len(piece)
                connection.close()

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server = RawServer(listener.server_address[1])
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown()
            thread.join()
