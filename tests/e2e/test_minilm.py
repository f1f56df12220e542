"""all-MiniLM-L6-v2, a real BERT checkpoint: embeddings by llama.cpp from our files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from tests.references import oracles
from tests.references.llama import Llama

SENTENCES = (
    "A cat sits on the mat.",
    "A kitten is lying on the rug.",
    "Stock markets fell sharply on Monday after the announcement.",
    "How do I install Python on Windows?",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "La tour Eiffel se trouve à Paris.",
    "def add(a, b): return a + b",
    "In 1969 two people walked on the moon for the first time.",
    "She sells sea shells by the sea shore, and he buys them for $3.50 each!",
    "ok",
)

LEAST_COSINE = {"F16": 0.9999, "Q8_0": 0.998, "Q4_K_M": 0.95}
"""F16 and Q8_0 as the project demands; Q4_K_M is reported, its bound only catches a broken file."""


def embeddings(path: Path) -> NDArray[np.float32]:
    with Llama(path) as model:
        return np.stack([model.embed(sentence) for sentence in SENTENCES])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    """Embeddings from the F32 file."""
    path = tmp_path_factory.mktemp("minilm") / "f32.gguf"
    gguf_tools.convert(oracles.minilm(), path, type="F32")
    return embeddings(path)


def test_the_full_precision_model_knows_what_is_alike(reference: NDArray[np.float32]) -> None:
    cat, kitten, stocks = reference[:3]
    assert cat @ kitten > 0.5
    assert cat @ stocks < 0.2


@pytest.mark.parametrize("recipe", list(LEAST_COSINE))
def test_embeddings_stay_close_to_the_full_precision_ones(
    recipe: str,
    reference: NDArray[np.float32],
    tmp_path: Path,
    measured: Callable[[str], None],
) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(oracles.minilm(), path, type=recipe)
    cosines = (embeddings(path) * reference).sum(axis=1)
    measured(
        f"MiniLM {recipe}: cosine with F32 least {cosines.min():.6f}, mean {cosines.mean():.6f}, "
        f"{path.stat().st_size / 1e6:.1f} MB"
    )
    assert cosines.min() >= LEAST_COSINE[recipe]
