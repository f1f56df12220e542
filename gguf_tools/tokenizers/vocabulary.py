"""A vocabulary as GGUF stores it, and the rules all kinds of tokenizers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType, ValueType

__all__ = [
    "ADDED_SCORE",
    "BYTE_LEVEL_BPE",
    "MAX_TOKENS",
    "PADDING_SCORE",
    "Entry",
    "Vocabulary",
    "looks_special",
    "padding_token",
    "setting",
    "vocabulary_size",
]

Entry: TypeAlias = tuple[str, ValueType, Any]
"""A metadata key, its type and its value."""

BYTE_LEVEL_BPE: Final = "gpt2"
"""``tokenizer.ggml.model`` of vocabularies with merges over bytes, whatever the model."""

MAX_TOKENS: Final = 1 << 20
"""Vocabularies of language models stay below 300,000 tokens, XLM-V's has 901,629; a config asking for much
more is broken."""

ADDED_SCORE: Final = -1000.0
"""Score llama.cpp's converter gives to tokens that were added to a SentencePiece model."""

PADDING_SCORE: Final = -10000.0
"""Score of ids no token has."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, with what else a runtime needs to use them.

    Attributes:
        model: ``tokenizer.ggml.model``: ``"llama"`` (SentencePiece), ``"gpt2"`` (byte-level BPE),
            ``"bert"`` (WordPiece), ``"t5"`` (Unigram) or ``"rwkv"``.
        pre: ``tokenizer.ggml.pre``, the name of the pre-tokenizer; None where there is no such thing.
        tokens: text of every token; the index is the id.
        types: what every token is.
        scores: log probabilities (SentencePiece and Unigram only).
        merges: pairs ``"left right"`` in order of rank (BPE only).
        bounded: special ids must lie inside the vocabulary to be written (llama.cpp's converter checks
            this only where it knows the size beforehand).
        token_types: how many kinds of texts an encoder tells apart; None where nothing is said.
        adds_space: whether a space is put before the text (Unigram only, as the next two).
        merges_spaces: whether several spaces become one.
        charsmap: SentencePiece's precompiled character map; empty where characters stay what they are.
    """

    model: str
    pre: str | None
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float] | None = None
    merges: Sequence[str] | None = None
    bounded: bool = True
    token_types: int | None = None
    adds_space: bool = False
    merges_spaces: bool = False
    charsmap: bytes = b""

    def entries(self) -> Iterator[Entry]:
        """As metadata, in the order and with the types of llama.cpp's converter."""
        kinds = self._kinds()
        if self.model == "bert":
            yield from kinds
        yield "tokenizer.ggml.model", ValueType.STRING, self.model
        if self.pre is not None:
            yield "tokenizer.ggml.pre", ValueType.STRING, self.pre
        yield "tokenizer.ggml.tokens", ValueType.ARRAY, Array(ValueType.STRING, self.tokens)
        if self.scores is not None:
            yield "tokenizer.ggml.scores", ValueType.ARRAY, Array(ValueType.FLOAT32, self.scores)
        yield (
            "tokenizer.ggml.token_type",
            ValueType.ARRAY,
            Array(ValueType.INT32, [int(t) for t in self.types]),
        )
        if self.merges:
            yield "tokenizer.ggml.merges", ValueType.ARRAY, Array(ValueType.STRING, self.merges)
        if self.model == "t5":
            yield "tokenizer.ggml.add_space_prefix", ValueType.BOOL, self.adds_space
            yield from kinds
            yield "tokenizer.ggml.remove_extra_whitespaces", ValueType.BOOL, self.merges_spaces
            if self.charsmap:
                charsmap = np.frombuffer(self.charsmap, np.uint8)
                yield (
                    "tokenizer.ggml.precompiled_charsmap",
                    ValueType.ARRAY,
                    Array(ValueType.UINT8, charsmap),
                )

    def last_entries(self) -> Iterator[Entry]:
        """What follows the special tokens."""
        if self.model == BYTE_LEVEL_BPE:
            yield from self._kinds()

    def _kinds(self) -> Iterator[Entry]:
        if self.token_types is not None:
            yield "tokenizer.ggml.token_type_count", ValueType.UINT32, self.token_types


def padding_token(token_id: int) -> str:
    """Text of an id below the model's vocabulary size that the tokenizer has no token for."""
    return f"[PAD{token_id}]"


def looks_special(text: str) -> bool:
    """Whether an added token is a control token although its file does not say so.

    Some published tokenizers mark theirs as ordinary; these spellings are the ones llama.cpp's
    converter (b11434) takes for control tokens all the same.
    """
    return (
        text in {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<｜") and text.endswith("｜>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def setting(config: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """A value of the model's config; that of a nested text model comes first."""
    text = config.get("text_config")
    if isinstance(text, dict) and key in text:
        return text[key]
    return config.get(key, default)


def vocabulary_size(config: Mapping[str, Any], default: int, path: str) -> int:
    """The model's number of tokens: ``vocab_size`` of its (text) config, else ``default``.

    Raises:
        TokenizerError: it is no sensible number.
    """
    size = setting(config, "vocab_size")
    if size is None:
        return default
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_TOKENS:
        raise TokenizerError(
            "the vocabulary size is unusable",
            path=path,
            key="vocab_size",
            found=size,
            expected=f"1 to {MAX_TOKENS}",
        )
    return size
