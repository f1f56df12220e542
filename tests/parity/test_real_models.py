"""Real checkpoints: our file is llama.cpp's converter's file, key for key and tensor for tensor."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_tools
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.references import llama, oracles

pytestmark = pytest.mark.parity


def assert_same(ours: Path, theirs: Path) -> None:
    found, expected = describe(ours), describe(theirs)
    assert found.metadata == expected.metadata
    assert set(found.tensors) == set(expected.tensors)
    for name, facts in expected.tensors.items():
        assert found.tensors[name] == facts, name
    assert found.sha256 == expected.sha256


def test_minilm(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    convert([Job(oracles.minilm(), theirs, "f16")])
    gguf_tools.convert(oracles.minilm(), ours, type="F16")
    assert_same(ours, theirs)


def test_minilm_quantized(tmp_path: Path) -> None:
    ours, base, theirs = tmp_path / "ours.gguf", tmp_path / "f32.gguf", tmp_path / "theirs.gguf"
    convert([Job(oracles.minilm(), base, "f32")])
    llama.quantize(base, theirs, "Q4_K_M")
    gguf_tools.convert(oracles.minilm(), ours, type="Q4_K_M")
    assert_same(ours, theirs)


def test_smollm2_through_our_export(tmp_path: Path) -> None:
    """What we export is a checkpoint llama.cpp's converter takes, and we agree on what it means."""
    directory = tmp_path / "SmolLM2-135M-Instruct"
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    gguf_tools.export(oracles.smollm2(), directory, dtype="f16")
    convert([Job(directory, theirs, "f16")])
    gguf_tools.convert(directory, ours, type="F16")
    assert_same(ours, theirs)
