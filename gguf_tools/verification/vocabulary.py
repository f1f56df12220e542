"""Does a vocabulary hold together: tokens, scores, types, merges, special tokens, embeddings."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final

import numpy as np

from ..architectures.shapes import embeddings_and_tokens
from ..container.metadata import Array, Metadata
from ..source import Source
from ..spec import TokenType, ValueType
from ..tokenizers.vocabulary import BYTE_LEVEL_BPE
from .findings import Finding, error, place, warning

__all__ = ["tokenizer_findings", "vocabulary_findings"]

_BYTE_TOKEN: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_TOKEN_ARRAYS: Final = (
    ("tokenizer.ggml.scores", ValueType.FLOAT32),
    ("tokenizer.ggml.token_type", ValueType.INT32),
)
_NO_TOKENIZERS: Final = frozenset({"none", "no_vocab"})


def tokenizer_findings(metadata: Metadata) -> Iterator[Finding]:
    """What llama.cpp refuses to do without."""
    kind = metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str):
        key = "tokenizer.ggml.model"
        yield error("vocabulary", place(key=key), "the key is missing" if kind is None else "not a text")
    elif kind not in _NO_TOKENIZERS:
        needed = ["tokens", "merges"] if kind == BYTE_LEVEL_BPE else ["tokens"]
        for key in (f"tokenizer.ggml.{name}" for name in needed):
            if key not in metadata:
                yield error("vocabulary", place(key=key), f"missing, and a {kind} tokenizer needs it")


def vocabulary_findings(metadata: Metadata, tensors: Mapping[str, Source]) -> Iterator[Finding]:
    """What of the vocabulary does not fit together."""
    tokens = yield from _strings(metadata, "tokens")
    if tokens is None:
        return
    for key, kind in _TOKEN_ARRAYS:
        value = metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, Array) or value.element_type is not kind:
            found = value.element_type.name if isinstance(value, Array) else metadata.type_of(key).name
            yield error("vocabulary", place(key=key), f"not an array of {kind.name} but {found}")
        elif len(value) != len(tokens):
            yield error("vocabulary", place(key=key), f"{len(value)} items for {len(tokens)} tokens")
        elif kind is ValueType.INT32:
            yield from _token_types(key, value.numpy(), tokens)
        elif not np.isfinite(value.numpy()).all():
            yield error("vocabulary", place(key=key), "a score is NaN or infinite")
    yield from _merges(metadata)
    for key in metadata:
        if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
            number = metadata[key]
            if not isinstance(number, int) or not 0 <= number < len(tokens):
                yield warning("token-id", place(key=key), f"{number!r} is no id of {len(tokens)} tokens")
    counts = embeddings_and_tokens(metadata, tensors)
    if counts is not None and counts[0] != counts[1]:
        message = f"{counts[0]} embeddings for {counts[1]} tokens"
        yield error("vocabulary-size", place(tensor="token_embd.weight"), message)


def _strings(metadata: Metadata, name: str) -> Generator[Finding, None, Array | None]:
    """The tokens or merges; None where there are none, or what is there is not an array of strings."""
    key = f"tokenizer.ggml.{name}"
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, Array) or value.element_type is not ValueType.STRING:
        yield error("vocabulary", place(key=key), f"the {name} are not an array of strings")
        return None
    return value


def _merges(metadata: Metadata) -> Iterator[Finding]:
    merges = yield from _strings(metadata, "merges")
    if merges is None:
        return
    for number, merge in enumerate(merges):
        if " " not in merge[1:-1]:
            message = f"merge {number}, {merge[:40]!a}, is not two parts and a space"
            yield error("vocabulary", place(key="tokenizer.ggml.merges"), message)
            return


def _token_types(key: str, types: Any, tokens: Array) -> Iterator[Finding]:
    odd = np.flatnonzero((types < 0) | (types > max(TokenType)))
    if len(odd):
        first = int(odd[0])
        yield warning(
            "token-type", place(key=key), f"token {first} is of the unknown type {int(types[first])}"
        )
    for number in np.flatnonzero(types == TokenType.BYTE).tolist():
        if not _BYTE_TOKEN.fullmatch(tokens[number]):
            text = ascii(tokens[number][:40])
            yield error(
                "byte-token", place(key=key), f"token {number} is a byte, but its text {text} is not <0xHH>"
            )
            return
