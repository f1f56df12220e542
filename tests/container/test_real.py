"""Real files: SmolLM2 as its maker published it, and llama.cpp's test vocabularies."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from gguf_tools.container import Array, open_gguf, write_gguf
from gguf_tools.verification.verify import verify
from tests.references import oracles

VOCABULARIES = ["gemma-4", "llama-bpe", "llama-spm", "bert-bge", "qwen2", "gpt-2", "nomic-bert-moe"]

OPENING = """
import re, sys, time
from gguf_tools.container import open_gguf
times = []
for _ in range(3):
    start = time.process_time()
    file = open_gguf(sys.argv[1])
    times.append(time.process_time() - start)
assert file.metadata["tokenizer.ggml.merges"][514_000]
# Not getrusage: its peak is inherited from the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(min(times), int(peak[1]) * 1024)
"""


def vocabulary(name: str) -> Path:
    return oracles.llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rewrite(source: Path, target: Path) -> None:
    with open_gguf(source) as file:
        write_gguf(target, file.metadata, ((tensor.name, tensor) for tensor in file.tensors.values()))


def test_a_model_is_rewritten_byte_for_byte(tmp_path: Path) -> None:
    rewrite(oracles.smollm2(), tmp_path / "again.gguf")
    assert digest(tmp_path / "again.gguf") == digest(oracles.smollm2())


@pytest.mark.parametrize("name", VOCABULARIES)
def test_vocabularies_are_rewritten_byte_for_byte(tmp_path: Path, name: str) -> None:
    rewrite(vocabulary(name), tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == vocabulary(name).read_bytes()


def test_version_2_becomes_version_3_and_nothing_else_changes(tmp_path: Path) -> None:
    source = vocabulary("aquila").read_bytes()
    assert source[4:8] == b"\2\0\0\0"
    rewrite(vocabulary("aquila"), tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == b"GGUF\3\0\0\0" + source[8:]


@pytest.mark.parametrize("name", ["llama-spm", "bert-bge"])
def test_metadata_equals_that_of_the_gguf_package(name: str) -> None:
    reader = gguf.GGUFReader(vocabulary(name))
    theirs = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    with open_gguf(vocabulary(name)) as file:
        ours = {
            key: list(value) if isinstance(value, Array) else value for key, value in file.metadata.items()
        }
    assert ours == theirs


def test_tensor_bytes_equal_those_of_the_gguf_package() -> None:
    reader = gguf.GGUFReader(oracles.smollm2())
    with open_gguf(oracles.smollm2()) as file:
        assert list(file.tensors) == [tensor.name for tensor in reader.tensors]
        for theirs in reader.tensors[:12]:
            ours = file.tensors[theirs.name]
            assert ours.shape == tuple(reversed(theirs.shape.tolist()))
            assert ours.type_name == theirs.tensor_type.name
            assert ours.offset == theirs.data_offset
            rows = max(1, int(np.prod(ours.shape[:-1])))
            assert np.array_equal(ours.raw(0, rows).ravel(), theirs.data.view(np.uint8).ravel())


def test_real_files_are_sound() -> None:
    for path in (oracles.smollm2(), *map(vocabulary, VOCABULARIES)):
        assert verify(path) == []


def test_262144_tokens_and_514906_merges_open_at_once() -> None:
    command = [sys.executable, "-c", OPENING, str(vocabulary("gemma-4"))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = map(float, result.stdout.split())
    assert seconds < 0.1
    assert memory < 100e6
