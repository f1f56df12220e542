"""tekken.json against llama.cpp's converter and against ``mistral_common``, whose format it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.architectures.vocabularies import LLAMA_VOCABULARY
from gguf_tools.container import write_gguf
from gguf_tools.spec import ValueType
from gguf_tools.tokenizers import load
from gguf_tools.tokenizers.special import ID_KEYS
from gguf_tools.tokenizers.tekken import UNWRITTEN
from tests.goldens.converter import Job, convert
from tests.parity.exceptions import EXCEPTIONS
from tests.parity.mistral import reference
from tests.parity.texts import MORE_TEXTS, TEXTS
from tests.references import oracles
from tests.tokenizers.tekken import Tekken
from tests.tokenizers.variants import differing, stored, tokenizer
from tests.tokenizing import RuntimeVocabulary

pytestmark = pytest.mark.parity

KINDS = ("tekken", "spm", "llama-hf", "bpe")
ALL_TEXTS = [text.replace("\x00", "") for text in (*TEXTS, *MORE_TEXTS, "[INST] not a token here [/INST]")]


@pytest.mark.parametrize("name", ["tekken_240718", "tekken_240911"])
def test_a_published_file_is_what_mistral_common_reads(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    directory.mkdir()
    shutil.copyfile(oracles.mistral_data() / f"{name}.json", directory / "tekken.json")
    theirs = reference(directory, ALL_TEXTS)
    ours = load(directory, {"vocab_size": 131072}, kinds=KINDS, traits=LLAMA_VOCABULARY)
    assert list(ours["tokenizer.ggml.tokens"]) == theirs["tokens"]
    assert list(ours["tokenizer.ggml.token_type"]) == theirs["types"]
    assert list(ours["tokenizer.ggml.merges"]) == theirs["merges"]
    for role in ("bos", "eos", "unk", "pad"):
        assert ours[ID_KEYS[role]] == theirs[role], role

    ours.set("general.architecture", "llama", ValueType.STRING)
    write_gguf(tmp_path / "vocabulary.gguf", ours, [])
    runtime = RuntimeVocabulary(tmp_path / "vocabulary.gguf")
    compared = 0
    for text, expected in zip(ALL_TEXTS, theirs["encoded"], strict=True):
        if not EXCEPTIONS["tekken"](text):
            assert runtime.tokenize(text, special=True) == expected, text
            compared += 1
    runtime.close()
    assert compared > 20


def _version(version: str) -> Callable[[Tekken], None]:
    return lambda tekken: tekken.config.update(version=version)


def _listed(tekken: Tekken) -> None:
    tekken.config["version"] = "v7"
    texts = ["[odd]", *reversed(UNWRITTEN)]
    tekken.document["special_tokens"] = [
        {"rank": rank, "token_str": text, "is_control": text != "[odd]"} for rank, text in enumerate(texts)
    ]


VARIANTS: dict[str, Callable[[Tekken], Any]] = {
    "version 3": _version("v3"),
    "version 7": _version("v7"),
    "listed special tokens": _listed,
    "more tokens than are used": lambda tekken: tekken.config.update(default_vocab_size=300),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_checkpoint_gives_what_llama_cpps_converter_makes_of_it(
    name: str, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    tekken = Tekken()
    VARIANTS[name](tekken)
    directory = tokenizer("mistral", tmp_path / "checkpoint")
    for file in directory.glob("tokenizer*"):
        file.unlink()
    tekken.save(directory)
    for weights in tiny_checkpoints["mistral"].glob("*.safetensors*"):
        os.symlink(weights, directory / weights.name)
    convert([Job(directory, tmp_path / "theirs.gguf", "f16")])
    config = {"vocab_size": tekken.config["default_vocab_size"]}
    ours = load(directory, config, kinds=KINDS, traits=LLAMA_VOCABULARY)
    expected = stored(tmp_path / "theirs.gguf")
    del expected["general.architecture"]
    assert differing(ours, expected) == {}
