"""Texts that are not UTF-8, wherever a file has some, through every command: kept, or refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import gguf_tools
import gguf_tools.cli
from gguf_tools import Array, ValueType
from gguf_tools.errors import CheckpointError
from tests import tiny

RAW = b"b\xffd"
BAD = RAW.decode("utf-8", "surrogateescape")

BLOCK = "blk.0.ffn_gate.weight"
DESCRIPTION, NAME, TAGS = "general.description", "general.name", "general.tags"
TOKENS, TEMPLATE = "tokenizer.ggml.tokens", "tokenizer.chat_template"

TEXTS = {
    "name": {},
    "value": {DESCRIPTION: BAD},
    "model": {NAME: BAD},
    "items": {TAGS: [BAD, "x"]},
    "template": {TEMPLATE: "{{ x }}" + BAD},
    "token": {TOKENS: None},
    "architecture": {"general.architecture": BAD},
    "key": {"general.bXd": "x"},
}
"""Where the text is: in a tensor's name, in metadata, in a key."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for each of `TEXTS`, and one without: ``plain``."""
    folder = tmp_path_factory.mktemp("texts")
    gguf_tools.convert(tiny.build("llama", folder), folder / "plain.gguf", type="F32")
    with gguf_tools.open(folder / "plain.gguf") as file:
        for kind, values in TEXTS.items():
            metadata = file.metadata.copy()
            for key, value in values.items():
                if key == TOKENS:
                    value = [*list(metadata[TOKENS])[:5], BAD, *list(metadata[TOKENS])[6:]]
                if isinstance(value, list):
                    metadata.set(key, Array(ValueType.STRING, value), ValueType.ARRAY)
                else:
                    metadata.set(key, value, ValueType.STRING)
            tensors = [(BAD if kind == "name" and n == BLOCK else n, t) for n, t in file.tensors.items()]
            gguf_tools.write(folder / f"{kind}.gguf", metadata, tensors)
    path = folder / "key.gguf"
    path.write_bytes(path.read_bytes().replace(b"general.bXd", b"general." + RAW))
    return folder


COMMANDS: dict[str, list[str]] = {
    "inspect": ["inspect", "IN", "--tensors", "--metadata", "--map", "--sizes"],
    "inspect --stats": ["inspect", "IN", "--stats"],
    "inspect --json": ["inspect", "IN", "--json", "--tensors", "--metadata", "--sizes", "--stats"],
    "inspect --html": ["inspect", "IN", "--html", "OUT"],
    "inspect --key": ["inspect", "IN", "--key", DESCRIPTION],
    "inspect --key --json": ["inspect", "IN", "--key", TAGS, "--json"],
    "verify": ["verify", "IN", "--hash"],
    "verify --json": ["verify", "IN", "--hash", "--json"],
    "diff": ["diff", "IN", "PLAIN", "--data"],
    "diff --json": ["diff", "PLAIN", "IN", "--json"],
    "estimate": ["estimate", "IN"],
    "estimate --json": ["estimate", "IN", "--json"],
    "quantize": ["quantize", "IN", "OUT", "-t", "Q8_0", "--explain"],
    "quantize --json": ["quantize", "IN", "OUT", "-t", "Q8_0", "--json"],
    "quantize, in shards": ["quantize", "IN", "OUT", "-t", "Q8_0", "--split-max-size", "500K"],
    "export": ["export", "IN", "OUT"],
    "export --json": ["export", "IN", "OUT", "--json"],
    "extract": ["extract", "IN", "OUT.safetensors"],
    "extract --json": ["extract", "IN", "OUT.safetensors", "--dtype", "raw", "--json"],
    "extract an array": ["extract", "IN", "OUT.npy", "-t", "b?d", "-t", "output_norm.weight"],
    "extract arrays": ["extract", "IN", "OUT"],
    "split": ["split", "IN", "OUT", "--max-tensors", "9"],
    "split --json": ["split", "IN", "OUT", "--max-tensors", "9", "--json"],
    "edit": ["edit", "IN", "-o", "OUT", "--set", f"{NAME}=x"],
    "edit --json": ["edit", "IN", "-o", "OUT", "--set", f"{NAME}=x", "--json"],
    "edit --rename-arch": ["edit", "IN", "-o", "OUT", "--rename-arch", "qwen2"],
    "edit, all moved": ["edit", "IN", "-o", "OUT", "--set", "general.alignment=64", "--type", "uint32"],
}


def invoke(models: Path, kind: str, words: list[str], out: Path) -> Result:
    names = {"IN": str(models / f"{kind}.gguf"), "PLAIN": str(models / "plain.gguf")}
    given = [names.get(word, word.replace("OUT", str(out))) for word in words]
    return CliRunner().invoke(gguf_tools.cli.main, given)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", TEXTS)
def test_no_command_stumbles(kind: str, name: str, models: Path, tmp_path: Path) -> None:
    words = COMMANDS[name]
    done = invoke(models, kind, words, tmp_path / "out")
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    if "error:" in done.stderr:
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
    elif "--json" in words:
        json.loads(done.stdout)
    if "--html" in words and kind != "key":
        (tmp_path / "out").read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", ["f32", "raw"])
def test_safetensors_cannot_express_such_a_name(dtype: str, models: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tensor 'b\\udcffd': the name is not UTF-8") as caught:
        gguf_tools.extract(models / "name.gguf", tmp_path / "a.safetensors", dtype=dtype)
    assert caught.value.tensor == BAD
    gguf_tools.extract(models / "name.gguf", tmp_path / "a.safetensors", ["blk.*"], dtype=dtype)
    gguf_tools.extract(models / "name.gguf", tmp_path / "a.npy", [BAD], dtype=dtype)  # as the error suggests
    gguf_tools.extract(models / "plain.gguf", tmp_path / "b.npy", [BLOCK], dtype=dtype)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind not in ("key", "architecture")])
def test_gguf_files_keep_them(kind: str, models: Path, tmp_path: Path) -> None:
    source = models / f"{kind}.gguf"
    gguf_tools.split(source, tmp_path / "part", max_tensors=9)
    first = min(tmp_path.glob("part-*"))
    gguf_tools.merge(first, tmp_path / "merged.gguf")
    assert (tmp_path / "merged.gguf").read_bytes() == source.read_bytes()
    gguf_tools.requantize(source, tmp_path / "quantized.gguf", type="Q8_0")
    changes = gguf_tools.Changes(set={"general.url": "x"}, type="string")
    gguf_tools.edit(source, changes, output=tmp_path / "edited.gguf")
    for name in ("quantized.gguf", "edited.gguf"):
        assert RAW in (tmp_path / name).read_bytes()


@pytest.mark.parametrize("half", ["\ud800", "x\udfffy"])
def test_half_a_character_in_the_name_of_a_safetensors_tensor(half: str, tmp_path: Path) -> None:
    """JSON can spell it."""
    checkpoint = tiny.build("qwen3", tmp_path)
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    header[half] = header.pop("model.norm.weight")
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    for words in (
        ["convert", str(checkpoint), str(tmp_path / "out"), "-t", "F16"],
        ["inspect", str(checkpoint), "--tensors"],
        ["inspect", str(checkpoint), "--tensors", "--json"],
        ["inspect", str(checkpoint), "--html", str(tmp_path / "page")],
        ["inspect", str(path), "--stats"],
        ["diff", str(path), str(path)],
    ):
        done = CliRunner().invoke(gguf_tools.cli.main, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert not (tmp_path / "out").exists()
