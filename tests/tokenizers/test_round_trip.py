"""What is exported loads as what it was: keys, values, value types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.spec import ValueType
from gguf_tools.tokenizers import export
from tests.references import oracles
from tests.tiny import TOKENIZERS
from tests.tokenizers.variants import (
    ARCHITECTURE,
    PUBLISHED,
    Draft,
    differing,
    exported,
    loaded,
    published,
    stored,
    template,
)

BASES = tuple(name for name in ARCHITECTURE if name != "xverse")
"""An XVERSE without scores is told from a broken vocabulary by its architecture, which is not in here."""

ADD_BOS, ADD_EOS = "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"
ARRAYS = (
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.merges",
)


def again(metadata: Metadata, architecture: str, directory: Path, **config: Any) -> Metadata:
    """Exported and loaded, with a config as an export has it."""
    ids = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    found = {hf: metadata.get(f"tokenizer.ggml.{name}_token_id") for hf, name in ids.items()}
    config = {hf: token for hf, token in found.items() if token is not None} | config
    config = {"vocab_size": len(metadata["tokenizer.ggml.tokens"])} | config
    if "tokenizer.ggml.token_type_count" in metadata:
        config["type_vocab_size"] = metadata["tokenizer.ggml.token_type_count"]
    return loaded(exported(metadata, directory, config), architecture)


@pytest.mark.parametrize("name", BASES)
def test_a_tiny_tokenizer_comes_back(name: str, tmp_path: Path) -> None:
    metadata = Draft(name, tmp_path / "original").load()
    assert differing(again(metadata, ARCHITECTURE[name], tmp_path / "exported"), metadata) == {}


@pytest.mark.parametrize("name", BASES)
def test_an_export_of_an_export_is_the_same(name: str, tmp_path: Path) -> None:
    metadata = Draft(name, tmp_path / "original").load()
    assert export(again(metadata, ARCHITECTURE[name], tmp_path / "exported")) == export(metadata)


@pytest.mark.parametrize("name", [*PUBLISHED, "minilm"])
def test_a_published_tokenizer_comes_back(name: str, tmp_path: Path) -> None:
    architecture = PUBLISHED.get(name, "bert")
    metadata = loaded(published(name), architecture)
    assert differing(again(metadata, architecture, tmp_path), metadata) == {}


VOCABULARIES = {
    "gemma3": ("gemma3", {}),
    "smollm2": ("llama", {}),
    "gpt-2": ("qwen2", {}),
    "qwen2": ("qwen2", {}),
    "qwen35": ("qwen2", {}),
    "refact": ("qwen2", {}),
    "starcoder": ("qwen2", {}),
    "llama-spm": ("llama", {}),
    "phi-3": ("llama", {}),
    "nomic-bert-moe": ("nomic-bert-moe", {}),
    # made before the file said that a BOS is added, which it is
    "llama-bpe": ("llama", {ADD_BOS: (None, True)}),
    # made before chat tokens counted as control tokens: number 255000 is <|START_OF_TURN_TOKEN|>
    "command-r": ("qwen2", {ARRAYS[1]: (4, 3)}),
    # made before names of pre-tokenizers were recorded
    "baichuan": ("llama", {"tokenizer.ggml.pre": (None, "default"), ADD_BOS: (None, True)}),
    "gpt-neox": ("qwen2", {"tokenizer.ggml.pre": (None, "default")}),
    # made when the runtime knew BERT's CLS and SEP
    "bert-bge": (
        "bert",
        {
            "tokenizer.ggml.pre": ("bert-bge", "jina-v2-en"),
            "tokenizer.ggml.cls_token_id": (101, None),
            "tokenizer.ggml.bos_token_id": (None, 101),
            "tokenizer.ggml.eos_token_id": (None, 102),
            "tokenizer.ggml.normalizer.lowercase": (None, True),
            ADD_BOS: (None, True),
            ADD_EOS: (None, True),
        },
    ),
}
"""Real GGUF files with the architecture to load their export as, and what may change: keys with the value
of the file and of the export. Of arrays it is the first item that differs."""


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_vocabulary_of_a_real_file_comes_back(name: str, tmp_path: Path) -> None:
    architecture, expected = VOCABULARIES[name]
    metadata = stored(vocabulary(name))
    del metadata["general.architecture"]
    result = again(metadata, architecture, tmp_path)
    found = {key: tuple(map(value, pair)) for key, pair in differing(metadata, result).items()}
    assert found == expected


def value(side: Any) -> Any:
    """Of a type and value or a place and item the latter."""
    return side if side is None else side[1]


def vocabulary(name: str) -> Path:
    """A real GGUF file."""
    if name == "gemma3":
        return oracles.gemma3()
    if name == "smollm2":
        return oracles.smollm2()
    return oracles.llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"


def test_an_old_vocabulary_with_ordinary_special_tokens_keeps_its_tokens(tmp_path: Path) -> None:
    """Aquila: ids of BOS and EOS are 0, an ordinary token; scores a BPE vocabulary has no use for."""
    metadata = stored(vocabulary("aquila"))
    result = again(metadata, "qwen2", tmp_path, bos_token_id=0, eos_token_id=0)
    for key in ("tokens", "token_type", "merges"):
        assert result[f"tokenizer.ggml.{key}"] == metadata[f"tokenizer.ggml.{key}"]
    assert result["tokenizer.ggml.eos_token_id"] == 0


def test_merges_from_the_scores_of_a_real_file_are_the_published_ones() -> None:
    """Gemma 3. Where the merges of whole pieces end, one stands behind the first of the others there."""
    expected = _merges((published("gemma3") / "tokenizer.json").read_bytes())
    merges = _merges(export(stored(oracles.gemma3()))["tokenizer.json"])
    assert len(merges) == 514_906
    assert set(merges) == set(expected)
    elsewhere = [place for place, pair in enumerate(merges) if pair != expected[place]]
    first, second = elsewhere
    assert second == first + 1
    assert merges[first] == expected[second] == ("\t", "\t")
    assert merges[second] == expected[first] == ("▁", "t")


def test_merges_without_scores_are_the_published_ones() -> None:
    """A Llama tokenizer.json, of which GGUF keeps neither scores nor merges."""
    metadata = loaded(published("llama2"), "llama")
    assert "tokenizer.ggml.merges" not in metadata
    expected = _merges((published("llama2") / "tokenizer.json").read_bytes())
    assert _merges(export(metadata)["tokenizer.json"]) == expected


def _merges(document: bytes) -> list[tuple[str, ...]]:
    merges = json.loads(document)["model"]["merges"]
    return [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]


@pytest.mark.parametrize("base", ["llama", "bert", "mistral", "llama-hf", "qwen2"])
@pytest.mark.parametrize(
    "ends", [(), ("bos",), ("eos",), ("bos", "eos")], ids=lambda ends: "+".join(ends) or "none"
)
@pytest.mark.parametrize("separator", ["none", "eos", "eos eos", "bos"])
def test_templates_come_back(base: str, ends: tuple[str, ...], separator: str, tmp_path: Path) -> None:
    draft = Draft(base, tmp_path / "original")
    texts = {"bert": ("[CLS]", "[SEP]"), "mistral": ("<s>", "</s>"), "llama-hf": ("<s>", "</s>")}
    bos, eos = texts.get(base, ("<|begin_of_text|>", "<|eot_id|>"))
    if base == "qwen2":
        bos, eos = "<|endoftext|>", "<|im_end|>"
        draft.settings["bos_token"] = bos
    begin, end = [bos] * ("bos" in ends), [eos] * ("eos" in ends)
    between = {"none": [], "eos": [eos], "eos eos": [eos, eos], "bos": [bos]}[separator]
    draft.tokenizer["post_processor"] = template(begin, end, pair=[*begin, "A", *between, "B", *end])
    metadata = draft.load(pre="smaug-bpe" if base == "llama" else None)
    result = again(metadata, ARCHITECTURE[base], tmp_path / "exported")
    found = {key: value(pair[1]) for key, pair in differing(metadata, result, ["tokenizer.ggml.pre"]).items()}
    # flags the runtime takes as set where a BERT file has none: the export says so
    implied = [ADD_BOS, ADD_EOS] if base == "bert" else []
    assert found == {key: True for key in implied if key not in metadata}


@pytest.mark.parametrize(
    "chosen",
    [
        "plain",
        [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}],
        [{"name": "rag", "template": "c"}, {"name": "tool_use", "template": "b"}],
        [{"name": "default", "template": "a"}],
        "",
    ],
    ids=["text", "default and another", "no default", "default alone", "empty"],
)
def test_chat_templates_come_back(chosen: Any, tmp_path: Path) -> None:
    draft = Draft("qwen2", tmp_path / "original")
    draft.settings["chat_template"] = chosen
    metadata = draft.load()
    assert differing(again(metadata, "qwen2", tmp_path / "exported"), metadata) == {}


@pytest.mark.parametrize("vocab_size", [525, 526, 600])
def test_padding_comes_back(vocab_size: int, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path / "original")
    draft.config["vocab_size"] = vocab_size
    metadata = draft.load()
    assert differing(again(metadata, "llama", tmp_path / "exported"), metadata) == {}
    written = export(metadata)
    assert b"[PAD" not in written["tokenizer.json"]


def test_no_vocabulary_exports_nothing() -> None:
    assert export(Metadata()) == {}
    assert export({"tokenizer.ggml.model": "no_vocab"}) == {}
    assert export({"tokenizer.ggml.model": "none"}) == {}


def test_a_plain_mapping_will_do(tmp_path: Path) -> None:
    metadata = Draft("qwen2", tmp_path).load()
    assert export(dict(metadata)) == export(metadata)


def test_tokens_between_holes_keep_their_ids(tmp_path: Path) -> None:
    """Padding in the middle: the model's vocabulary then holds every token, or later ids would shift."""
    texts = ["a", "b", "[PAD2]", "ab", "<|x|>", "[PAD5]", "<|y|>"]
    types = [1, 1, 5, 1, 3, 5, 3]
    metadata = Metadata(
        [
            ("tokenizer.ggml.model", ValueType.STRING, "gpt2"),
            ("tokenizer.ggml.pre", ValueType.STRING, "qwen2"),
            ("tokenizer.ggml.tokens", ValueType.ARRAY, Array(ValueType.STRING, texts)),
            ("tokenizer.ggml.token_type", ValueType.ARRAY, Array(ValueType.INT32, types)),
            ("tokenizer.ggml.merges", ValueType.ARRAY, Array(ValueType.STRING, ["a b"])),
            ("tokenizer.ggml.eos_token_id", ValueType.UINT32, 6),
        ]
    )
    assert differing(again(metadata, "qwen2", tmp_path), metadata) == {}


TEMPLATE = "tokenizer.chat_template"


def _templates(stored: dict[str, str], names: list[str] | None) -> Metadata:
    made = loaded(TOKENIZERS / "llama3", "llama", pre="llama-bpe")
    for key in [key for key in made if key.startswith(TEMPLATE)]:
        del made[key]
    for key, text in stored.items():
        made.set(TEMPLATE + key, text, ValueType.STRING)
    if names is not None:
        made.set(TEMPLATE + "s", Array(ValueType.STRING, names), ValueType.ARRAY)
    return made


@pytest.mark.parametrize(
    ("stored", "names", "expected"),
    [
        ({}, None, None),
        ({"": "d"}, None, "d"),
        ({"": "d"}, ["rag"], "d"),
        ({"": "d", ".b": "B", ".a": "A"}, ["b", "a"], [("default", "d"), ("b", "B"), ("a", "A")]),
        ({"": "d", ".rag": "r"}, None, [("default", "d"), ("rag", "r")]),
        ({"": "d", ".rag": "r", ".odd": "o"}, ["rag"], [("default", "d"), ("rag", "r"), ("odd", "o")]),
        ({"": "d", ".default": "x"}, ["default"], "d"),
        ({".rag": "r"}, ["rag"], [("rag", "r")]),
        ({"": "d", ".": "x"}, [""], "d"),
    ],
    ids=[
        "none", "one", "a name without a template", "several in the listed order", "nothing listed",
        "not all listed", "default twice", "no default", "no name",
    ],
)  # fmt: skip
def test_every_chat_template_is_exported(
    stored: dict[str, str], names: list[str] | None, expected: str | list[tuple[str, str]] | None
) -> None:
    written = json.loads(export(_templates(stored, names))["tokenizer_config.json"]).get("chat_template")
    if isinstance(expected, list):
        expected = [{"name": name, "template": text} for name, text in expected]
    assert written == expected


@pytest.mark.parametrize("names", [["rag"], ["rag", "tool_use"]])
def test_named_chat_templates_load_as_they_were_exported(names: list[str], tmp_path: Path) -> None:
    first = _templates({"": "d"} | {f".{name}": name for name in names}, names)
    again = loaded(exported(first, tmp_path), "llama", pre="llama-bpe")
    assert {key: value for key, value in again.items() if key.startswith(TEMPLATE)} == {
        key: value for key, value in first.items() if key.startswith(TEMPLATE)
    }
