"""What ``make demo`` shows: the little checkpoint in ``fixtures/`` still knows its sentences at Q4_K_M."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gguf_tools
from tests.references.llama import Llama

DEMO = Path(__file__).resolve().parent.parent.parent / "fixtures" / "demo"

ENDINGS = {
    "The capital of France is": " Paris.",
    "The capital of Japan is": " Tokyo.",
    "The cat says": " meow.",
    "The grass is": " green.",
    "Two plus three is": " five.",
    "The day after Friday is": " Saturday.",
    "Three, four": ", five, six.",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """The demo checkpoint as Q4_K_M in llama.cpp."""
    path = tmp_path_factory.mktemp("demo") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    with Llama(path) as loaded:
        yield loaded


@pytest.mark.parametrize(("prompt", "ending"), ENDINGS.items())
def test_the_demo_model_finishes_sentences(model: Llama, prompt: str, ending: str) -> None:
    assert model.generate(prompt, 12).startswith(ending)


def test_the_demo_model_tells_a_story(model: Llama) -> None:
    story = model.generate("Once upon a time there was a clever owl", 64)
    assert story.startswith(" called ")
    assert "liked to eat" in story
