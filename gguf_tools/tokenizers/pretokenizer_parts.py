"""What a pre-tokenizer is, in tokenizer.json and as a line of the table.

A structure is normalizer and pre-tokenizer reduced to a list of steps, so that two spellings of one thing
compare equal. What a structure leaves open is decided by a `Sign`.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["NFC_STEP", "Json", "PreTokenizer", "Sign", "steps"]

Json: TypeAlias = Mapping[str, Any]

_SAME_REGEX: Final = {
    "\r": r"\r",
    "\n": r"\n",
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])": "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"\p{N}{1}": r"\p{N}",
}
"""Spellings in published expressions, with the one used here."""

NFC_STEP: Final = 'normalizer {"type": "NFC"}'
"""The one normalization the runtime leaves out without losing the name: it takes text for composed."""


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


def steps(tokenizer: Json) -> tuple[str, ...]:
    """What a tokenizer.json does to text before its model sees it, a line for each step.

    What does not change the outcome is left out: empty sequences, offsets, and the two ways to say that
    the matches of an expression that covers all text are the pieces.
    """
    normalizers = (f"normalizer {line}" for line in _lines(tokenizer.get("normalizer"), "normalizers"))
    return (*normalizers, *_lines(tokenizer.get("pre_tokenizer"), "pretokenizers"))


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
        text = _one_spelling(text) if isinstance(text, str) else repr(text)
        behavior = str(part.get("behavior"))
        alike = behavior == "Isolated" or (behavior == "Removed" and part.get("invert"))
        how = "pieces" if alike else behavior
        yield f"Split {'regex' if 'Regex' in pattern else 'string'} {text} into {how}"
    elif kind == "Digits":
        yield "Digits, one by one" if part.get("individual_digits") else "Digits, together"
    else:
        yield json.dumps(part, ensure_ascii=False, sort_keys=True)


def _one_spelling(regex: str) -> str:
    for spelling, ours in _SAME_REGEX.items():
        regex = regex.replace(spelling, ours)
    return regex


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
