"""Where llama.cpp splits texts otherwise than the published expressions do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Final

Condition = Callable[[str], bool]


def _has(pattern: str) -> Condition:
    return lambda text: re.search(pattern, text) is not None


def _marks(text: str) -> bool:
    return any(unicodedata.category(letter).startswith("M") for letter in text)


def _wide_spaces(text: str) -> bool:
    return any(letter.isspace() and "\u0800" <= letter <= "\u4e00" for letter in text)


def _capital_inside(text: str) -> bool:
    """A capital letter after a letter or mark that is none."""
    kinds = map(unicodedata.category, text)
    return any(
        left[0] in "LM" and left not in ("Lu", "Lt") and right in ("Lu", "Lt")
        for left, right in pairwise(kinds)
    )


def _superscript_bytes(text: str) -> bool:
    return any(byte in b"\xb2\xb3\xb9\xbc\xbd\xbe" for byte in text.encode())


def _any_of(*conditions: Condition) -> Condition:
    return lambda text: any(condition(text) for condition in conditions)


_SPACED_NUMBER: Final = _has(r"\s\s[^\W\d_]*\d|\s\s[²½Ⅷ]")


EXCEPTIONS: Final[dict[str, Condition]] = {
    # Its letters leave out combining marks, which the published expression counts with them.
    **dict.fromkeys(("tekken", "gpt-4o", "llama4", "minimax-m2", "kanana2", "talkie"), _marks),
    # That, and it knows no case: a capital letter does not begin a word.
    "kimi-k2": _any_of(_marks, _capital_inside),
    "youtu": _capital_inside,
    # Case again; digits are grouped from the right whatever follows them, not only at the end of a word; and
    # spaces before a number stay with it.
    **dict.fromkeys(("tiny_aya", "cohere2moe"), _any_of(_capital_inside, _has(r"\d\w"), _SPACED_NUMBER)),
    "afmoe": _SPACED_NUMBER,
    # Wide spaces are not among the characters it cuts out; runs of digits stay whole, which the published
    # vocabulary, without tokens of two digits, does not notice.
    "deepseek-coder": _wide_spaces,
    "deepseek-llm": _any_of(_wide_spaces, _has(r"[\d²½¾Ⅷ]{2}")),
    # Bytes that stand as ², ³, ¹, ¼, ½ or ¾ in byte-level text are digits to the published file.
    "falcon": _superscript_bytes,
    # Only ASCII digits are counted off in groups of three.
    "superbpe": _has(r"[^\x00-\x7f]"),
}
"""Texts for which llama.cpp is known to do otherwise than the structure."""
