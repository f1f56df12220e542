"""``general.*``: the converter's recorded results, and files that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gguf_tools import architectures
from gguf_tools.architectures import count_parameters
from gguf_tools.container.metadata import Array
from gguf_tools.errors import CheckpointError
from tests import tiny
from tests.architectures.sources import checkpoint
from tests.goldens.record import load


def general(path: Path, name: str = "llama", **changes: Any) -> dict[str, list[Any]]:
    config, tensors = checkpoint(name, **changes)
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    entries = architectures.general_metadata(path, config, architecture=family, tensors=side.tensors)
    return {
        key: ["ARRAY", value.element_type.name, len(value), list(value)]
        if isinstance(value, Array)
        else [kind.name, value]
        for key, kind, value in entries
    }


def as_float32(entry: list[Any]) -> list[Any]:
    return [entry[0], pytest.approx(entry[1], rel=1e-7)] if entry[0] == "FLOAT32" else entry


@pytest.mark.parametrize("name", tiny.NAMES)
def test_the_converters_words(name: str, tiny_checkpoints: dict[str, Path]) -> None:
    expected = {
        key: as_float32(value)
        for key, value in load(name)["metadata"].items()
        if key.startswith("general.") and key not in ("general.file_type", "general.quantization_version")
    }
    assert general(tiny_checkpoints[name], name) == expected


def test_directory_and_config_tell_name_and_version(tmp_path: Path) -> None:
    path = tmp_path / "Llama-3.2-1B-Instruct-v2"
    path.mkdir()
    found = general(path)
    assert found["general.name"] == ["STRING", "Llama 3.2 1B Instruct v2"]
    assert found["general.version"] == ["STRING", "v2"]
    assert found["general.finetune"] == ["STRING", "1b-Instruct"]
    assert general(path, _name_or_path="acme/Foo-7B")["general.organization"] == ["STRING", "Acme"]


def test_the_current_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "Foo"
    path.mkdir()
    monkeypatch.chdir(path)
    assert general(Path())["general.name"] == ["STRING", "Foo"]


def test_sampling_defaults_keep_their_types(tmp_path: Path) -> None:
    settings = {"top_k": 5, "temperature": 1, "penalty_repeat": 1.5, "repetition_penalty": 1.1, "min_p": None}
    (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    found = {key: value for key, value in general(tmp_path).items() if "sampling" in key}
    assert found == {
        "general.sampling.top_k": ["INT32", 5],
        "general.sampling.temp": ["FLOAT32", 1],
        "general.sampling.penalty_repeat": ["FLOAT32", 1.5],
    }


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("README.md", b"---\ntags: [a\n---\n"),
        ("README.md", b"---\nlicense: 3\n---\n"),
        ("README.md", b"---\ntags: [1, 2]\n---\n"),
        ("README.md", b"---\nlicense: [1, 2]\n---\n"),
        ("README.md", b"---\nlanguage: \xff\n---\n"),
        ("generation_config.json", b'{"top_k": "many"}'),
        ("generation_config.json", b'{"temperature": true}'),
        ("generation_config.json", b"[1]"),
    ],
)
def test_files_that_cannot_be_used_are_typed_errors(file: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(CheckpointError):
        general(tmp_path)


def test_parameters_are_counted_per_expert() -> None:
    dense = [("token_embd.weight", (10, 4)), ("output_norm.weight", (4,))]
    assert count_parameters(dense) == (44, 44, 0, 0)
    sparse = [*dense, ("blk.0.ffn_up_exps.weight", (8, 6, 4)), ("blk.1.ffn_up_exps.weight", (8, 6, 4))]
    assert count_parameters(sparse) == (428, 44, 48, 8)


def test_gguf_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, gguf_tools.architectures; print({'gguf', 'numba', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
