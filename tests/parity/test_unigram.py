"""Unigram: transformers, its reading of our export, and llama.cpp's of our file make the same tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_tools
from tests import tiny
from tests.parity.reference import load_sentencepiece, load_tokenizer
from tests.parity.texts import TEXTS
from tests.references.llama import Llama

pytestmark = pytest.mark.parity

NAMES = [name for name, model in tiny.MODELS.items() if model.tokenizer in ("t5", "xlm-roberta")]
MAPPED = (
    "ﬁne ﬁre … ＡＢＣ！ ① Å A\u030a e\u0301 soft\u00adhyphen",
    "a\u00a0b\u3000c\td\r\ne",
)
"""Texts that the tiny models' character map changes."""

TO_COMPARE = tuple(text.replace("\u2028", "").replace("\x00", "") for text in (*TEXTS, *MAPPED))
"""Without a line separator, which the small map has no entry for and only transformers takes for a space, and
without NUL, where llama.cpp ends."""


@pytest.mark.parametrize("name", NAMES)
def test_all_three_make_the_same_tokens(name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path, directory = tmp_path / "f32.gguf", tmp_path / f"tiny-{name}"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    gguf_tools.export(path, directory, dtype="f32")
    original, exported = load_tokenizer(tiny_checkpoints[name]), load_tokenizer(directory)
    with Llama(path) as model:
        for text in TO_COMPARE:
            expected = original(text)["input_ids"]
            assert exported(text)["input_ids"] == expected, text
            decoded = original.decode(expected, clean_up_tokenization_spaces=False)
            assert exported.decode(expected) == decoded, text
            assert model.tokenize(text) == expected, text
    for pair in ("One, two.", "Three!"), ("a", ""):
        assert exported(*pair)["input_ids"] == original(*pair)["input_ids"]


def test_they_are_those_of_sentencepiece(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "t5.gguf"
    gguf_tools.convert(tiny_checkpoints["t5"], path, type="F32")
    pieces = load_sentencepiece(tiny_checkpoints["t5"] / "spiece.model")
    with Llama(path) as model:
        for text in (*TO_COMPARE, "▁already ▁▁marked"):
            if text != "a" * 300:  # of many ways with the same score either takes another
                assert model.tokenize(text, special=False) == pieces.encode(text), text
