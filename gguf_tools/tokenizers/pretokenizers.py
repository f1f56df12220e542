r"""Pre-tokenizers: how text is cut before BPE or WordPiece, and the names llama.cpp knows that by.

A GGUF file carries only a name (``tokenizer.ggml.pre``); the runtime has the regular expressions. A
``tokenizer.json`` carries the expressions and no name. llama.cpp's converter finds the name by hashing the
ids of a test string, which knows published vocabularies and nothing else. Here the *structure* is
compared: normalizer and pre-tokenizer, reduced to a list of steps. A fine-tune with new tokens or a
vocabulary trained from scratch is recognised the same way.

Some names share a structure. Then a ``Sign`` in the file decides: a BOS template, ``ignore_merges``, or
tokens only that family has. Of names that mean the same to the runtime the one the
converter gives is used: for BERT's own vocabulary that is ``jina-v2-en``, because ``bert-bge`` has the
same hash and is overwritten.

The structures are those of published tokenizer.json files; the expressions also stand in comments of
llama.cpp's ``llm_tokenizer_bpe``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..errors import TokenizerError

__all__ = [
    "PRETOKENIZERS",
    "RUNTIME_NAMES",
    "PreTokenizer",
    "Sign",
    "by_name",
    "check_name",
    "recognise",
    "steps",
]

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sign:
    """What tells pre-tokenizers of one structure apart; what is None does not matter.

    Attributes:
        begins: the post-processor puts a special token before the text.
        ignores_merges: the model takes whole words that are tokens without merging.
        processor: type of the post-processor.
        tokens: texts that must all be added tokens.
    """

    begins: bool | None = None
    ignores_merges: bool | None = None
    processor: str | None = None
    tokens: tuple[str, ...] = ()

    def fits(self, tokenizer: Json, added: Container[str]) -> bool:
        """Whether a tokenizer.json with these added tokens shows the sign."""
        model = tokenizer.get("model") or {}
        processors = list(_processors(tokenizer.get("post_processor")))
        begins = any(_begins(processor) for processor in processors)
        return (
            (self.begins is None or self.begins == begins)
            and (self.ignores_merges is None or self.ignores_merges == bool(model.get("ignore_merges")))
            and (self.processor is None or self.processor in {p.get("type") for p in processors})
            and all(token in added for token in self.tokens)
        )


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """A name and the parts of tokenizer.json it stands for.

    Attributes:
        name: value of ``tokenizer.ggml.pre``.
        normalizer: as in tokenizer.json, or None.
        pre_tokenizer: as in tokenizer.json.
        ignore_merges: what an exported model says about it.
        sign: what a file must show besides the structure.
        begins: the runtime puts a BOS before the text where a GGUF file does not say whether to.
    """

    name: str
    normalizer: Json | None
    pre_tokenizer: Json
    ignore_merges: bool = False
    sign: Sign = Sign()
    begins: bool = False

    @property
    def model(self) -> str:
        """The ``tokenizer.ggml.model`` it belongs to."""
        return "bert" if self.pre_tokenizer["type"] == "BertPreTokenizer" else "gpt2"


def _bytes(*, words: bool) -> Json:
    """GPT-2's bytes as characters, with (``words``) or without its own splitting."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": words}


def _split(*expressions: str) -> Json:
    """Pieces matched by one expression after the other, then bytes as characters."""
    splits = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in expressions
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, _bytes(words=False)]}


_DIGITS: Final[Json] = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, _bytes(words=True)],
}
_NFC: Final[Json] = {"type": "NFC"}

_CONTRACTION: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES: Final = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3: Final = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_QWEN2: Final = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35: Final = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_EDGE: Final = r"[^\r\n\p{L}\p{N}]?"
_REST: Final = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_TEKKEN: Final = rf"{_EDGE}{_UPPER}*{_LOWER}+|{_EDGE}{_UPPER}+{_LOWER}*|\p{{N}}|{_REST}"
_GPT4O: Final = (
    rf"{_EDGE}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_EDGE}{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}|{_REST}"
)
_DEEPSEEK3: Final = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)
_DEFAULT: Final = (
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
)
_BERT: Final[Json] = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}

PRETOKENIZERS: Final = (
    PreTokenizer("llama-bpe", None, _split(_LLAMA3), True, Sign(begins=True, ignores_merges=True), True),
    PreTokenizer("smaug-bpe", None, _split(_LLAMA3), True),
    PreTokenizer("deepseek-r1-qwen", _NFC, _split(_QWEN2), sign=Sign(tokens=("<｜begin▁of▁sentence｜>",))),
    PreTokenizer("qwen2", _NFC, _split(_QWEN2)),
    PreTokenizer("qwen35", _NFC, _split(_QWEN35)),
    PreTokenizer("tekken", None, _split(_TEKKEN), True, begins=True),
    PreTokenizer("llama4", None, _split(_GPT4O), sign=Sign(tokens=("<|begin_of_text|>",))),
    PreTokenizer("gpt-4o", None, _split(_GPT4O), True),
    PreTokenizer("deepseek-v3", None, _split(*_DEEPSEEK3)),
    PreTokenizer("starcoder", None, _DIGITS, sign=Sign(tokens=("<fim_prefix>", "<file_sep>"))),
    PreTokenizer("refact", None, _DIGITS, sign=Sign(tokens=("<fim_prefix>",))),
    PreTokenizer("smollm", None, _DIGITS),
    PreTokenizer("command-r", _NFC, _DIGITS),
    PreTokenizer("roberta-bpe", None, _bytes(words=True), sign=Sign(processor="RobertaProcessing")),
    PreTokenizer("gpt-2", None, _bytes(words=True)),
    PreTokenizer("modern-bert", _NFC, _bytes(words=True), sign=Sign(tokens=("[MASK]",))),
    PreTokenizer("olmo", _NFC, _bytes(words=True)),
    PreTokenizer("default", None, _split(*_DEFAULT)),
    PreTokenizer("jina-v2-en", _BERT, {"type": "BertPreTokenizer"}, begins=True),
)
"""All that are recognised. Of those with one structure the first whose sign fits is taken."""

_SAME: Final = {
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "megrez": "qwen2",
    "f2llmv2": "qwen2",
    "phi-2": "gpt-2",
}
"""Names that only occur in files, with the entry that has their structure."""

_WORDPIECE: Final = frozenset({"jina-v2-en", "bert-bge", "bert-bge-large", "default"})
"""Names WordPiece files carry; ``default`` are those made before names were recorded."""

RUNTIME_NAMES: Final = frozenset(
    """
    a.x-4.0 afmoe bailingmoe bailingmoe2 bert-bge bert-bge-large bloom chameleon chatglm-bpe codeshell
    cohere2moe command-r dbrx deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone
    exaone-moe exaone4 f2llmv2 falcon falcon-h1 falcon3 gemma4 gigachat glm4 glm5 gpt-2 gpt-4o
    gpt3-finnish granite-docling granite-embed-multi-311m granite-embed-multi-97m grok-2 hunyuan
    hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-en
    jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada-moe llama-bpe llama-v3
    llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5 minimax-m2 mmbert modern-bert mpt
    olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe seed-coder smaug-bpe smollm
    solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken tiny_aya trillion ufakzeka viking
    whitespace youtu
    """.split()  # noqa: SIM905 - a list of strings would fill the page
)
"""All names llama.cpp b11434 knows."""


_SHOWN: Final = 400
_SHOWN_STEPS: Final = 8
"""Characters of a step, and steps, that an error shows: enough for every published file."""


def recognise(tokenizer: Json, added: Container[str], path: str) -> str:
    """The name of a tokenizer.json's pre-tokenizer.

    Args:
        tokenizer: the parsed file.
        added: texts of its added tokens.
        path: of the file, for the error.

    Raises:
        TokenizerError: no known structure is the same; shows the first step that differs.
    """
    found = steps(tokenizer)
    for candidate in PRETOKENIZERS:
        if _steps_of(candidate) == found and candidate.sign.fits(tokenizer, added):
            return candidate.name
    raise TokenizerError(
        f"the pre-tokenizer is not recognised; unmatched: {_unmatched(found)}; name it with --pre if you know"
        f" llama.cpp's name for it (recognised here: {', '.join(entry.name for entry in PRETOKENIZERS)})",
        path=path,
    )


def check_name(name: str) -> str:
    """A name given by the user, if llama.cpp knows it.

    Raises:
        TokenizerError: it does not; suggests the nearest.
    """
    if name in RUNTIME_NAMES:
        return name
    near = difflib.get_close_matches(name, RUNTIME_NAMES, n=3)
    raise TokenizerError(
        "llama.cpp knows no pre-tokenizer of this name",
        found=name,
        expected=" or ".join(near)
        if near
        else f"one of {len(RUNTIME_NAMES)} names such as llama-bpe, qwen2, gpt-2",
    )


def by_name(name: str, model: str) -> PreTokenizer:
    """The structure a name stands for.

    Args:
        name: value of ``tokenizer.ggml.pre``; ``"default"`` where there is none.
        model: value of ``tokenizer.ggml.model``, ``"gpt2"`` or ``"bert"``.

    Raises:
        TokenizerError: it is not known here.
    """
    wanted = "jina-v2-en" if model == "bert" and name in _WORDPIECE else _SAME.get(name, name)
    for entry in PRETOKENIZERS:
        if entry.name == wanted and entry.model == model:
            return entry
    raise TokenizerError(
        "no tokenizer.json can be written for this pre-tokenizer: its structure is not known here",
        key="tokenizer.ggml.pre",
        found=name,
        expected=", ".join(entry.name for entry in PRETOKENIZERS if entry.model == model),
    )


def steps(tokenizer: Json) -> tuple[str, ...]:
    """What a tokenizer.json does to text before its model sees it, a line for each step.

    What does not change the outcome is left out: empty sequences, offsets, and the two ways to say that
    the matches of an expression that covers all text are the pieces.
    """
    normalizers = (f"normalizer {line}" for line in _lines(tokenizer.get("normalizer"), "normalizers"))
    return (*normalizers, *_lines(tokenizer.get("pre_tokenizer"), "pretokenizers"))


def _steps_of(entry: PreTokenizer) -> tuple[str, ...]:
    return steps({"normalizer": entry.normalizer, "pre_tokenizer": entry.pre_tokenizer})


def _lines(part: Any, nested: str) -> Iterator[str]:
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    inner = part.get(nested)
    if kind == "Sequence" and isinstance(inner, list):
        for item in inner:
            yield from _lines(item, nested)
    elif kind == "ByteLevel":
        prefix = ", add_prefix_space" if part.get("add_prefix_space") else ""
        yield "ByteLevel, words split" + prefix if part.get("use_regex", True) else "ByteLevel" + prefix
    elif kind == "BertNormalizer":
        yield "BertNormalizer"  # what it does to case and accents has keys of its own
    elif kind == "Split" and isinstance(part.get("pattern"), dict):
        pattern = part["pattern"]
        text = pattern.get("Regex", pattern.get("String"))
        text = text.replace("\r", r"\r").replace("\n", r"\n") if isinstance(text, str) else repr(text)
        behavior = str(part.get("behavior"))
        alike = behavior == "Isolated" or (behavior == "Removed" and part.get("invert"))
        how = "pieces" if alike else behavior
        yield f"Split {'regex' if 'Regex' in pattern else 'string'} {text} into {how}"
    elif kind == "Digits":
        yield "Digits, one by one" if part.get("individual_digits") else "Digits, together"
    else:
        yield json.dumps(part, ensure_ascii=False, sort_keys=True)


def _unmatched(found: tuple[str, ...]) -> str:
    """The steps after the longest beginning some known structure shares."""
    shared = 0
    for entry in PRETOKENIZERS:
        known = _steps_of(entry)
        same = 0
        while same < min(len(known), len(found)) and known[same] == found[same]:
            same += 1
        shared = max(shared, same)
    rest = found[shared:]
    if not rest:
        return f"nothing follows {found[-1]!r}" if found else "there is no pre-tokenizer at all"
    shown = [step if len(step) <= _SHOWN else step[:_SHOWN] + "…" for step in rest[:_SHOWN_STEPS]]
    more = len(rest) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _begins(processor: Json) -> bool:
    """Whether a template puts a special token before the text."""
    single = processor.get("single")
    first = single[0] if isinstance(single, list) and single else None
    is_special = isinstance(first, dict) and "SpecialToken" in first
    return processor.get("type") == "TemplateProcessing" and is_special


def _processors(processor: Any) -> Iterator[Json]:
    if isinstance(processor, dict):
        inner = processor.get("processors")
        if isinstance(inner, list):
            yield from (item for item in inner if isinstance(item, dict))
        else:
            yield processor
