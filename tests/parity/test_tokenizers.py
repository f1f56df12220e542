"""Tokenizers against llama.cpp's converter, transformers and sentencepiece."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.architectures import find
from gguf_tools.container.metadata import Metadata
from gguf_tools.tokenizers import load
from tests import tiny
from tests.goldens.converter import Job, convert
from tests.parity import family_variants, tokenizer_variants
from tests.parity.reference import load_sentencepiece, load_tokenizer
from tests.parity.texts import TEXTS
from tests.references import oracles
from tests.tokenizers.variants import PUBLISHED, Draft, differing, exported, loaded, published, stored

pytestmark = pytest.mark.parity

VARIANTS = tokenizer_variants.VARIANTS | family_variants.VARIANTS


SPECIAL_TEXT = {
    "llama2": "<s>[INST] hi [/INST] ok</s><unk>",
    "llama3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    "llama3_1": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|> <|python_tag|>",
    "qwen3": "<|im_start|>user\nhi <think>\n\n</think><|im_end|>\n<|endoftext|><tool_call>",
    "minilm": "[CLS] hi [SEP] [MASK][PAD] [UNK]",
}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> dict[str, Path]:
    """Files llama.cpp's converter makes of all variants; their checkpoints are beside them."""
    root = tmp_path_factory.mktemp("variants")
    jobs = {}
    for number, (name, variant) in enumerate(VARIANTS.items()):
        draft = Draft(variant.base, root / f"variant-{number}")
        variant.change(draft)
        directory = draft.save()
        for weights in tiny_checkpoints[variant.base].glob("*.safetensors*"):
            os.symlink(weights, directory / weights.name)
        jobs[name] = Job(directory, directory.with_suffix(".gguf"), "f16", variant.pre)
    convert(list(jobs.values()))
    return {name: job.target for name, job in jobs.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_gives_what_llama_cpps_converter_makes_of_it(name: str, theirs: dict[str, Path]) -> None:
    directory = theirs[name].with_suffix("")
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    architecture = find(config)
    ours = load(
        directory,
        config,
        kinds=architecture.tokenizer_kinds,
        traits=architecture.vocabulary_of(config),
        pre=VARIANTS[name].pre,
    )
    expected = stored(theirs[name])
    del expected["general.architecture"]
    _order_templates(ours, expected)
    assert differing(ours, expected) == {}


def _order_templates(ours: Metadata, theirs: Metadata) -> None:
    """Names of chat templates come out of a set there: no order can be the right one."""
    key = "tokenizer.chat_templates"
    if key in ours and key in theirs and sorted(ours[key]) == sorted(theirs[key]):
        del ours[key], theirs[key]


def test_every_variant_changes_a_file(tmp_path: Path) -> None:
    """An edit that does nothing would prove nothing."""
    for number, (label, variant) in enumerate(VARIANTS.items()):
        before, after = (Draft(variant.base, tmp_path / f"{side}-{number}") for side in ("before", "after"))
        variant.change(after)
        changed = (after.tokenizer, after.settings, after.config) != (
            before.tokenizer,
            before.settings,
            before.config,
        )
        assert changed or after.files, label


@pytest.mark.parametrize("name", [*PUBLISHED, "minilm"])
def test_an_exported_published_tokenizer_encodes_as_the_original(name: str, tmp_path: Path) -> None:
    metadata = loaded(published(name), PUBLISHED.get(name, "bert"))
    _assert_same_tokenizer(
        load_tokenizer(exported(metadata, tmp_path)),
        load_tokenizer(published(name)),
        (*TEXTS, SPECIAL_TEXT[name]),
    )


def test_the_vocabulary_of_a_real_gguf_encodes_as_the_published_tokenizer(tmp_path: Path) -> None:
    """Gemma 3: merges made of scores do what the published ones do, and so does the SentencePiece model."""
    directory = exported(stored(oracles.gemma3()), tmp_path)
    original, ours = load_tokenizer(published("gemma3")), load_tokenizer(directory)
    for text in (*TEXTS, "<start_of_turn>user\nhi<end_of_turn>\n<unused5>"):
        expected = original(text)["input_ids"]
        assert ours(text)["input_ids"] == expected, text
        assert ours.decode(expected) == original.decode(expected), text
    model = load_sentencepiece(directory / "tokenizer.model")
    for text in TEXTS:
        if "\x00" not in text:
            assert [original.bos_token_id, *model.encode(text)] == original(text)["input_ids"], text


def _assert_same_tokenizer(ours: Any, original: Any, texts: Sequence[str]) -> None:
    for text in texts:
        expected = original(text)["input_ids"]
        assert ours(text)["input_ids"] == expected, text
        assert ours.decode(expected) == original.decode(expected), text
    assert len(ours) == len(original)
    assert ours.all_special_ids


RUNTIME_VOCABULARIES = (
    *("bert-bge", "command-r", "gpt-2", "llama-bpe", "llama-spm"),
    *("phi-3", "qwen2", "qwen35", "refact", "starcoder"),
    *("deepseek-coder", "deepseek-llm", "falcon", "mpt"),
)


@pytest.mark.parametrize("name", RUNTIME_VOCABULARIES)
def test_an_exported_vocabulary_passes_llama_cpps_own_tokenizer_tests(name: str, tmp_path: Path) -> None:
    """Its texts and the tokens it expects of them, for a vocabulary of its own."""
    path = oracles.llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"
    tokenizer = load_tokenizer(exported(stored(path), tmp_path))
    texts = path.with_suffix(".gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = path.with_suffix(".gguf.out").read_text(encoding="utf-8").split("\n")
    expected = [[int(token) for token in line.split()] for line in lines]
    compared = [
        (tokenizer.encode(text, add_special_tokens=False), tokens)
        for text, tokens in zip(texts, expected, strict=True)
        if unicodedata.is_normalized("NFC", text)  # the runtime does not normalize, Qwen's tokenizer does
    ]
    assert len(compared) > 40
    assert [ours for ours, _ in compared] == [theirs for _, theirs in compared]


SENTENCEPIECE_MODELS = {
    "tiny llama2": lambda: tiny.TOKENIZERS / "llama2" / "tokenizer.model",
    "tiny gemma": lambda: tiny.TOKENIZERS / "gemma" / "tokenizer.model",
    "mistral v1": lambda: oracles.mistral_data() / "tokenizer.model.v1",
    "mistral v3": lambda: oracles.mistral_data() / "mistral_instruct_tokenizer_240323.model.v3",
    "mistral v7": lambda: oracles.mistral_data() / "mistral_instruct_tokenizer_241114.model.v7",
}


@pytest.mark.parametrize("name", SENTENCEPIECE_MODELS)
def test_an_exported_sentencepiece_model_encodes_as_the_original(name: str, tmp_path: Path) -> None:
    source = SENTENCEPIECE_MODELS[name]()
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    shutil.copyfile(source, directory / "tokenizer.model")
    architecture = "gemma3" if "gemma" in name else "llama"
    exported(loaded(directory, architecture), tmp_path / "exported")
    original = load_sentencepiece(source)
    ours = load_sentencepiece(tmp_path / "exported" / "tokenizer.model")
    assert ours.vocab_size() == original.vocab_size()
    for text in TEXTS:
        if "\x00" not in text:
            assert ours.encode(text) == original.encode(text), text
            assert ours.decode(original.encode(text)) == original.decode(original.encode(text)), text
