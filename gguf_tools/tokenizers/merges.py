"""Merges for an exported tokenizer.json: those a GGUF file has, or made from a SentencePiece vocabulary.

SentencePiece joins the pair whose joined piece has the highest score; ``tokenizers`` joins the pair of the
lowest rank. The same result needs a merge for every way to put a piece together, in falling order of the
pieces' scores.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import ValueType
from .byte_level import SPACE, to_bytes

__all__ = ["merges_by_id", "merges_by_score", "stored_merges"]

_KEY: Final = "tokenizer.ggml.merges"

_LONGEST: Final = 1024
"""Characters of a SentencePiece token that is cut in every way; the longest published one has 31."""


def stored_merges(
    metadata: Mapping[str, Any], texts: Sequence[str], added: Iterable[int]
) -> tuple[list[list[str]], dict[int, str]]:
    """Pairs of tokens a byte-level BPE file has, by rank, and added tokens they know by another text.

    A token of the model that was added as well stands in GGUF as what it is decoded to; merges have the
    text it has in the model.

    Args:
        metadata: of a GGUF file.
        texts: of all tokens.
        added: ids of the added ones.

    Raises:
        TokenizerError: a merge is no pair of known tokens that make a known token.
    """
    stored = metadata.get(_KEY)
    if stored is None:
        return [], {}
    if not isinstance(stored, Array) or stored.element_type is not ValueType.STRING:
        kind = stored.element_type.name if isinstance(stored, Array) else type(stored).__name__
        raise TokenizerError("merges must be a list of texts", key=_KEY, found=kind)
    known = set(texts)
    decoded = {texts[token_id]: token_id for token_id in added}
    respelled: dict[int, str] = {}

    def is_known(text: str) -> bool:
        if text in known:
            return True
        token_id = decoded.get((to_bytes(text) or b"").decode("utf-8", "replace"))
        if token_id is None or token_id in respelled:
            return False
        respelled[token_id] = text
        known.add(text)
        return True

    merges = []
    for rank, text in enumerate(stored):
        left, _, right = text.partition(" ")
        if not all(map(is_known, (left, right, left + right))):
            # GGUF writes a space inside a token as bytes are written, in merges only
            left, right = left.replace(SPACE, " "), right.replace(SPACE, " ")
            if not all(map(is_known, (left, right, left + right))):
                raise TokenizerError(
                    f"merge {rank} is no pair of tokens that make a token", key=_KEY, found=ascii(text)
                )
        merges.append([left, right])
    return merges, respelled


def merges_by_score(
    pieces: Iterable[tuple[str, float, int]], whole: Iterable[str], vocabulary: Container[str]
) -> list[list[str]]:
    """Pairs of pieces, most eagerly joined first.

    Of the ways to put one piece together the one with the longest left part comes first, as in the files
    transformers makes of a SentencePiece model.

    Args:
        pieces: text, score and id of every piece that may be the result of joining two. Equal scores are
            ordered by id.
        whole: user-defined pieces. SentencePiece never cuts these, so they come before all others, the
            longest first.
        vocabulary: texts that may be parts.
    """
    merges = [pair for text in whole for pair in _cuts(text, vocabulary)]
    merges.sort(key=lambda pair: (-len(pair[0]), -len(pair[1])))
    for text, _, _ in sorted(pieces, key=lambda piece: (-piece[1], piece[2])):
        merges.extend(_cuts(text, vocabulary))
    return merges


def merges_by_id(pieces: Iterable[str], vocabulary: Mapping[str, int]) -> list[list[str]]:
    """Pairs of pieces where the scores are lost: ids are in the order in which pieces were learnt.

    Runs of spaces come last, because the models of Llama and Mistral have them at the lowest score. The
    ways to put one piece together are ordered by the ids of the parts, as transformers did when there were
    checkpoints without a tokenizer.model.

    Args:
        pieces: every piece that may be the result of joining two.
        vocabulary: ids by text of all that may be parts.
    """
    merges = []
    for text in sorted(pieces, key=lambda text: (not text.strip("▁"), vocabulary[text])):
        cuts = list(_cuts(text, vocabulary))
        cuts.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        merges.extend(cuts)
    return merges


def _cuts(text: str, vocabulary: Container[str]) -> Iterator[list[str]]:
    """All ways to make a text of two pieces, the one with the longest left part first."""
    if len(text) > _LONGEST:
        raise TokenizerError(
            "a token is too long for a SentencePiece vocabulary",
            key="tokenizer.ggml.tokens",
            found=f"{len(text)} characters",
            expected=f"at most {_LONGEST}",
        )
    pairs = ([text[:cut], text[cut:]] for cut in range(len(text) - 1, 0, -1))
    return (pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary)
