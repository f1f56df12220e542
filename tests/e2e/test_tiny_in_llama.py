"""llama.cpp loads what we make of every tiny checkpoint and computes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from tests import tiny
from tests.llama import Llama

TEXT = "The capital of France is Paris. One, two, three, 4567; été!\n"

LOADED = tuple(name for name, model in tiny.MODELS.items() if model.loads)


@pytest.mark.parametrize("recipe", ["Q4_K_M", "Q8_0", "F16"])
@pytest.mark.parametrize("name", LOADED)
def test_llama_cpp_computes_finite_numbers(
    name: str, recipe: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        assert len(tokens) > 10
        outputs = model.token_embeddings(tokens) if model.is_encoder else model.logits(tokens)
    assert np.isfinite(outputs).all()
    assert outputs.std() > 0.1


@pytest.mark.parametrize("name", LOADED)
def test_quantizing_moves_the_outputs_only_a_little(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """A permuted head or a swapped tensor would make them unrelated."""
    outputs = {}
    for recipe in ("F32", "Q8_0"):
        path = tmp_path / f"{recipe}.gguf"
        gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
        with Llama(path) as model:
            tokens = model.tokenize(TEXT)
            found = model.token_embeddings(tokens) if model.is_encoder else model.logits(tokens)
        outputs[recipe] = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert (outputs["F32"] * outputs["Q8_0"]).sum(axis=1).min() > tiny.MODELS[name].agreement
