"""Reading over HTTP from servers of every kind of manners."""

from __future__ import annotations

import gzip
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.container import open_gguf
from gguf_tools.errors import FormatError, RemoteError
from gguf_tools.io.remote import http_transport as http_module
from gguf_tools.io.remote.session import Session, session
from tests import builders
from tests.io.remote.files import model
from tests.io.remote.server import Reply, Request, Server, serving

TOKENS = 30_000
"""A header of a few blocks."""

BIG = model(TOKENS)


def read(url: str) -> tuple[str, list[str], float]:
    """Something from after the vocabulary, of it, and of the data."""
    with open_gguf(url) as file:
        name = file.metadata["general.name"]
        scores = file.metadata["tokenizer.ggml.scores"]
        last = float(scores[len(scores) - 1]) if len(scores) else 0.0
        assert file.tensors["a.weight"].dequantize().tolist() == [float(i) for i in range(64)]
        return name, list(file.metadata["tokenizer.ggml.tokens"])[-1:], last


class TestWellBehaved:
    def test_only_the_header_is_read_and_all_is_counted(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = model(TOKENS, data=1 << 20)
        with open_gguf(server.url("m.gguf")) as file:
            assert file.metadata["general.name"] == "after the vocabulary"
            assert list(file.tensors) == ["a.weight", "b.weight"]
            assert file.file_size == len(server.files["m.gguf"])
        transfer = opened.transfer()
        assert transfer is not None
        assert transfer.requests == len(server.requests)
        assert transfer.bytes == server.sent
        assert transfer.size == file.file_size
        # The vocabulary's strings, a block before them, and one at the end; not the numbers between.
        strings = sum(8 + len(f"token{i * i}") for i in range(TOKENS))
        assert strings < transfer.bytes < strings + 3 * (1 << 16)
        assert transfer.requests <= 6

    def test_numbers_are_read_when_somebody_looks(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        with open_gguf(server.url("m.gguf")) as file:
            before = server.sent
            scores = file.metadata["tokenizer.ggml.scores"]
            assert len(scores) == TOKENS
            assert server.sent == before
            assert scores[10_000:10_002].numpy().tolist() == [-10_000.0, -10_001.0]
            some = server.sent - before
            assert 0 < some < 4 * TOKENS
            assert scores.numpy().tolist() == [-float(i) for i in range(TOKENS)]
            whole = server.sent
            assert scores[5] == -5.0
            assert list(file.metadata["tokenizer.ggml.token_type"])[:3] == [1, 2, 3]
            assert whole < server.sent <= whole + 4 * TOKENS

    def test_everything_is_as_in_the_file_itself(
        self, server: Server, opened: Session, tmp_path: Path
    ) -> None:
        (tmp_path / "m.gguf").write_bytes(BIG)
        server.files["m.gguf"] = BIG
        with open_gguf(tmp_path / "m.gguf") as here, open_gguf(server.url("m.gguf")) as there:
            assert here.metadata == there.metadata
            assert here.metadata.to_bytes() == there.metadata.to_bytes()
            assert here.header.entries == there.header.entries
            for name, tensor in here.tensors.items():
                assert (tensor.raw(0, 1) == there.tensors[name].raw(0, 1)).all()

    @pytest.mark.parametrize("tokens", [0, 1, 7, 500, 4000, 9000])
    def test_headers_of_any_size(self, server: Server, opened: Session, tokens: int) -> None:
        server.files["m.gguf"] = model(tokens)
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"

    def test_strings_longer_than_blocks(self, server: Server, opened: Session) -> None:
        long = ["x" * 200_000, "", "y" * 70_000, "\0" * 5000, "z"] * 5
        data = builders.build(
            [
                builders.ARCHITECTURE,
                ("words", builders.ARRAY, (builders.STRING, long)),
                ("end", builders.U32, 7),
            ]
        )
        server.files["m.gguf"] = data
        with open_gguf(server.url("m.gguf")) as file:
            assert file.metadata["end"] == 7
            assert list(file.metadata["words"]) == long

    def test_one_connection_serves_all_requests(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        read(server.url("m.gguf"))
        assert len(server.requests) > 3
        assert server.connections == 1

    def test_rows_are_read_by_themselves(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = model(data=1 << 20)
        with gguf_tools.open(server.url("m.gguf")) as file:
            tensor = file.tensors["b.weight"]
            before = server.sent
            tensor.raw(0, 1)
            assert server.sent - before == tensor.nbytes

    def test_reading_on_reads_ahead(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = data = model(data=1 << 20)
        with open_gguf(server.url("m.gguf")) as file:
            pieces = b"".join(
                file.read(start, min(start + 50_000, len(data))).tobytes()
                for start in range(0, len(data), 50_000)
            )
        assert pieces == data
        assert len(server.requests) < 20

    def test_a_url_opened_twice_is_read_once(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        open_gguf(server.url("m.gguf")).close()
        count = len(server.requests)
        open_gguf(server.url("m.gguf")).close()
        assert len(server.requests) == count

    def test_closed_means_closed(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        file = open_gguf(server.url("m.gguf"))
        file.close()
        with pytest.raises(FormatError, match="closed"):
            file.tensors["a.weight"].raw(0, 1)
        assert file.metadata["tokenizer.ggml.scores"][1] == -1.0  # metadata stays usable, as of any file

    def test_queries_fragments_and_odd_characters(self, server: Server, opened: Session) -> None:
        server.files["a b/ü%.gguf"] = BIG
        read(server.url("a%20b/%C3%BC%25.gguf?token=x%2Fy&z#part"))
        assert {request.path for request in server.requests} == {"/a%20b/%C3%BC%25.gguf?token=x%2Fy&z"}
        server.files["a b.gguf"] = BIG
        read(server.url("a b.gguf"))

    def test_an_empty_file(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = b""
        with pytest.raises(FormatError, match="the file is empty"):
            open_gguf(server.url("m.gguf"))

    def test_a_web_page_instead(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = b"<!doctype html><html>please log in</html>"
        with pytest.raises(FormatError, match="HTML page"):
            open_gguf(server.url("m.gguf"))

    def test_truncated_data_is_seen_without_reading_it(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = model(data=1 << 20)[:-100]
        with pytest.raises(FormatError, match="past the end of the file"):
            open_gguf(server.url("m.gguf"))

    @pytest.mark.parametrize("size", [30, 200, 70_000, 150_000, 400_000])
    def test_a_truncated_header(self, server: Server, opened: Session, size: int) -> None:
        server.files["m.gguf"] = BIG[:size]
        with pytest.raises(FormatError, match=r"ends inside|end of the file|rest of the file|could hold"):
            open_gguf(server.url("m.gguf"))

    def test_basic_authentication_from_the_url(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        url = server.url("m.gguf").replace("127.0.0.1", "me:s%40crt@127.0.0.1")
        read(url)
        assert {request.headers["Authorization"] for request in server.requests} == {"Basic bWU6c0BjcnQ="}


class TestWithoutRanges:
    def test_read_from_the_front_and_broken_off(self, server: Server, opened: Session) -> None:
        server.ranges = False
        server.files["m.gguf"] = model(2000, data=1 << 22)
        with open_gguf(server.url("m.gguf")) as file:
            assert file.metadata["general.name"] == "after the vocabulary"
            transfer = opened.transfer()
            assert transfer is not None
            assert transfer.requests == 1
            assert transfer.bytes < 200_000

    def test_data_can_be_had_too(self, server: Server, opened: Session) -> None:
        server.ranges = False
        server.files["m.gguf"] = BIG
        assert read(server.url("m.gguf")) == ("after the vocabulary", [f"token{29_999**2}"], -29_999.0)
        assert len(server.requests) == 1

    def test_refused_above_a_limit(
        self, server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_module, "MAX_STREAMED", 1 << 20)
        server.ranges = False
        server.files["m.gguf"] = model(TOKENS * 3)
        with pytest.raises(RemoteError, match="does not send ranges, and more than 1 MiB"):
            open_gguf(server.url("m.gguf"))
        assert server.sent < 4 << 20

    def test_without_a_length_there_is_nothing_to_go_by(self, server: Server, opened: Session) -> None:
        server.ranges = False
        server.files["m.gguf"] = BIG
        server.meddle = lambda request, reply: Reply(
            200, {"Content-Length": "", "Connection": "close"}, reply.body
        )
        with pytest.raises(RemoteError, match="neither sends ranges nor says how long"):
            open_gguf(server.url("m.gguf"))

    def test_a_break_is_gone_over_again(self, server: Server, opened: Session) -> None:
        server.ranges = False
        server.files["m.gguf"] = BIG

        def once(request: Request, reply: Reply) -> Reply:
            reply.cut = 250_000 if len(server.requests) == 0 else None
            return reply

        server.meddle = once
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"
        assert len(server.requests) == 2


def change(status: int | None = None, **headers: str) -> Callable[[Request, Reply], Reply]:
    """Meddle with all answers but the first."""
    seen = []

    def meddle(request: Request, reply: Reply) -> Reply:
        seen.append(request)
        if len(seen) > 1:
            reply.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
            reply.status = status or reply.status
        return reply

    return meddle


class TestLies:
    """Each of these must be an error that says what is wrong, with the URL and the range."""

    @pytest.mark.parametrize(
        ("meddle", "message"),
        [
            (change(ETag='"another"'), "changed while it was being read: another entity tag"),
            (change(ETag="", Last_Modified="Thu, 26 Nov 2026 12:00:00 GMT"), "changed while"),
            (change(Content_Range="bytes 0-1/5"), "another range than asked"),
            (change(Content_Range=""), "does not say what it sends"),
            (change(Content_Range="bytes */*"), "does not say what it sends"),
            (change(Content_Range="bytes 65536-99999999/1000000000"), "another range than asked"),
            (change(Content_Encoding="gzip"), "compresses"),
            (change(200), "changed its mind about ranges"),
            (change(416), "shorter than it said"),
            (change(204), "unusable answer"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_later_answers(
        self, server: Server, opened: Session, meddle: Callable[[Request, Reply], Reply], message: str
    ) -> None:
        server.files["m.gguf"] = BIG
        server.meddle = meddle
        with pytest.raises(RemoteError, match=message) as caught:
            open_gguf(server.url("m.gguf"))
        assert server.url("m.gguf") in str(caught.value)
        assert re.search(r"asked for bytes 65536 to \d+", str(caught.value))
        assert caught.value.span is not None

    def test_another_size(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG

        def grown(request: Request, reply: Reply) -> Reply:
            if server.requests:
                reply.headers["Content-Range"] = reply.headers["Content-Range"].replace(
                    str(len(BIG)), str(len(BIG) + 1)
                )
            return reply

        server.meddle = grown
        with pytest.raises(RemoteError, match=f"{len(BIG)} bytes before, {len(BIG) + 1} now"):
            open_gguf(server.url("m.gguf"))

    @pytest.mark.parametrize("size", [999_999, 10**18])
    def test_a_size_larger_than_the_file(self, server: Server, opened: Session, size: int) -> None:
        server.files["m.gguf"] = BIG[:100_000]

        def lying(request: Request, reply: Reply) -> Reply:
            if reply.status == 206:
                reply.headers["Content-Range"] = reply.headers["Content-Range"].replace("/100000", f"/{size}")
            return reply

        server.meddle = lying
        with pytest.raises(RemoteError, match="no such bytes: the file is shorter than it said"):
            open_gguf(server.url("m.gguf"))

    def test_a_length_that_is_not_that_of_the_range(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        server.meddle = lambda request, reply: Reply(reply.status, reply.headers, reply.body + b"more")
        with pytest.raises(RemoteError, match="contradicts itself"):
            open_gguf(server.url("m.gguf"))

    def test_less_than_was_promised(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG

        def short(request: Request, reply: Reply) -> Reply:
            length = str(len(reply.body))
            headers = {**reply.headers, "Content-Length": length, "Connection": "close"}
            return Reply(reply.status, headers, b"")

        server.meddle = short
        with pytest.raises(RemoteError, match="tried 3 times"):
            open_gguf(server.url("m.gguf"))
        assert len(server.requests) == 3

    def test_compressed_from_the_start(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        server.meddle = lambda request, reply: Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(BIG))
        with pytest.raises(RemoteError, match=r"compresses \(gzip\)"):
            open_gguf(server.url("m.gguf"))
        assert server.requests[0].headers["Accept-Encoding"] == "identity"

    def test_fewer_bytes_than_asked_is_no_lie(self, server: Server, opened: Session) -> None:
        """A server may send the first part of a range, if it says so."""
        server.files["m.gguf"] = BIG

        def stingy(request: Request, reply: Reply) -> Reply:
            assert request.span is not None
            reply.body = reply.body[:20_000]
            start = request.span[0]
            reply.headers["Content-Range"] = f"bytes {start}-{start + len(reply.body) - 1}/{len(BIG)}"
            return reply

        server.meddle = stingy
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"

    def test_a_byte_at_a_time_is_too_few(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG

        def stingy(request: Request, reply: Reply) -> Reply:
            assert request.span is not None
            start = request.span[0]
            reply.headers["Content-Range"] = f"bytes {start}-{start}/{len(BIG)}"
            reply.body = reply.body[:1]
            return reply

        server.meddle = stingy
        with pytest.raises(RemoteError, match="more than 256 parts"):
            open_gguf(server.url("m.gguf"))


class TestTrouble:
    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (404, "no such file"),
            (410, "gone"),
            (401, "wants credentials"),
            (403, "refuses access"),
            (400, "unusable answer"),
        ],
    )
    def test_what_does_not_pass_by_itself(
        self, server: Server, opened: Session, status: int, message: str
    ) -> None:
        server.meddle = lambda request, reply: Reply(status, {}, b"sorry")
        with pytest.raises(RemoteError, match=rf"{message}.* \(status {status}\)") as caught:
            open_gguf(server.url("m.gguf"))
        assert caught.value.status == status
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_what_may_pass_is_tried_again(self, server: Server, opened: Session, status: int) -> None:
        server.files["m.gguf"] = model()
        server.meddle = lambda request, reply: None if len(server.requests) > 1 else Reply(status, {}, b"")
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"
        assert len(server.requests) == 3

    def test_but_not_for_ever(self, server: Server, opened: Session) -> None:
        server.meddle = lambda request, reply: Reply(503, {"Retry-After": "0"}, b"")
        with pytest.raises(RemoteError, match=r"status 503\); tried 3 times") as caught:
            open_gguf(server.url("m.gguf"))
        assert caught.value.status == 503
        assert len(server.requests) == 3

    def test_waiting_as_long_as_asked(
        self, server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited: list[float] = []
        monkeypatch.setattr(time, "sleep", waited.append)
        server.files["m.gguf"] = model()
        answers = ["7", "86400"]
        server.meddle = lambda request, reply: (
            Reply(429, {"Retry-After": answers.pop(0)}, b"") if answers else None
        )
        read(server.url("m.gguf"))
        assert waited == [7.0, 20.0]

    def test_a_reset_connection(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG

        def breaking(request: Request, reply: Reply) -> Reply:
            if len(server.requests) % 2:
                reply.cut, reply.reset = 300_000, True
            return reply

        server.meddle = breaking
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"

    def test_an_answer_that_ends_in_the_middle(self, server: Server, opened: Session) -> None:
        """Reading goes on where it broke, and what had come is not asked for again."""
        server.files["m.gguf"] = BIG

        def breaking(request: Request, reply: Reply) -> Reply:
            reply.cut = 300_000 if len(server.requests) == 1 else None
            return reply

        server.meddle = breaking
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"
        again = server.requests[2].span
        assert again is not None
        assert 65536 + 150_000 < again[0] <= 65536 + 300_000  # but for the piece that was under way

    def test_a_server_that_never_answers(self, server: Server) -> None:
        server.meddle = lambda request, reply: Reply(200, {}, b"", delay=60)
        with (
            session(timeout=0.1, retries=2, backoff=0.001),
            pytest.raises(RemoteError, match=r"no answer within 0\.1 s; tried 3 times"),
        ):
            open_gguf(server.url("m.gguf"))

    def test_a_refused_connection(self, opened: Session) -> None:
        with serving() as server:
            url = server.url("m.gguf")
        with pytest.raises(RemoteError, match="cannot connect"):
            open_gguf(url)

    def test_an_unknown_host(self, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*args: object, **kwargs: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(RemoteError, match=r"host nowhere\.invalid is unknown"):
            open_gguf("http://nowhere.invalid/m.gguf")

    @pytest.mark.parametrize(
        "url", ["http://", "http:///m.gguf", "http://[::1/m.gguf", "http://h:99999/m.gguf"]
    )
    def test_unusable_urls(self, opened: Session, url: str) -> None:
        with pytest.raises(RemoteError):
            open_gguf(url)

    def test_no_certificate_to_trust(self, server: Server, opened: Session) -> None:
        with pytest.raises(RemoteError):
            open_gguf(server.url("m.gguf").replace("http:", "https:"))


class TestRedirects:
    def test_followed_once_and_remembered(self, server: Server, opened: Session) -> None:
        server.files["real.gguf"] = BIG
        server.meddle = lambda request, reply: (
            Reply(302, {"Location": "/real.gguf"}, b"") if request.path == "/m.gguf" else None
        )
        read(server.url("m.gguf"))
        assert [request.path for request in server.requests].count("/m.gguf") == 1

    def test_credentials_stay_with_their_host(self, server: Server, opened: Session) -> None:
        with serving() as other:
            other.files["m.gguf"] = BIG
            server.meddle = lambda request, reply: Reply(307, {"Location": other.url("m.gguf")}, b"")
            read(server.url("m.gguf").replace("127.0.0.1", "me:secret@127.0.0.1"))
            assert "Authorization" in server.requests[0].headers
            assert other.requests
            assert not any("Authorization" in request.headers for request in other.requests)

    def test_an_expired_target_is_asked_for_again(self, server: Server, opened: Session) -> None:
        server.files["m.gguf"] = BIG
        names = iter(("first", "second"))
        expired = []

        def meddle(request: Request, reply: Reply) -> Reply | None:
            if "?" not in request.path:
                return Reply(302, {"Location": f"/m.gguf?{next(names)}"}, b"")
            if request.path.endswith("first") and len(server.requests) > 2:
                expired.append(request)
                return Reply(403, {}, b"expired")
            return None

        server.meddle = meddle
        assert read(server.url("m.gguf"))[0] == "after the vocabulary"
        assert len(expired) == 1

    @pytest.mark.parametrize(
        ("place", "message"),
        [("", "to nowhere"), ("ftp://x/y", "not http"), ("/m.gguf", "too many redirects")],
    )
    def test_that_lead_nowhere(self, server: Server, opened: Session, place: str, message: str) -> None:
        server.meddle = lambda request, reply: Reply(301, {"Location": place}, b"")
        with pytest.raises(RemoteError, match=message):
            open_gguf(server.url("m.gguf"))


def test_patience_can_be_set(server: Server) -> None:
    server.meddle = lambda request, reply: Reply(200, {}, b"", delay=60)
    with session(timeout=0.1, retries=0) as opened, pytest.raises(RemoteError, match=r"within 0.1 s \("):
        open_gguf(server.url("m.gguf"))
    assert opened.patience.retries == 0
    assert len(server.requests) == 1
