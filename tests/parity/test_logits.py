"""Our files in llama.cpp compute what transformers computes from the original checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from tests import tiny
from tests.parity import foreign
from tests.parity.reference import (
    LARGEST_DIFFERENCE,
    MEDIAN_DIVERGENCE,
    TEXT,
    divergence,
    hidden_states,
    load_model,
    load_tokenizer,
    log_softmax,
    logits,
)
from tests.references import newer_llama
from tests.references.llama import Llama

pytestmark = pytest.mark.parity


TABLE_DIFFERENCE = 1e-2
"""Where GELU is involved: ggml looks it up in a table of float16 values. Measured 3e-3 or less."""

RUNNING = {name: tiny.MODELS[name] for name in tiny.KNOWN if tiny.MODELS[name].runs}
DECODERS = tuple(name for name, model in RUNNING.items() if not model.newer and not model.encoder)
ENCODERS = tuple(name for name, model in RUNNING.items() if model.encoder)
FOREIGN = tuple(name for name in tiny.NAMES if tiny.MODELS[name].foreign and tiny.MODELS[name].encoder)
NEWER = tuple(name for name, model in RUNNING.items() if model.newer)


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


@pytest.mark.parametrize("name", NEWER)
def test_probabilities_agree(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """Of what a newer llama.cpp must compute, which tells log-probabilities of the next token only."""
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    tokens = load_tokenizer(tiny_checkpoints[name])(TEXT)["input_ids"]
    assert newer_llama.tokenize(path, TEXT) == tokens
    lengths = [len(tokens) // 3, len(tokens) // 2, len(tokens)]
    theirs = logits(load_model(tiny_checkpoints[name]), tokens)[[length - 1 for length in lengths]]
    ours = newer_llama.next_log_probabilities(path, [tokens[:length] for length in lengths])
    assert ours.shape == theirs.shape
    largest = float(np.abs(ours - log_softmax(theirs)).max())
    median = float(np.median(divergence(ours, theirs)))
    measured(f"probabilities {name}: largest difference {largest:.1e}, median divergence {median:.1e}")
    assert theirs.std() > 0.5
    assert median < MEDIAN_DIVERGENCE
    assert largest < (TABLE_DIFFERENCE if tiny.MODELS[name].gelu else LARGEST_DIFFERENCE)


@pytest.mark.parametrize("name", ENCODERS)
def test_hidden_states_agree(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    tokens = load_tokenizer(tiny_checkpoints[name])(TEXT)["input_ids"]
    theirs = hidden_states(load_model(tiny_checkpoints[name], encoder=True), tokens)
    with Llama(path) as model:
        assert model.tokenize(TEXT) == tokens
        ours = model.token_embeddings(tokens)
    largest = float(np.abs(ours - theirs).max())
    measured(f"hidden states {name}: largest difference {largest:.1e}")
    assert theirs.std() > 0.5
    assert largest < TABLE_DIFFERENCE


@pytest.mark.parametrize("name", FOREIGN)
def test_hidden_states_of_models_transformers_lacks_agree(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    compute = foreign.nomic if name.startswith("nomic") else foreign.jina
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        ours = model.token_embeddings(tokens)
    theirs = compute(tiny_checkpoints[name], tiny.MODELS[name].config, tokens)
    largest = float(np.abs(ours - theirs).max())
    measured(f"hidden states {name}: largest difference {largest:.1e}")
    assert theirs.std() > 0.5
    assert largest < (TABLE_DIFFERENCE if tiny.MODELS[name].gelu else LARGEST_DIFFERENCE)
