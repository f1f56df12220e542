"""Merges of a SentencePiece BPE vocabulary, from its scores.

SentencePiece joins the pair whose joined piece has the highest score; ``tokenizers`` joins the pair of the
lowest rank. The same result needs a merge for every way to put a piece together, in falling order of the
pieces' scores.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

__all__ = ["merges_by_score"]


def merges_by_score(pieces: Iterable[tuple[str, float, int]], vocabulary: Container[str]) -> list[list[str]]:
    """Pairs of pieces, most eagerly joined first.

    Args:
        pieces: text, score and id of every piece that may be the result of joining two. Equal scores are
            ordered by id.
        vocabulary: texts that may be parts.
    """
    merges = []
    for text, _, _ in sorted(pieces, key=lambda piece: (-piece[1], piece[2])):
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append([left, right])
    return merges
