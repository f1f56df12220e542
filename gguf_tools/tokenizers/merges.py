"""Merges of a SentencePiece BPE vocabulary, from its scores or its order.

SentencePiece joins the pair whose joined piece has the highest score; ``tokenizers`` joins the pair of the
lowest rank. The same result needs a merge for every way to put a piece together, in falling order of the
pieces' scores.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

__all__ = ["merges_by_id", "merges_by_score"]


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
    pairs = ([text[:cut], text[cut:]] for cut in range(len(text) - 1, 0, -1))
    return (pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary)
