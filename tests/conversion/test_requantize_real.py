"""A real model, quantized again, against llama.cpp's own quantizer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gguf_tools.conversion.requantize import requantize

from ..oracles import smollm2
from ..quantizer import oracle_quantize


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("recipe", ["Q4_K_M", "F16"])
def test_smollm2_becomes_llama_cpp_s_file(recipe: str, tmp_path: Path) -> None:
    """From Q4_1. Its rows of 576 are no multiple of 256: nearly every tensor falls back."""
    oracle_quantize(smollm2(), tmp_path / "theirs.gguf", recipe, requantize=True, threads=2)
    plan = requantize(smollm2(), tmp_path / "ours.gguf", type=recipe)
    assert (tmp_path / "ours.gguf").stat().st_size == plan.size
    assert digest(tmp_path / "ours.gguf") == digest(tmp_path / "theirs.gguf")
