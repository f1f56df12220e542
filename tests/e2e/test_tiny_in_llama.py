"""llama.cpp loads what we make of every tiny checkpoint and computes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from tests import tiny
from tests.references import newer_llama
from tests.references.llama import Llama

TEXT = "The capital of France is Paris. One, two, three, 4567; été!\n"


def outputs(name: str, path: Path) -> NDArray[np.float32]:
    """Logits, or an encoder's states, one row per token; of newer families for three of the tokens."""
    if tiny.MODELS[name].newer:
        tokens = newer_llama.tokenize(path, TEXT)
        prompts = [tokens[: len(tokens) // 3], tokens[: len(tokens) // 2], tokens]
        return newer_llama.next_log_probabilities(path, prompts)
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        assert len(tokens) > 10
        return model.token_embeddings(tokens) if model.is_encoder else model.logits(tokens)


@pytest.mark.parametrize("recipe", ["Q4_K_M", "Q8_0", "F16"])
@pytest.mark.parametrize("name", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_llama_cpp_computes_finite_numbers(
    name: str, recipe: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
    found = outputs(name, path)
    assert np.isfinite(found).all()
    assert found.std() > 0.1


@pytest.mark.parametrize("name", tiny.NAMES)
def test_quantizing_moves_the_outputs_only_a_little(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """A permuted head or a swapped tensor would make them unrelated."""
    found = {}
    for recipe in ("F32", "Q8_0"):
        path = tmp_path / f"{recipe}.gguf"
        gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
        rows = outputs(name, path)
        found[recipe] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (found["F32"] * found["Q8_0"]).sum(axis=1)
    assert np.quantile(cosines, 0.5 if tiny.MODELS[name].routed else 0) > tiny.MODELS[name].alike
