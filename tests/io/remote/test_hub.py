"""``hf://`` URLs against a server that answers like the Hub: a redirect to where the bytes are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf_tools.container import open_gguf
from gguf_tools.errors import RemoteError
from gguf_tools.io.remote import Location
from gguf_tools.io.remote.hub import resolve
from gguf_tools.io.remote.session import Session
from tests.io.remote.files import model
from tests.io.remote.server import Reply, Request, Server, serving


@pytest.fixture
def storage() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def hub(server: Server, storage: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Every file is elsewhere, at a signed address."""
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    storage.files["blob"] = model(20_000)

    def redirect(request: Request, reply: Reply) -> Reply:
        headers = {
            "Location": storage.url("blob?Signature=xyz"),
            "X-Linked-Size": str(len(storage.files["blob"])),
        }
        return Reply(302, headers, b"") if request.path.endswith(".gguf") else Reply(404, {}, b"")

    server.meddle = redirect
    return server


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("hf://org/name/m.gguf", "/org/name/resolve/main/m.gguf"),
        ("hf://org/name@v1/a%b/m.gguf", "/org/name/resolve/v1/a%25b/m.gguf"),
        ("hf://org/name@refs%2Fpr%2F7/a b/m.gguf", "/org/name/resolve/refs%2Fpr%2F7/a%20b/m.gguf"),
        ("hf://datasets/org/name/m.gguf", "/datasets/org/name/resolve/main/m.gguf"),
        ("hf://spaces/org/name@x/m.gguf", "/spaces/org/name/resolve/x/m.gguf"),
        ("hf://models/org/name/m.gguf", "/org/name/resolve/main/m.gguf"),
        ("hf://org/name@refs/pr/7/m.gguf", "/org/name/resolve/refs%2Fpr%2F7/m.gguf"),
        ("hf://org/name@a%20%23b/m.gguf", "/org/name/resolve/a%20%23b/m.gguf"),
        ("hf://org/name/a#b?c%20d&e+f.gguf", "/org/name/resolve/main/a%23b%3Fc%2520d%26e%2Bf.gguf"),
        ("hf://org/name/ä/日本.gguf", "/org/name/resolve/main/%C3%A4/%E6%97%A5%E6%9C%AC.gguf"),
        ("hf://org/name//m.gguf", "/org/name/resolve/main/m.gguf"),
    ],
)
def test_addresses(hub: Server, storage: Server, opened: Session, url: str, path: str) -> None:
    with open_gguf(url) as file:
        assert file.metadata["general.name"] == "after the vocabulary"
        assert str(file.path) == url
    assert [request.path for request in hub.requests] == [path]
    assert len(storage.requests) > 1


def test_the_default_is_the_hub_itself() -> None:
    url, headers = resolve(Location("hf://org/name/m.gguf"))
    assert url == "https://huggingface.co/org/name/resolve/main/m.gguf"
    assert headers == {}


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_token_goes_to_the_hub_and_no_further(
    hub: Server, storage: Server, opened: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
    else:
        (tmp_path / "token").write_text("hf_secret\n")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    open_gguf("hf://org/name/m.gguf").close()
    assert hub.requests[0].headers["Authorization"] == "Bearer hf_secret"
    assert storage.requests
    assert not any("Authorization" in request.headers for request in storage.requests)


def test_what_is_not_there(hub: Server, opened: Session) -> None:
    with pytest.raises(RemoteError, match=r"hf://org/name/other.bin: there is no such file") as caught:
        open_gguf("hf://org/name/other.bin")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "url", ["hf://org/name", "hf://org", "hf://", "hf://datasets/org/name", "hf://o/n/../x"]
)
def test_urls_that_name_no_file(opened: Session, url: str) -> None:
    with pytest.raises(RemoteError, match="names no file"):
        open_gguf(url)


def test_offline_means_offline(hub: Server, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RemoteError, match="HF_HUB_OFFLINE"):
        open_gguf("hf://org/name/m.gguf")
    assert hub.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "hf://org/na me/m.gguf",
        "hf://org/na#me/m.gguf",
        "hf://o?rg/name/m.gguf",
        "hf://org/name%2F..%2Fx/m.gguf",
        "hf://org/name/\ud800.gguf",
        "hf://org/name@\ud800/m.gguf",
    ],
)
def test_names_that_no_repository_has(hub: Server, opened: Session, url: str) -> None:
    with pytest.raises(RemoteError, match="cannot be asked of the Hub"):
        open_gguf(url)
    assert hub.requests == []


def test_another_file_under_the_name_meanwhile(hub: Server, storage: Server, opened: Session) -> None:
    """A branch that moves between two requests: the storage has another entity tag then."""
    first = storage.files["blob"]

    def moving(request: Request, reply: Reply) -> None:
        storage.files["blob"] = first[:-1] + b"x"

    storage.meddle = moving
    with pytest.raises(RemoteError, match="changed while it was being read"):
        open_gguf("hf://org/name/m.gguf")


URL = "hf://org/name/m.gguf"


def test_the_environment_of_a_fresh_process(server: Server) -> None:
    server.files["org/name/resolve/main/m.gguf"] = model()
    environment = os.environ | {"HF_ENDPOINT": server.url(""), "HF_TOKEN": "hf_secret"}
    command = [sys.executable, "-c", "from gguf_tools.cli import main; main()", "inspect", URL, "--json"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["transfer"]["requests"] == len(server.requests) == 1
    assert server.requests[0].headers["Authorization"] == "Bearer hf_secret"
