"""Servers: answers byte for byte as they come over the line, and files behind URLs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tests import builders as b
from tests.hostile.scenes.base import SOUND, Commands
from tests.hostile.terminal import NAME, PAYLOAD

__all__ = ["ANSWERS", "of_url", "serving_answers"]

_LINE: Final = PAYLOAD.replace("\r", " ").replace("\n", " ").encode()
"""The hostile text where a line end would be the end of it."""

_FOLDED: Final = PAYLOAD.replace("\r", " ").replace("\n", "\r\n ").encode()
"""The same on two lines, as headers once could be."""

_FILE: Final = b.build(
    [b.ARCHITECTURE, ("general.name", b.STRING, PAYLOAD)], [b.Tensor(NAME, (8,), 0, bytes(32))]
)


def _answer(status: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    length = b"Content-Length: %d" % len(body)
    told = [b"HTTP/1.1 " + status, *headers, length, b"Connection: close", b"", body]
    return b"\r\n".join(told)


def _ranged(*headers: bytes, body: bytes = _FILE) -> bytes:
    span = b"Content-Range: bytes 0-%d/%d" % (len(body) - 1, len(body))
    return _answer(b"206 " + _LINE, span, b'ETag: "1"', *headers, body=body)


ANSWERS: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "no HTTP": PAYLOAD.encode() * 3,
    "a status that is none": b"HTTP/1.1 " + _LINE + b"\r\n\r\n",
    "a version that is none": b"HTTP/" + _LINE + b" 200 OK\r\n\r\n",
    "a reason": _answer(b"404 " + _LINE, body=PAYLOAD.encode()),
    "a reason of a refusal": _answer(b"403 " + _LINE, b"WWW-Authenticate: " + _LINE),
    "a reason of a failure": _answer(b"503 " + _LINE, b"Retry-After: " + _LINE),
    "a status of its own": _answer(b"299 " + _LINE),
    "a header without a colon": _ranged(_LINE),
    "a header's name": _ranged(_LINE + b": x"),
    "a folded header": _ranged(b"X: " + _FOLDED),
    "a file": _ranged(b"Server: " + _LINE, b"Content-Type: " + _LINE),
    "a page": _ranged(body=b"<!DOCTYPE html>" + PAYLOAD.encode()),
    "a text": _ranged(body=PAYLOAD.encode()),
    "a range that is none": _answer(b"206 x", b"Content-Range: " + _LINE, body=_FILE),
    "a folded range": _answer(b"206 x", b"Content-Range: bytes " + _FOLDED, body=_FILE),
    "a unit of its own": _answer(b"206 x", b"Content-Range: " + _LINE + b" 0-1/2", body=b"xx"),
    "a coding": _ranged(b"Content-Encoding: " + _LINE),
    "a transfer coding": _ranged(b"Transfer-Encoding: " + _LINE),
    "chunks that are none": _ranged(b"Transfer-Encoding: chunked", body=_LINE),
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: " + _LINE + b"\r\n\r\n" + _FILE,
    "no length": b"HTTP/1.1 200 OK\r\n\r\n" + _FILE,
    "an entity tag": _answer(b"200 OK", b"ETag: " + _LINE, body=_FILE),
    "a redirect to a text": _answer(b"302 x", b"Location: " + _LINE),
    "a redirect to a host": _answer(b"302 x", b"Location: http://" + _LINE + b"/x"),
    "a redirect to a name": _answer(b"302 x", b"Location: http://" + _LINE + b"@nowhere.invalid/" + _LINE),
    "a redirect to a port": _answer(b"302 x", b"Location: http://127.0.0.1:" + _LINE + b"/x"),
    "a redirect to another file": _answer(b"302 x", b"Location: /" + _LINE),
    "a redirect to another scheme": _answer(b"302 x", b"Location: x-" + _LINE + b"://x"),
}


def of_url(url: str) -> Commands:
    """Every command that takes a URL."""
    return [
        ["inspect", url],
        ["inspect", url, "--metadata", "--tensors", "--json"],
        ["inspect", f"{url}.safetensors"],
        ["verify", url],
        ["verify", url, "--data", "--json"],
        ["diff", url, SOUND],
        ["estimate", url],
        ["extract", url, "x.safetensors", "--dry-run"],
        ["convert", url, "c.gguf"],
    ]


@contextmanager
def serving_answers(answer: bytes) -> Iterator[str]:
    """The URL of a file on a server that gives everybody this answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(1 << 16)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/model"
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join()
