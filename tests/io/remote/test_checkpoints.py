"""Safetensors files and checkpoints behind URLs: their headers and small files, and no weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint.directory import open_checkpoint
from gguf_tools.checkpoint.reader import SafetensorsFile
from gguf_tools.errors import CheckpointError, RemoteError
from gguf_tools.io.remote import locate, size_of
from gguf_tools.io.remote.session import Session, session
from gguf_tools.source import row_count
from tests.cli.invoking import printed_json, said
from tests.io.remote.files import DEMO
from tests.io.remote.server import Reply, Server


@pytest.fixture
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A repository of the Hub with the demo checkpoint in it, called as its directory is."""
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    serve(server, DEMO)
    return server


def serve(server: Server, directory: Path) -> None:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    names = [path.relative_to(directory).as_posix() for path in paths]
    for path, name in zip(paths, names, strict=True):
        server.files[f"org/demo/resolve/main/{name}"] = path.read_bytes()
    document = {"id": "org/demo", "siblings": [{"rfilename": name} for name in names]}
    server.files["api/models/org/demo"] = json.dumps(document).encode()


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """The demo checkpoint with its tensors in two files and an index."""
    from safetensors.numpy import save_file

    directory = tmp_path / "demo"
    shutil.copytree(DEMO, directory, ignore=shutil.ignore_patterns("*.safetensors"))
    with SafetensorsFile(DEMO / "model.safetensors") as file:
        tensors = {
            name: tensor.rows(0, row_count(tensor.shape)).reshape(tensor.shape)
            for name, tensor in file.tensors.items()
        }
    names, weight_map = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: np.ascontiguousarray(tensors[name]) for name in part}, directory / file)
        weight_map |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return directory


def test_a_safetensors_file(server: Server, opened: Session) -> None:
    server.files["m.safetensors"] = data = (DEMO / "model.safetensors").read_bytes()
    with (
        SafetensorsFile(server.url("m.safetensors")) as there,
        SafetensorsFile(DEMO / "model.safetensors") as here,
    ):
        assert list(there.tensors) == list(here.tensors)
        assert there.size == len(data)
        assert len(server.requests) == 1
        for name, tensor in here.tensors.items():
            assert (tensor.rows(0, 1) == there.tensors[name].rows(0, 1)).all()


def test_a_header_longer_than_the_first_block(server: Server, opened: Session) -> None:
    entries = {
        f"tensor.{i:05}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(3000)
    }
    header = json.dumps(entries).encode()
    assert len(header) > 1 << 17
    server.files["m.safetensors"] = len(header).to_bytes(8, "little") + header + bytes(3000)
    with SafetensorsFile(server.url("m.safetensors")) as file:
        assert len(file.tensors) == 3000
    assert len(server.requests) == 2
    server.files["n.safetensors"] = server.files["m.safetensors"][:-1]
    with pytest.raises(CheckpointError, match="past the end of the file"):
        SafetensorsFile(server.url("n.safetensors"))


def test_a_repository(hub: Server, opened: Session) -> None:
    with open_checkpoint("hf://org/demo") as there, open_checkpoint(DEMO) as here:
        assert there.config == here.config
        assert list(there.tensors) == list(here.tensors)
        assert there.read_bytes("tokenizer_config.json") == here.read_bytes("tokenizer_config.json")
        assert there.read_bytes("none.json") is None
        with pytest.raises(CheckpointError, match=r"without `\.\.`"):
            there.read_bytes("../other/config.json")


def test_shards_by_the_index(server: Server, hub: Server, opened: Session, sharded: Path) -> None:
    server.files.clear()
    serve(server, sharded)
    with open_checkpoint("hf://org/demo") as there, open_checkpoint(sharded) as here:
        assert list(there.tensors) == list(here.tensors)


def test_shards_without_an_index_are_listed(
    server: Server, hub: Server, opened: Session, sharded: Path, tmp_path: Path
) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    server.files.clear()
    serve(server, sharded)
    gguf_tools.convert(sharded, tmp_path / "here.gguf", type="F16")
    gguf_tools.convert("hf://org/demo", tmp_path / "there.gguf", type="F16")
    assert (tmp_path / "here.gguf").read_bytes() == (tmp_path / "there.gguf").read_bytes()
    assert [request.path for request in server.requests].count("/api/models/org/demo") == 1
    transfer = opened.transfer()
    assert transfer is not None
    found = [request for request in server.requests if request.status != 404]
    assert transfer.requests == len(found)
    listing = json.loads(server.files["api/models/org/demo"])
    listing["siblings"] = [file for file in listing["siblings"] if "00002-of" not in file["rfilename"]]
    server.files["api/models/org/demo"] = json.dumps(listing).encode()
    with session(), pytest.raises(CheckpointError, match="missing 1 file"):
        open_checkpoint("hf://org/demo")


def test_shards_without_an_index_in_a_file_system(opened: Session, sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    with open_checkpoint(f"file://{sharded}/") as there, open_checkpoint(sharded) as here:
        assert list(there.tensors) == list(here.tensors)


def test_named_templates_are_those_of_the_directory(
    server: Server, hub: Server, opened: Session, tmp_path: Path
) -> None:
    directory = tmp_path / "demo"
    shutil.copytree(DEMO, directory)
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    (directory / "chat_template.jinja").write_text(settings.pop("chat_template"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    serve(server, directory)
    gguf_tools.convert(directory, tmp_path / "here.gguf", type="Q8_0")
    gguf_tools.convert("hf://org/demo", tmp_path / "there.gguf", type="Q8_0")
    assert (tmp_path / "here.gguf").read_bytes() == (tmp_path / "there.gguf").read_bytes()
    with gguf_tools.open(tmp_path / "there.gguf") as file:
        assert "tokenizer.chat_template.tools" in file.metadata


@pytest.mark.parametrize("status", [401, 500])
def test_a_hub_that_does_not_list(server: Server, hub: Server, opened: Session, status: int) -> None:
    server.files.clear()
    server.meddle = lambda request, reply: (
        Reply(status, {}, b"\x1b[31mno") if request.path.startswith("/api/") else None
    )
    with pytest.raises(RemoteError, match="the Hub does not list the files") as caught:
        open_checkpoint("hf://org/demo")
    assert str(caught.value).isprintable()


def test_a_missing_shard(server: Server, hub: Server, opened: Session, sharded: Path) -> None:
    server.files.clear()
    serve(server, sharded)
    del server.files["org/demo/resolve/main/model-00002-of-00002.safetensors"]
    with pytest.raises(RemoteError, match=r"model-00002-of-00002\.safetensors: there is no such file"):
        open_checkpoint("hf://org/demo")


def test_a_file_with_its_config_beside_it(server: Server, opened: Session) -> None:
    for name in ("model.safetensors", "config.json"):
        server.files[f"dir/{name}"] = (DEMO / name).read_bytes()
    with open_checkpoint(server.url("dir/model.safetensors?key=1")) as there:
        assert there.config["model_type"] == "llama"


def test_sizes(server: Server, opened: Session, tmp_path: Path) -> None:
    server.files["a b.json"] = b"{}"
    assert size_of(locate(server.url("a b.json"))) == 2
    assert size_of(locate(server.url("c.json"))) is None
    (tmp_path / "a.json").write_bytes(b"{}")
    assert size_of(tmp_path / "a.json") == 2
    assert size_of(tmp_path / "c.json") is None


def test_nothing_there(server: Server, opened: Session) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint is there"):
        open_checkpoint(server.url("dir/"))
    assert len(server.requests) == 4


@pytest.mark.parametrize("file", ["", "/model.safetensors"])
def test_inspect(hub: Server, file: str) -> None:
    here, there = (
        printed_json("inspect", f"{where}{file}", "--tensors") for where in (DEMO, "hf://org/demo")
    )
    assert there.pop("transfer")["bytes"] < 200_000
    assert _placeless(here) == _placeless(there)


def _placeless(document: Any) -> Any:
    """A document without the names of files and their directories."""
    text = json.dumps(document).replace(str(DEMO), "X").replace("hf://org/demo", "X")
    return json.loads(text)


def test_diff_of_a_repository_with_a_file(hub: Server, tmp_path: Path) -> None:
    gguf_tools.convert(DEMO, tmp_path / "demo.gguf", type="Q4_K_M")
    before = hub.sent
    assert "the same" in said("diff", "hf://org/demo", tmp_path / "demo.gguf")
    weights = len(hub.files["org/demo/resolve/main/model.safetensors"])
    assert hub.sent - before < sum(map(len, hub.files.values())) - weights + (1 << 17)


def test_converting_a_repository_gives_the_same_file(hub: Server, opened: Session, tmp_path: Path) -> None:
    gguf_tools.convert(DEMO, tmp_path / "here.gguf", type="Q8_0")
    gguf_tools.convert("hf://org/demo", tmp_path / "there.gguf", type="Q8_0")
    assert (tmp_path / "here.gguf").read_bytes() == (tmp_path / "there.gguf").read_bytes()
