"""The commands and functions that take URLs: what they print, and what they read for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.errors import FormatError, RemoteError
from gguf_tools.io.remote.session import Session, session
from tests.cli.invoking import invoke, printed_json, refused, said
from tests.io.remote.files import DEMO, model, shards
from tests.io.remote.server import Reply, Request, Server


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("remote") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


@pytest.fixture
def url(server: Server, demo: Path) -> str:
    server.files["demo.gguf"] = demo.read_bytes()
    return server.url("demo.gguf")


class TestInspect:
    def test_shows_the_same_as_of_the_file(self, url: str, demo: Path) -> None:
        here = said("inspect", demo, "--tensors", "--metadata")
        there = said("inspect", url, "--tensors", "--metadata")
        assert here.replace(str(demo), "X").split() == there.replace(url, "X").split()

    def test_says_what_was_read(self, server: Server, url: str) -> None:
        result = invoke("inspect", url)
        assert result.exit_code == 0
        assert f"read {server.sent / 1000:.1f} kB in {len(server.requests)} request" in result.stderr
        assert "of 835.5 kB" in result.stderr
        assert "read" not in result.stdout

    def test_json_has_it_as_an_object(self, server: Server, url: str, demo: Path) -> None:
        found = printed_json("inspect", url)
        assert found["transfer"] == {
            "files": 1,
            "requests": len(server.requests),
            "bytes": server.sent,
            "size": demo.stat().st_size,
        }
        assert "transfer" not in printed_json("inspect", demo)

    def test_errors_are_one_line(self, server: Server) -> None:
        text = refused("inspect", server.url("none.gguf"))
        assert "there is no such file (status 404)" in text

    def test_patience(self, server: Server) -> None:
        server.meddle = lambda request, reply: Reply(404, {}, b"", delay=0.3)
        assert "status 404" in refused("--timeout", "5", "inspect", server.url("x"))


class TestVerify:
    def test_reads_the_header_only(self, server: Server, url: str) -> None:
        text = said("verify", url)
        assert "sound, 0 errors" in text
        assert "--data" in text
        assert server.sent < 100_000

    def test_or_all(self, server: Server, url: str, demo: Path) -> None:
        assert "--data" not in said("verify", url, "--data")
        assert server.sent >= demo.stat().st_size - 64

    def test_finds_in_the_data_what_is_there(self, server: Server) -> None:
        data = bytearray(model(data=1024))
        data[-4:] = np.float32(np.nan).tobytes()
        server.files["m.gguf"] = bytes(data)
        with session():
            assert not any(
                finding.code == "non-finite" for finding in gguf_tools.verify(server.url("m.gguf"))
            )
            found = gguf_tools.verify(server.url("m.gguf"), data=True)
        assert any(finding.code == "non-finite" for finding in found)

    def test_checksums_are_those_of_the_file(self, url: str, demo: Path) -> None:
        here, there = (
            printed_json("verify", demo, "--hash=sha256"),
            printed_json("verify", url, "--hash=sha256"),
        )
        assert here["hashes"] == there["hashes"]

    def test_faults_of_the_file_are_findings(self, server: Server, url: str) -> None:
        server.files["demo.gguf"] = server.files["demo.gguf"][:-1000]
        result = invoke("verify", url)
        assert result.exit_code == 1
        assert "truncated" in result.stdout

    def test_faults_of_the_way_there_are_not(self, server: Server) -> None:
        with session(), pytest.raises(RemoteError):
            gguf_tools.verify(server.url("none.gguf"))

    def test_a_break_in_the_data_is_no_finding(self, server: Server, url: str) -> None:
        with session():
            gguf_tools.verify(url)
        header = len(server.requests)
        server.requests.clear()
        server.meddle = lambda request, reply: Reply(403, {}, b"") if len(server.requests) > header else None
        with session(), pytest.raises(RemoteError, match="403"):
            gguf_tools.verify(url, data=True)


class TestDiff:
    def test_headers_only(self, server: Server, url: str, demo: Path) -> None:
        text = said("diff", url, demo)
        assert "the same" in text
        assert "values were not compared" in text
        assert server.sent < 100_000

    def test_values_when_asked(self, server: Server, url: str, demo: Path) -> None:
        data = bytearray(demo.read_bytes())
        data[-100] ^= 1
        server.files["demo.gguf"] = bytes(data)
        with session():
            assert gguf_tools.diff(demo, url).equal
            assert not gguf_tools.diff(demo, url).data
            found = gguf_tools.diff(demo, url, data=True)
        assert len(found.tensors) == 1
        assert found.data

    def test_trouble_is_status_2(self, server: Server, demo: Path) -> None:
        assert invoke("diff", demo, server.url("none.gguf")).exit_code == 2

    def test_with_a_checkpoint(self, url: str) -> None:
        found = printed_json("diff", url, DEMO)
        assert found["equal"]
        assert found["data_compared"] is False


class TestSplit:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_any_shard_opens_the_whole(self, server: Server, opened: Session, number: int) -> None:
        server.files |= {f"d/{name}": data for name, data in shards().items()}
        url = server.url(f"d/toy%20model-0000{number}-of-00003.gguf?key=1")
        with gguf_tools.open(url) as file:
            assert list(file.tensors) == [f"blk.{i}.weight" for i in range(3)]
            assert file.tensors["blk.2.weight"].dequantize().tolist() == list(map(float, range(8)))
        assert len(server.requests) == 3
        assert all(request.path.endswith("?key=1") for request in server.requests)

    def test_a_missing_one_is_named(self, server: Server, opened: Session) -> None:
        server.files |= shards()
        del server.files["toy model-00002-of-00003.gguf"]
        url = server.url("toy model-00001-of-00003.gguf")
        with pytest.raises(RemoteError, match=r"00002-of-00003.gguf: there is no such file"):
            gguf_tools.open(url)
        (finding,) = [finding for finding in gguf_tools.verify(url) if finding.code == "shards"]
        assert "00002-of-00003" in finding.place

    def test_one_that_does_not_belong(self, server: Server, opened: Session) -> None:
        server.files |= shards()
        server.files["toy model-00002-of-00003.gguf"] = server.files["toy model-00003-of-00003.gguf"]
        with pytest.raises(FormatError, match="does not belong"):
            gguf_tools.open(server.url("toy model-00001-of-00003.gguf"))


class TestOthers:
    def test_what_reads_files_reads_urls(self, server: Server, url: str, demo: Path, tmp_path: Path) -> None:
        with session():
            gguf_tools.requantize(url, tmp_path / "q8.gguf", type="Q8_0")
            gguf_tools.requantize(demo, tmp_path / "here.gguf", type="Q8_0")
            gguf_tools.split(url, tmp_path / "m", max_tensors=7)
            gguf_tools.extract(url, tmp_path / "out.safetensors", ["output_norm*"])
        assert (tmp_path / "q8.gguf").read_bytes() == (tmp_path / "here.gguf").read_bytes()
        gguf_tools.merge(tmp_path / "m-00001-of-00003.gguf", tmp_path / "whole.gguf")
        assert (tmp_path / "whole.gguf").read_bytes() == demo.read_bytes()
        assert (tmp_path / "out.safetensors").stat().st_size > 512

    def test_what_writes_does_not(self, server: Server, url: str) -> None:
        assert "can only be read" in refused("edit", url, "--set", "general.name=x")
        assert server.requests == []


def test_a_local_file_imports_nothing_for_it(demo: Path) -> None:
    code = (
        "import sys; from gguf_tools.cli import main\n"
        f"try: main(['inspect', {str(demo)!r}, '--json'])\n"
        "except SystemExit: pass\n"
        "names = {'fsspec', 'urllib3', 'requests', 'huggingface_hub',\n"
        "         'gguf_tools.io.remote.http_transport'}\n"
        "print(sorted(names & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["architecture"] == "llama"
    assert result.stderr.strip() == "[]"


def test_the_default_session_forgets_what_is_closed(server: Server, url: str) -> None:
    gguf_tools.open(url).close()
    first = len(server.requests)
    gguf_tools.open(url).close()
    assert len(server.requests) == 2 * first


def test_requests_are_of_the_right_form(server: Server, url: str) -> None:
    seen: list[Request] = []
    server.meddle = lambda request, reply: seen.append(request)
    with session():
        gguf_tools.open(url).close()
    assert seen[0].headers["Range"] == "bytes=0-65535"
    assert seen[0].headers["Accept-Encoding"] == "identity"
    assert seen[0].headers["User-Agent"] == "gguf-tools"
