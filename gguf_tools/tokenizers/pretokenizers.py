"""Pre-tokenizers: how text is cut before BPE or WordPiece, and the names llama.cpp knows that by.

A GGUF file carries only a name (``tokenizer.ggml.pre``); the runtime has the regular expressions. A
``tokenizer.json`` carries the expressions and no name. llama.cpp's converter finds the name by hashing the
ids of a test string, which knows published vocabularies and nothing else. Here the *structure* is
compared: normalizer and pre-tokenizer, reduced to a list of steps. A fine-tune with new tokens or a
vocabulary trained from scratch is recognised the same way.

Whether text is composed first (NFC) does not change the name: the runtime never does it. A file that
differs from an entry in that alone is recognised, too.
"""

from __future__ import annotations

import difflib
from collections.abc import Container
from typing import Final

from ..errors import TokenizerError
from .pretokenizer_parts import NFC_STEP, Json, PreTokenizer, Sign, steps
from .pretokenizer_table import PRETOKENIZERS, RUNTIME_NAMES, SAME, UNKNOWN, WORDPIECE

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
    for compare in (tuple, _uncomposed):
        for candidate in PRETOKENIZERS:
            if compare(_steps_of(candidate)) == compare(found) and candidate.sign.fits(tokenizer, added):
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
    wanted = "jina-v2-en" if model == "bert" and name in WORDPIECE else SAME.get(name, name)
    for entry in PRETOKENIZERS:
        if entry.name == wanted and entry.model == model:
            return entry
    raise TokenizerError(
        "no tokenizer.json can be written for this pre-tokenizer: "
        + UNKNOWN.get(name, "its structure is not known here"),
        key="tokenizer.ggml.pre",
        found=name,
        expected=", ".join(entry.name for entry in PRETOKENIZERS if entry.model == model),
    )


def _steps_of(entry: PreTokenizer) -> tuple[str, ...]:
    return steps({"normalizer": entry.normalizer, "pre_tokenizer": entry.pre_tokenizer})


def _uncomposed(found: tuple[str, ...]) -> tuple[str, ...]:
    """All steps but composing characters."""
    return tuple(step for step in found if step != NFC_STEP)


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
