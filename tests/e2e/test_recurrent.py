"""Models transformers does not have: our files in llama.cpp compute what a slow reference computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools import architectures
from gguf_tools.architectures.traits import Memory
from gguf_tools.checkpoint import open_checkpoint
from gguf_tools.source import row_count
from tests import tiny
from tests.naive import recurrent
from tests.parity.reference import divergence
from tests.references.llama import Llama

TEXT = "Once upon a time there was a little owl called Mia.\n\nOne, two; it's 4567 été 世界 😀 “so”!"

REFERENCES = {
    "nemotron-h": recurrent.nemotron_h,
    "nemotron-h-moe": recurrent.nemotron_h,
    "rwkv6": recurrent.rwkv6,
    "rwkv7": recurrent.rwkv7,
}

LARGEST_DIFFERENCE = 1e-4
"""Of a logit, to float64; measured 3e-5 or less."""


def reference(directory: Path, name: str, tokens: list[int]) -> np.ndarray:
    checkpoint = open_checkpoint(directory)
    weights = {
        tensor: source.rows(0, row_count(source.shape)).reshape(source.shape).astype(np.float64)
        for tensor, source in checkpoint.tensors.items()
    }
    return REFERENCES[name](checkpoint.config, weights, tokens)


def test_all_models_unknown_to_transformers_have_a_reference() -> None:
    """Of those with a state; the others are in `tests.parity.test_foreign`."""
    assert set(REFERENCES) == {
        name
        for name in tiny.NAMES
        if not tiny.MODELS[name].known
        and architectures.find(tiny.MODELS[name].config).graph.memory is not Memory.CACHE
    }


@pytest.mark.parametrize("name", REFERENCES)
def test_logits_agree_before_and_after(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path, exported = tmp_path / "f32.gguf", tmp_path / f"tiny-{name}"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    gguf_tools.export(path, exported, dtype="f32")
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        ours = model.logits(tokens)
    theirs = reference(tiny_checkpoints[name], name, tokens)
    largest = float(np.abs(ours - theirs).max())
    median = float(np.median(divergence(ours, theirs.astype(np.float32))))
    measured(f"logits {name}: largest difference {largest:.1e}, median divergence {median:.1e}")
    assert theirs.std() > 0.5
    assert largest < LARGEST_DIFFERENCE
    assert median < 1e-5
    np.testing.assert_allclose(reference(exported, name, tokens), theirs, rtol=0, atol=1e-6)


def test_the_world_vocabulary_gives_the_longest_tokens(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints["rwkv7"], path, type="F32")
    file = tiny_checkpoints["rwkv7"] / "rwkv_vocab_v20230424.txt"
    expected = recurrent.world_tokens(file.read_text(encoding="utf-8").splitlines(), TEXT)
    with Llama(path) as model:  # it aborts where such a model is loaded for its vocabulary only
        assert model.tokenize(TEXT) == expected
        assert model.detokenize(expected) == TEXT
    assert max(expected) > 275
