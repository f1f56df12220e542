"""A real model, quantized again, against llama.cpp's own quantizer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from gguf_tools.conversion.requantize import plan_requantization, requantize
from gguf_tools.errors import QuantizationError, UnsupportedError
from tests.goldens.record_recipes import GOLDEN, REFUSED, real_folder
from tests.references.oracles import smollm2
from tests.references.quantizer import oracle_quantize

RECORDED: dict[str, str] = json.loads(GOLDEN.read_text())["real"]["SmolLM2-135M"]
"""SHA-256 of what llama-quantize b11434 makes of it, by recipe; ``weighted`` with an importance matrix."""


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 in F16 and a matrix for it, as when the goldens were recorded."""
    made = tmp_path_factory.mktemp("smollm2")
    real_folder(made)
    return made


@pytest.mark.parametrize("recipe", ["Q4_K_M", "F16"])
def test_smollm2_becomes_llama_cpp_s_file(recipe: str, tmp_path: Path) -> None:
    """From Q4_1. Its rows of 576 are no multiple of 256: nearly every tensor falls back."""
    oracle_quantize(smollm2(), tmp_path / "theirs.gguf", recipe, requantize=True, threads=2)
    plan = requantize(smollm2(), tmp_path / "ours.gguf", type=recipe)
    assert (tmp_path / "ours.gguf").stat().st_size == plan.size
    assert digest(tmp_path / "ours.gguf") == digest(tmp_path / "theirs.gguf")


@pytest.mark.parametrize("words", RECORDED)
def test_every_recipe_gives_the_file_recorded_of_llama_quantize(
    words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _, weighted = words.partition(" ")
    monkeypatch.chdir(folder)  # the name of the matrix's file is part of the file
    imatrix = "imatrix.dat" if weighted else None
    if RECORDED[words] == REFUSED:  # for want of a matrix, or of a type for rows of 576
        try:
            assert plan_requantization("in.gguf", recipe=recipe, imatrix=imatrix).fallbacks
        except (QuantizationError, UnsupportedError):
            assert not weighted
        return
    requantize("in.gguf", tmp_path / "out.gguf", type=recipe, imatrix=imatrix)
    assert digest(tmp_path / "out.gguf") == RECORDED[words]
