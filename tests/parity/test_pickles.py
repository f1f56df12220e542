"""PyTorch pickles: refused unless asked for, and then the file is that of the safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import gguf_tools
from gguf_tools.errors import CheckpointError, UnsupportedError

pytestmark = pytest.mark.parity


class Evil:
    """Unpickled without care, it runs a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def state(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {
        name: t for path in sorted(directory.glob("*.safetensors")) for name, t in load_file(path).items()
    }


def plain_copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors*"))
    return target


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2", "gpt-oss-mxfp4"])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_file_is_that_of_the_safetensors(
    name: str, parts: int, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    original = tiny_checkpoints[name]
    tensors = state(original)
    target = plain_copy(original, tmp_path / original.name)
    names = sorted(tensors)
    for i in range(parts):
        file = "pytorch_model.bin" if parts == 1 else f"pytorch_model-{i + 1:05}-of-{parts:05}.bin"
        part = names[i * len(names) // parts : (i + 1) * len(names) // parts]
        torch.save({name: tensors[name] for name in part}, target / file)
    gguf_tools.convert(target, tmp_path / "a.gguf", type="Q4_K_M", allow_pickle=True)
    gguf_tools.convert(original, tmp_path / "b.gguf", type="Q4_K_M")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    with pytest.raises(CheckpointError, match="loading a pickle can run code"):
        gguf_tools.convert(target, tmp_path / "c.gguf")


def in_shards(source: Path, target: Path, count: int = 3) -> dict[str, str]:
    """The checkpoint in pickled shards; returns which tensor is in which."""
    import torch

    tensors = state(source)
    places = {
        name: f"pytorch_model-{i * count // len(tensors) + 1:05}-of-{count:05}.bin"
        for i, name in enumerate(sorted(tensors))
    }
    for file in sorted(set(places.values())):
        torch.save({name: tensors[name] for name in tensors if places[name] == file}, target / file)
    return places


def test_pickled_shards_with_an_index(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    original = tiny_checkpoints["qwen2"]
    target = plain_copy(original, tmp_path / original.name)
    places = in_shards(original, target)
    index = target / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    gguf_tools.convert(target, tmp_path / "a.gguf", type="BF16", allow_pickle=True)
    gguf_tools.convert(original, tmp_path / "b.gguf", type="BF16")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()

    last = max(places.values())
    index.write_text(json.dumps({"weight_map": {**places, "more.weight": last}}))
    with pytest.raises(CheckpointError, match=r"the index puts 1 tensor .*more\.weight"):
        gguf_tools.convert(target, tmp_path / "c.gguf", allow_pickle=True)
    index.write_text(json.dumps({"weight_map": {**places, "more.weight": "../other.bin"}}))
    with pytest.raises(CheckpointError, match="names a file it must not"):
        gguf_tools.convert(target, tmp_path / "c.gguf", allow_pickle=True)
    index.write_text(json.dumps({"weight_map": places}))
    (target / last).unlink()
    with pytest.raises(CheckpointError, match=r"names 1 file.*pytorch_model-00003-of-00003\.bin"):
        gguf_tools.convert(target, tmp_path / "c.gguf", allow_pickle=True)
    index.unlink()
    with pytest.raises(CheckpointError, match=r"not a complete set.*pytorch_model-00003-of-00003\.bin"):
        gguf_tools.convert(target, tmp_path / "c.gguf", allow_pickle=True)


def test_tensors_that_share_memory_or_are_turned(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import torch

    original = tiny_checkpoints["qwen2"]
    tensors = state(original)
    target = plain_copy(original, tmp_path / original.name)
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name].T.contiguous().T
    assert not tensors[name].is_contiguous()
    torch.save({"state_dict": tensors}, target / "pytorch_model.bin")
    gguf_tools.convert(target, tmp_path / "a.gguf", type="BF16", allow_pickle=True)
    gguf_tools.convert(original, tmp_path / "b.gguf", type="BF16")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_code_in_a_pickle_is_not_run(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import torch

    target = plain_copy(tiny_checkpoints["llama"], tmp_path / "src")
    torch.save({"a": Evil(tmp_path / "ran")}, target / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="torch does not load it with weights_only"):
        gguf_tools.convert(target, tmp_path / "out.gguf", allow_pickle=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("contents", [[1, 2], {"a": 1}], ids=["a list", "no tensors"])
def test_what_is_no_dictionary_of_tensors(
    contents: Any, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    target = plain_copy(tiny_checkpoints["llama"], tmp_path / "src")
    torch.save(contents, target / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="not a dictionary of tensors"):
        gguf_tools.convert(target, tmp_path / "out.gguf", allow_pickle=True)


def test_a_dtype_without_a_counterpart(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import torch

    target = plain_copy(tiny_checkpoints["llama"], tmp_path / "src")
    torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, target / "pytorch_model.bin")
    with pytest.raises(UnsupportedError, match="no counterpart") as caught:
        gguf_tools.convert(target, tmp_path / "out.gguf", allow_pickle=True)
    assert caught.value.tensor == "a"
