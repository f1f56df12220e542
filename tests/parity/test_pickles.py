"""PyTorch pickles: refused unless asked for, and then the file is that of the safetensors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gguf_tools
from gguf_tools.cli import main
from gguf_tools.errors import CheckpointError, UnsupportedError
from tests.adapters import adapt, write_adapter
from tests.goldens.describe import describe
from tests.goldens.lora_converter import LoraJob, convert_lora

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


def test_a_file_cut_short_meanwhile_is_an_error(tmp_path: Path) -> None:
    """In a process of its own: a mapping of the file would end it."""
    import torch

    straight = torch.arange(1 << 20, dtype=torch.float32).reshape(1024, 1024)
    path = tmp_path / "pytorch_model.bin"
    torch.save({"straight": straight, "turned": straight.clone().T}, path)
    code = """
import os, sys
from gguf_tools.checkpoint.pickled import PickledFile
from gguf_tools.errors import CheckpointError
file = PickledFile(sys.argv[1])
for name in ("straight", "turned"):
    assert file.tensors[name].rows(0, 1024).sum() > 0
os.truncate(sys.argv[1], 5000)
for name in ("straight", "turned"):
    try:
        file.tensors[name].rows(0, 1024)
    except CheckpointError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cut short meanwhile") == 2


def test_what_a_pickle_promises_and_the_file_does_not_have(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    target = plain_copy(tiny_checkpoints["llama"], tmp_path / "src")
    torch.save({"a": torch.zeros(8)}, target / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(UnsupportedError, match="does not tell where in the file") as caught:
        gguf_tools.convert(target, tmp_path / "out.gguf", allow_pickle=True)
    assert caught.value.tensor == "a"


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


# Adapters


@pytest.fixture
def base(tiny_checkpoints: dict[str, Path]) -> Path:
    return tiny_checkpoints["llama"]


@pytest.fixture
def adapters(base: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An adapter as safetensors, and as PEFT saves the same in a pickle."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = adapt(base, tmp_path / "lora", r".*[qv]_proj\.weight", target_modules=["q_proj", "v_proj"])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, adapter).save_pretrained(tmp_path / "old", safe_serialization=False)
    assert not list((tmp_path / "old").glob("*.safetensors"))
    (tmp_path / "old" / "README.md").unlink()  # a model card, which goes into a file's keys
    (tmp_path / "pickled").mkdir()
    pickled = Path(shutil.move(tmp_path / "old", tmp_path / "pickled" / "lora"))
    return adapter, pickled


def test_an_adapters_file_is_that_of_the_safetensors(
    adapters: tuple[Path, Path], base: Path, tmp_path: Path
) -> None:
    adapter, pickled = adapters
    gguf_tools.convert_lora(pickled, tmp_path / "a.gguf", base=base, allow_pickle=True)
    gguf_tools.convert_lora(adapter, tmp_path / "b.gguf", base=base)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    with pytest.raises(CheckpointError, match="loading one can run code"):
        gguf_tools.convert_lora(pickled, tmp_path / "c.gguf", base=base)


def test_an_adapters_file_is_llama_cpps(adapters: tuple[Path, Path], base: Path, tmp_path: Path) -> None:
    _, pickled = adapters
    gguf_tools.convert_lora(pickled, tmp_path / "ours.gguf", base=base, allow_pickle=True)
    assert convert_lora([LoraJob(pickled, base, tmp_path / "theirs.gguf", "f32")]) == [None]
    found, expected = describe(tmp_path / "ours.gguf"), describe(tmp_path / "theirs.gguf")
    assert found.metadata == expected.metadata
    assert found.tensors == expected.tensors


def test_an_adapter_is_merged_like_the_safetensors(
    adapters: tuple[Path, Path], base: Path, tmp_path: Path
) -> None:
    adapter, pickled = adapters
    merged = [(pickled, 0.5)]
    gguf_tools.convert(base, tmp_path / "a.gguf", type="Q4_K_M", merge_lora=merged, allow_pickle=True)
    gguf_tools.convert(base, tmp_path / "b.gguf", type="Q4_K_M", merge_lora=[(adapter, 0.5)])
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    with pytest.raises(CheckpointError, match="loading one can run code"):
        gguf_tools.convert(base, tmp_path / "c.gguf", merge_lora=merged)


def test_the_commands_ask_for_it(adapters: tuple[Path, Path], base: Path, tmp_path: Path) -> None:
    _, pickled = adapters
    commands = [
        ["convert-lora", str(pickled), str(tmp_path / "a.gguf"), "--base", str(base)],
        ["convert", str(base), str(tmp_path / "b.gguf"), "-t", "F16", "--merge-lora", str(pickled)],
    ]
    for arguments in commands:
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 1
        assert "--allow-pickle" in refused.stderr
        assert refused.stderr.count("\n") == 1
        done = CliRunner().invoke(main, [*arguments, "--allow-pickle"])
        assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("of", ["code", "a list", "half a pair"])
def test_what_is_no_adapter(of: str, base: Path, tmp_path: Path) -> None:
    import torch

    adapter = write_adapter(tmp_path / "lora", {})
    (adapter / "adapter_model.safetensors").unlink()
    half = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    contents, message = {
        "code": ({"a": Evil(tmp_path / "ran")}, "torch does not load it with weights_only"),
        "a list": ([1, 2], "not a dictionary of tensors"),
        "half a pair": ({half: torch.zeros(8, 256)}, "only one of lora_A and lora_B is there"),
    }[of]
    torch.save(contents, adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=message):
        gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base, allow_pickle=True)
    with pytest.raises(CheckpointError, match=message):
        gguf_tools.convert(base, tmp_path / "b.gguf", merge_lora=[adapter], allow_pickle=True)
    assert not (tmp_path / "ran").exists()
