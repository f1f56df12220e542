"""Our files in llama.cpp compute what transformers computes from the original checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from tests import tiny
from tests.llama import Llama
from tests.parity.reference import divergence, hidden_states, load_model, load_tokenizer, logits

pytestmark = pytest.mark.parity

TEXT = (
    "Once upon a time there was a little owl called Mia. The capital of France is Paris; "
    "one, two, three, 4567."
)
"""Longer than the sliding window of the tiny Gemma."""

MEDIAN_DIVERGENCE = 1e-5
"""Nats. Measured: about 1e-12, for Gemma 6e-8."""

LARGEST_DIFFERENCE = 1e-4
"""Of a logit; measured 1e-5 or less."""

TABLE_DIFFERENCE = 1e-2
"""Where GELU is involved: ggml looks it up in a table of float16 values. Measured 3e-3 or less."""

DECODERS = tuple(name for name, model in tiny.MODELS.items() if model.runs and name != "bert")


@pytest.mark.parametrize("name", DECODERS)
def test_logits_agree(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    tokens = load_tokenizer(tiny_checkpoints[name])(TEXT)["input_ids"]
    theirs = logits(load_model(tiny_checkpoints[name]), tokens)
    with Llama(path) as model:
        assert model.tokenize(TEXT) == tokens
        ours = model.logits(tokens)
    largest = float(np.abs(ours - theirs).max())
    median = float(np.median(divergence(ours, theirs)))
    measured(f"logits {name}: largest difference {largest:.1e}, median divergence {median:.1e}")
    assert theirs.std() > 0.5
    assert median < MEDIAN_DIVERGENCE
    allowed = TABLE_DIFFERENCE if tiny.MODELS[name].gelu else LARGEST_DIFFERENCE
    assert largest < max(allowed, tiny.MODELS[name].difference)


def test_hidden_states_of_bert_agree(
    tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints["bert"], path, type="F32")
    tokens = load_tokenizer(tiny_checkpoints["bert"])(TEXT)["input_ids"]
    theirs = hidden_states(load_model(tiny_checkpoints["bert"], encoder=True), tokens)
    with Llama(path) as model:
        assert model.tokenize(TEXT) == tokens
        ours = model.token_embeddings(tokens)
    largest = float(np.abs(ours - theirs).max())
    measured(f"hidden states bert: largest difference {largest:.1e}")
    assert theirs.std() > 0.5
    assert largest < TABLE_DIFFERENCE
