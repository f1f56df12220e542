"""What fsspec knows: memory, files of this machine, archives, and S3 as a small server speaks it."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from gguf_tools.container import open_gguf
from gguf_tools.errors import FormatError, RemoteError, UnsupportedError
from gguf_tools.io.remote.session import Session
from tests.io.remote.files import model
from tests.io.remote.server import Server

DATA = model(20_000, data=1 << 20)


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def check(url: str, opened: Session) -> None:
    with open_gguf(url) as file:
        assert file.metadata["general.name"] == "after the vocabulary"
        transfer = opened.transfer()
        assert transfer is not None
        assert transfer.size == len(DATA)
        assert transfer.bytes < 1 << 20
        assert file.tensors["a.weight"].rows(0, 1)[0, 77] == 77
        assert file.metadata["tokenizer.ggml.scores"][19_999] == -19_999


def test_memory(memory: Any, opened: Session) -> None:
    memory.pipe("/dir/m.gguf", DATA)
    check("memory://dir/m.gguf", opened)


def test_a_file_of_this_machine(tmp_path: Path, opened: Session) -> None:
    (tmp_path / "m x.gguf").write_bytes(DATA)
    check(f"file://{tmp_path}/m x.gguf", opened)


def test_inside_an_archive(tmp_path: Path, opened: Session) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/m.gguf", DATA)
    (tmp_path / "all.zip").write_bytes(packed.getvalue())
    check(f"zip://in/m.gguf::file://{tmp_path}/all.zip", opened)


def test_s3(server: Server, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object is got by range from its path below the bucket's, which is all that S3 is to us."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url("").rstrip("/"))
    monkeypatch.setitem(fsspec.config.conf, "s3", {"skip_instance_cache": True})
    server.files["bucket/dir/m.gguf"] = DATA
    check("s3://bucket/dir/m.gguf", opened)
    assert server.sent < 6 << 20
    with pytest.raises(RemoteError, match="there is no such file"):
        open_gguf("s3://bucket/dir/other.gguf")


def test_what_is_not_there(memory: Any, opened: Session) -> None:
    with pytest.raises(RemoteError, match=r"memory://none\.gguf: there is no such file"):
        open_gguf("memory://none.gguf")


def test_a_directory(memory: Any, opened: Session) -> None:
    memory.pipe("/dir/m.gguf", DATA)
    with pytest.raises(RemoteError, match="is a directory"):
        open_gguf("memory://dir")


def test_an_unknown_scheme(opened: Session) -> None:
    with pytest.raises(UnsupportedError, match="nonsense"):
        open_gguf("nonsense://x/y")


def test_a_file_that_changes_meanwhile(memory: Any, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/m.gguf", DATA)
    read = memory.cat_file
    calls = []

    def changing(path: str, start: int, end: int) -> bytes:
        calls.append(start)
        if len(calls) == 2:
            memory.pipe("/m.gguf", DATA + b"more")
        return bytes(read(path, start=start, end=end))

    monkeypatch.setattr(type(memory), "cat_file", lambda self, path, start, end: changing(path, start, end))
    with pytest.raises(RemoteError, match="changed while it was being read"):
        open_gguf("memory://m.gguf")


def test_a_size_that_is_a_lie(memory: Any, opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/m.gguf", DATA[:100_000])
    info = memory.info
    monkeypatch.setattr(type(memory), "info", lambda self, path: {**info(path), "size": 200_000_000})
    with pytest.raises(RemoteError, match="its length was a lie"):
        open_gguf("memory://m.gguf")


def test_any_error_of_a_file_system_is_one_of_ours(
    memory: Any, opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OddError(Exception):
        pass

    def fail(*args: object, **kwargs: object) -> None:
        raise OddError("all went wrong")

    memory.pipe("/m.gguf", DATA)
    monkeypatch.setattr(type(memory), "cat_file", fail)
    with pytest.raises(RemoteError, match=r"all went wrong \(asked for bytes 0 to 65535\)"):
        open_gguf("memory://m.gguf")


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("memory://x", "fsspec"),
        ("http://h/x", "urllib3"),
        ("hf://a/b/c", "urllib3"),
        ("hf://a/b/c", "huggingface_hub"),
    ],
)
def test_a_missing_package_is_named_with_the_extra(
    opened: Session, monkeypatch: pytest.MonkeyPatch, url: str, package: str
) -> None:
    ours = ("http_transport", "http_connections", "fsspec_transport", "hub")
    for name in list(sys.modules):
        if name.split(".")[0] == package or name in {f"gguf_tools.io.remote.{module}" for module in ours}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=rf"needs the package {package}: .*gguf-tools\[remote\]"):
        open_gguf(url)


def test_an_empty_file(memory: Any, opened: Session) -> None:
    memory.pipe("/m.gguf", b"")
    with pytest.raises(FormatError, match="empty"):
        open_gguf("memory://m.gguf")
