"""Every pre-tokenizer of the table against llama.cpp's own and against its converter's names.

The structure is put around a small vocabulary whose merges cross every boundary a pre-tokenizer may draw, so
that a cut at another place gives other tokens.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from gguf_tools.container import write_gguf
from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.spec import ValueType
from gguf_tools.tokenizers import export
from gguf_tools.tokenizers.pretokenizer_table import PRETOKENIZERS, SAME
from gguf_tools.tokenizers.pretokenizers import PreTokenizer, recognise
from tests.parity.exceptions import EXCEPTIONS
from tests.parity.texts import MORE_TEXTS, TEXTS
from tests.references import oracles
from tests.tokenizers.variants import stored
from tests.tokenizing import RuntimeVocabulary

pytestmark = pytest.mark.parity

PARTS = (
    *(
        "a",
        "b",
        "E",
        "T",
        "re",
        "RE",
        "'",
        "’",
        "'s",
        "'T",
        "'ll",
        "é",
        "É",
        "ß",
        "ǅ",
        "ñ",
        "Ａ",
        "ﬁ",
        "ʰ",
        "ª",
    ),
    *(" ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u2003", "\x85", "\u00ad", "\x7f"),
    *("1", "2", "12", "345", "²", "½", "٣", "Ⅷ", "１", *'.,!-_/$+<>^`~|()[]\\"¡¿§…—“”，。、「ー'),
    *(
        "中",
        "国",
        "ア",
        "ひ",
        "한",
        "국",
        "ㅋ",
        "ㄅ",
        "ไ",
        "ย",
        "่",
        "न",
        "म",
        "स",
        "्",
        "ते",
        "ш",
        "Ш",
        "ع",
        "א",
        "𠀀",
    ),
    *(
        "\u200b",
        "\u200d",
        "\ufeff",
        "😀",
        "🇺",
        "🏽",
        "❤️",
        "©",
        "™",
        "←",
        "∑",
        "€",
        "\u0301",
        "\u0308",
        "ﷺ",
        "𝒜",
    ),
)
RANDOM_TEXTS = 600


NAMES: Final = [*(entry.name for entry in PRETOKENIZERS if entry.model == "gpt2"), *sorted(SAME)]


@cache
def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges learnt without any pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=6000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=1,
        max_token_length=16,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, *MORE_TEXTS] * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(pair) for pair in model["merges"]]


def metadata(name: str) -> Metadata:
    tokens, merges = vocabulary()
    made = Metadata()
    made.set("general.architecture", "llama", ValueType.STRING)
    made.set("tokenizer.ggml.model", "gpt2", ValueType.STRING)
    made.set("tokenizer.ggml.pre", name, ValueType.STRING)
    made.set("tokenizer.ggml.tokens", Array(ValueType.STRING, tokens), ValueType.ARRAY)
    made.set("tokenizer.ggml.token_type", Array(ValueType.INT32, [1] * len(tokens)), ValueType.ARRAY)
    made.set("tokenizer.ggml.merges", Array(ValueType.STRING, merges), ValueType.ARRAY)
    for role in ("bos", "eos"):
        made.set(f"tokenizer.ggml.add_{role}_token", False, ValueType.BOOL)
    return made


def _texts() -> Iterator[str]:
    chance = random.Random(5)
    yield from (text.replace("\x00", "") for text in (*TEXTS, *MORE_TEXTS))
    for _ in range(RANDOM_TEXTS):
        yield "".join(chance.choice(PARTS) for _ in range(chance.randint(1, 14)))


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_cuts_text_as_llama_cpp_does(name: str, tmp_path: Path) -> None:
    """Text is composed first where the structure says so: the runtime takes it for composed."""
    ours = Tokenizer.from_str(export(metadata(name))["tokenizer.json"].decode())
    write_gguf(tmp_path / "vocabulary.gguf", metadata(name), [])
    runtime = RuntimeVocabulary(tmp_path / "vocabulary.gguf")
    excepted = EXCEPTIONS.get(name, lambda _: False)
    differing = []
    for text in _texts():
        given = unicodedata.normalize("NFC", text) if ours.normalizer else text
        if ours.encode(text, add_special_tokens=False).ids != runtime.tokenize(given):
            differing.append(text)
    runtime.close()
    assert [text for text in differing if not excepted(text)] == []
    assert bool(differing) == (name in EXCEPTIONS)


def test_the_small_vocabulary_tells_structures_apart() -> None:
    """Otherwise equal tokens would prove nothing: of any two structures it cuts some text differently."""
    seen: dict[tuple[tuple[int, ...], ...], PreTokenizer] = {}
    alike = set()
    for entry in PRETOKENIZERS:
        if entry.model == "gpt2":
            made = Tokenizer.from_str(export(metadata(entry.name))["tokenizer.json"].decode())
            ids = tuple(tuple(made.encode(text).ids) for text in _texts())
            if seen.setdefault(ids, entry).pre_tokenizer != entry.pre_tokenizer:
                alike.add(entry.name)
    assert alike == {"bailingmoe"}  # says in other words what Qwen's expression does


@cache
def _converter() -> tuple[str, dict[str, str]]:
    """The converter's probe and the names it has for hashes of the probe's ids."""
    source = (oracles.llama_cpp() / "conversion" / "base.py").read_text(encoding="utf-8")
    probe = re.search(r"chktxt = ('.*')\n", source)
    assert probe is not None
    text = probe[1].encode("ascii", "backslashreplace").decode("unicode_escape")[1:-1]
    found = re.findall(r'chkhsh == "([0-9a-f]{64})":\s*# ref: \S+\s*res = "([^"]+)"', source)
    assert len(found) > 90
    return text, dict(found)


def _converters_name(tokenizer: Any, *, special: bool = True) -> str | None:
    probe, names = _converter()
    ids = tokenizer.encode(probe, add_special_tokens=special).ids
    return names.get(hashlib.sha256(str(ids).encode()).hexdigest())


PUBLISHED: Final = {
    "gpt4o": ("gpt-4o", "gpt-4o"),
    "gptoss": ("gpt-4o", "gpt-4o"),
    "gpt35turbo": ("dbrx", "dbrx"),
    "qwen3": ("qwen2", "qwen2"),
    "llama3": ("smaug-bpe", "smaug-bpe"),
    "llama3_1": ("llama-bpe", "llama-bpe"),
    # DeepSeek-V3 without the BOS its tokenizer_config.json asks for is what JoyAI-LLM publishes
    "deepseek_v3": ("joyai-llm", "deepseek-v3"),
}
"""Packages with a published tokenizer.json: the converter's name for it, ours."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_has_the_converters_name(name: str) -> None:
    path = oracles.hf_tokenizer(name) / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    added = {token["content"] for token in document["added_tokens"]}
    theirs, ours = PUBLISHED[name]
    assert _converters_name(Tokenizer.from_file(str(path))) == theirs
    assert recognise(document, added, str(path)) == ours
    assert SAME.get(theirs, theirs) == ours


VOCABULARIES: Final = {
    **{
        name: name for name in ("command-r", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe")
    },
    **{name: name for name in ("qwen2", "refact", "starcoder")},
    "mpt": "olmo",
}
"""llama.cpp's vocabularies of published models, and the converter's name for each."""


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_structure_around_the_published_vocabulary_has_the_converters_hash(name: str) -> None:
    path = oracles.llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"
    document = export(stored(path))["tokenizer.json"].decode()
    assert _converters_name(Tokenizer.from_str(document)) == VOCABULARIES[name]
