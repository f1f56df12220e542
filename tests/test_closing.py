"""No function of the public API leaves a file open: not when it returns, and not when it fails.

Descriptors and mappings are counted while what was returned, or the error with all its frames, is still held.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import Array, Metadata
from gguf_tools.errors import GGUFToolsError
from gguf_tools.io import input_files as reading
from gguf_tools.source import ArraySource
from gguf_tools.spec import ValueType
from tests.adapters import adapt

Call = Callable[[Path], Any]

WITHOUT_FILES = {"dequantize", "quantize", "statistics", "summarize"}
"""Functions that take arrays, or what is open already."""

HELD = re.compile(r"\.(gguf|safetensors|npy|bin|partial|json)\b")
"""What files of a model are called; others, such as a library that was just imported, do not count."""


@pytest.fixture(scope="module")
def folder(tiny_checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a checkpoint, adapters, models whole and split, and faulty ones."""
    folder = tmp_path_factory.mktemp("closing")
    checkpoint = tiny_checkpoints["llama"]
    (folder / "hf").symlink_to(checkpoint)
    adapt(checkpoint, folder / "adapter", r".*q_proj\.weight")
    adapt(checkpoint, folder / "odd-adapter", r".*q_proj\.weight", alora_invocation_tokens=[1])
    gguf_tools.convert(checkpoint, folder / "m.gguf", type="BF16")
    gguf_tools.split(folder / "m.gguf", folder / "s", max_tensors=4)
    shards = sorted(folder.glob("s-*.gguf"))
    gguf_tools.edit(folder / "m.gguf", _renamed(), output=folder / "unknown.gguf")
    data = (folder / "m.gguf").read_bytes()
    (folder / "short.gguf").write_bytes(data[:-4000])
    (folder / "lone").mkdir()
    for shard in shards[:-1]:
        (folder / "lone" / shard.name).write_bytes(shard.read_bytes())
    (folder / "mixed").mkdir()
    for shard in shards[:-1]:
        (folder / "mixed" / shard.name).write_bytes(shard.read_bytes())
    (folder / "mixed" / shards[-1].name).write_bytes(data)
    gguf_tools.write(folder / "large.gguf", _vocabulary(), [("x", np.zeros((4, 32), np.float32))])
    (folder / "there.gguf").touch()
    (folder / "there").mkdir()
    (folder / "there" / "x").touch()
    return folder


def _vocabulary() -> Metadata:
    """More than is read of a header at once."""
    metadata = Metadata()
    metadata.set("general.architecture", "nonesuch", ValueType.STRING)
    tokens = Array(ValueType.STRING, [f"token {number}" for number in range(20_000)])
    metadata.set("tokenizer.ggml.tokens", tokens, ValueType.ARRAY)
    return metadata


def _renamed() -> gguf_tools.Changes:
    return gguf_tools.Changes(set={"general.architecture": "nonesuch"})


def shard(folder: Path, directory: str = ".") -> Path:
    return sorted((folder / directory).glob("s-*.gguf"))[0]


def write(folder: Path, name: str, source: ArraySource) -> None:
    gguf_tools.write(folder / name, Metadata(), [("x", source)])


class Failing(ArraySource):
    def raw(self, start: int, stop: int) -> Any:
        raise GGUFToolsError("cannot be read")


CALLS: dict[str, Call] = {
    "convert": lambda f: gguf_tools.convert(f / "hf", f / "o1.gguf", type="Q8_0"),
    "convert split": lambda f: gguf_tools.convert(f / "hf", f / "o2.gguf", type="F16", split_max_size=40_000),
    "convert merge_lora": lambda f: gguf_tools.convert(f / "hf", f / "o3.gguf", merge_lora=[f / "adapter"]),
    "convert_lora": lambda f: gguf_tools.convert_lora(f / "adapter", f / "o4.gguf", base=f / "hf"),
    "diff": lambda f: gguf_tools.diff(f / "m.gguf", shard(f)),
    "diff checkpoint": lambda f: gguf_tools.diff(f / "hf", f / "m.gguf"),
    "edit": lambda f: gguf_tools.edit(f / "m.gguf", _renamed(), output=f / "o5.gguf"),
    "edit in place": lambda f: gguf_tools.edit(
        f / "unknown.gguf", gguf_tools.Changes(set={"general.architecture": "nonsense"}), insist=True
    ),
    "estimate": lambda f: gguf_tools.estimate(f / "m.gguf"),
    "estimate type": lambda f: gguf_tools.estimate(f / "m.gguf", type="Q8_0"),
    "estimate checkpoint": lambda f: gguf_tools.estimate(f / "hf"),
    "export": lambda f: gguf_tools.export(f / "m.gguf", f / "o6"),
    "extract": lambda f: gguf_tools.extract(f / "m.gguf", f / "o7.safetensors"),
    "extract split": lambda f: gguf_tools.extract(shard(f), f / "o8", ["*norm*"]),
    "inspect": lambda f: gguf_tools.inspect(f / "m.gguf"),
    "inspect split": lambda f: gguf_tools.inspect(shard(f)),
    "inspect checkpoint": lambda f: gguf_tools.inspect(f / "hf"),
    "merge": lambda f: gguf_tools.merge(shard(f), f / "o9.gguf"),
    "inspect large": lambda f: gguf_tools.inspect(f / "large.gguf"),
    "edit large": lambda f: gguf_tools.edit(
        f / "large.gguf", gguf_tools.Changes(set={"general.architecture": "nonsense"}), insist=True
    ),
    "requantize large": lambda f: gguf_tools.requantize(f / "large.gguf", f / "o15.gguf", type="F16"),
    "predict_sizes": lambda f: gguf_tools.predict_sizes(f / "m.gguf"),
    "predict_sizes checkpoint": lambda f: gguf_tools.predict_sizes(f / "hf"),
    "report": lambda f: gguf_tools.report(f / "m.gguf", f / "o10.html"),
    "requantize": lambda f: gguf_tools.requantize(f / "m.gguf", f / "o11.gguf", type="Q8_0"),
    "requantize split": lambda f: gguf_tools.requantize(shard(f), f / "o12.gguf", type="Q8_0"),
    "split": lambda f: gguf_tools.split(f / "m.gguf", f / "o13", max_tensors=3),
    "verify": lambda f: gguf_tools.verify(f / "m.gguf"),
    "verify split": lambda f: gguf_tools.verify(shard(f)),
    "verify lone": lambda f: gguf_tools.verify(shard(f, "lone")),
    "verify mixed": lambda f: gguf_tools.verify(shard(f, "mixed")),
    "verify short": lambda f: gguf_tools.verify(f / "short.gguf"),
    "write": lambda f: write(f, "o14.gguf", ArraySource(np.zeros((4, 8), np.float32))),
}
"""The function's name, and perhaps what is particular about the call."""

FAILING: dict[str, Call] = {
    "convert type": lambda f: gguf_tools.convert(f / "hf", f / "e.gguf", type="IQ1_S"),
    "convert there": lambda f: gguf_tools.convert(f / "hf", f / "there.gguf"),
    "convert pre": lambda f: gguf_tools.convert(f / "hf", f / "e.gguf", pre="nonesuch"),
    "convert merge_lora": lambda f: gguf_tools.convert(
        f / "hf", f / "e.gguf", merge_lora=[f / "adapter", f / "odd-adapter"]
    ),
    "convert_lora base": lambda f: gguf_tools.convert_lora(f / "adapter", f / "e.gguf"),
    "convert_lora there": lambda f: gguf_tools.convert_lora(f / "adapter", f / "there.gguf", base=f / "hf"),
    "diff": lambda f: gguf_tools.diff(f / "hf", f / "short.gguf"),
    "edit": lambda f: gguf_tools.edit(f / "m.gguf", gguf_tools.Changes(set={"new": "x"})),
    "edit there": lambda f: gguf_tools.edit(f / "m.gguf", _renamed(), output=f / "there.gguf"),
    "estimate": lambda f: gguf_tools.estimate(f / "unknown.gguf"),
    "estimate type": lambda f: gguf_tools.estimate(f / "unknown.gguf", type="IQ1_S"),
    "export": lambda f: gguf_tools.export(f / "unknown.gguf", f / "e"),
    "export mxfp4": lambda f: gguf_tools.export(f / "m.gguf", f / "e", dtype="mxfp4"),
    "export there": lambda f: gguf_tools.export(f / "m.gguf", f / "there"),
    "extract": lambda f: gguf_tools.extract(f / "m.gguf", f / "e", ["nonesuch"]),
    "extract npy": lambda f: gguf_tools.extract(f / "m.gguf", f / "e.npy"),
    "extract there": lambda f: gguf_tools.extract(f / "m.gguf", f / "there"),
    "inspect": lambda f: gguf_tools.inspect(f / "short.gguf"),
    "inspect lone": lambda f: gguf_tools.inspect(shard(f, "lone")),
    "inspect mixed": lambda f: gguf_tools.inspect(shard(f, "mixed")),
    "merge": lambda f: gguf_tools.merge(f / "m.gguf", f / "e.gguf"),
    "merge there": lambda f: gguf_tools.merge(shard(f), f / "there.gguf"),
    "open": lambda f: gguf_tools.open(f / "short.gguf"),
    "open mixed": lambda f: gguf_tools.open(shard(f, "mixed")),
    "predict_sizes": lambda f: gguf_tools.predict_sizes(f / "short.gguf"),
    "report": lambda f: gguf_tools.report(f / "m.gguf", f / "there.gguf"),
    "requantize": lambda f: gguf_tools.requantize(f / "m.gguf", f / "e.gguf", type="IQ1_S"),
    "requantize there": lambda f: gguf_tools.requantize(f / "m.gguf", f / "there.gguf", type="Q8_0"),
    "split": lambda f: gguf_tools.split(f / "m.gguf", f / "e", max_tensors=0),
    "write": lambda f: write(f, "e.gguf", Failing(np.zeros((4, 8), np.float32))),
}
"""Calls that raise, most of them after files were opened."""


def held() -> list[str]:
    """Files of models that this process has open or mapped, as the system has them."""
    names = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{entry}"))
        except FileNotFoundError:  # of the listing itself
            continue
    mapped = {
        line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line
    }
    return [name for name in (*names, *sorted(mapped)) if HELD.search(name)]


@pytest.fixture
def nothing_new() -> Callable[[], list[str]]:
    before = sorted(held())
    return lambda: [name for name in sorted(held()) if name not in before]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nothing_stays_open(folder: Path, nothing_new: Callable[[], list[str]], call: Call) -> None:
    returned = call(folder)
    assert nothing_new() == []
    del returned


@pytest.mark.parametrize("call", FAILING.values(), ids=FAILING)
def test_nothing_stays_open_after_an_error(
    folder: Path, nothing_new: Callable[[], list[str]], call: Call
) -> None:
    with pytest.raises(GGUFToolsError) as raised:
        call(folder)
    assert nothing_new() == []
    del raised


def test_the_test_sees(folder: Path, nothing_new: Callable[[], list[str]]) -> None:
    with gguf_tools.open(folder / "m.gguf"):
        assert nothing_new() == [str(folder / "m.gguf")]
    assert nothing_new() == []


def test_metadata_can_be_read_on(folder: Path, nothing_new: Callable[[], list[str]], tmp_path: Path) -> None:
    """When the file has been closed, and even when it is gone; whoever has it does not keep it open."""
    path = tmp_path / "copy.gguf"
    path.write_bytes((folder / "large.gguf").read_bytes())
    with gguf_tools.open(path) as file:
        pass
    path.unlink()
    assert nothing_new() == []
    assert list(file.metadata["tokenizer.ggml.tokens"])[-1] == "token 19999"
    with pytest.raises(GGUFToolsError, match="has been closed"):
        file.tensors["x"].rows(0, 1)


def test_an_endless_header_is_not_taken_into_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_KEPT", 1 << 18)
    with gguf_tools.open(folder / "large.gguf") as file:
        assert file.header.end > 1 << 18
    with pytest.raises(GGUFToolsError, match="has been closed"):
        list(file.metadata["tokenizer.ggml.tokens"])


def test_every_function_is_there() -> None:
    functions = {name for name in gguf_tools.__all__ if inspect.isfunction(getattr(gguf_tools, name))}
    functions -= WITHOUT_FILES
    called, failing = ({name.split()[0] for name in calls} for calls in (CALLS, FAILING))
    assert called == functions - {"open"}  # what it returns is the caller's to close
    assert failing == functions - {"verify"}  # a faulty file is what that is for
