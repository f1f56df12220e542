"""Regular expressions of strangers: matched as Python does, or refused before they are tried."""

from __future__ import annotations

import re
from math import comb
from typing import Any

import pytest

from gguf_tools.checkpoint.packed import expressions
from gguf_tools.checkpoint.packed.expressions import MAX_WAYS, matches
from gguf_tools.errors import CheckpointError

NAMES = (
    "model.layers.47.mlp.experts.127.gate_proj",
    "model.language_model.layers.3.linear_attn.in_proj_qkvz",
    "lm_head",
    "visual.blocks.0.attn.qkv",
)
USUAL = (
    *(r".*", r".*lm_head", r".*self_attn.*", r"lm_head$", r"visual.*", r".*mlp\.gate$", r"^model\.layers"),
    r".*\.experts\.\d+\.(gate|up|down)_proj$",
    r".*mlp.*experts.*(gate|up|down)_proj",
    r"model\.layers\.(0|1|2|3|4|5|6|7|8|9|47)\..*",
    r"^(?!.*(k_b_proj|lm_head|visual)).*",
    r"(?:model\.)?language_model\.layers\.[0-9]+\.mlp\..*",
    r".*layers\.[1-9]\d*.*_proj",
    r"model.*[.()*+?|{]gate_proj",
)


@pytest.mark.parametrize("expression", USUAL)
def test_usual_ones_match_as_ever(expression: str) -> None:
    for name in NAMES:
        assert matches(expression, name) == (re.match(expression, name) is not None)


@pytest.mark.parametrize(
    "expression",
    [
        *("(a+)+$", "(a*)*b", "(a|a)*b", "(.*.*)+x", "((a)*)*", "(?:a+){9}", "(a+){2,}", "(a?)*b"),
        *("a?" * 40 + "a" * 40, "(a|a)" * 40 + "b", ".*" * 9 + "b", r"\w+" * 9 + "b", "(a{1,9})" * 9),
        *("(?i)a", "(?x)a # [\n(a+)+b # ]", "(?P<n>a)", "(a)(?(1)b|c)", "x" * 2000, "(" * 500 + ")" * 500),
        *("(", "[", "a{9999999999999}", "*", r"\8"),
    ],
    ids=lambda expression: expression[:20],
)
def test_others_are_refused_untried(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = expressions._compiled

    def untried(text: str) -> tuple[Any, int, int]:
        _, *counts = compiled(text)
        return None, *counts  # type: ignore[return-value]  # matching would be an AttributeError

    monkeypatch.setattr(expressions, "_compiled", untried)
    with pytest.raises(CheckpointError, match="regular expression"):
        matches(expression, "a" * 80)


@pytest.mark.parametrize("expression", [".*a.*a.*a.*b", "a?" * 20 + "b", "(a|a)" * 20 + "b"])
def test_long_names_count(expression: str) -> None:
    assert matches(expression, "a" * 12) is False
    if "*" in expression:
        with pytest.raises(CheckpointError, match="too many ways"):
            matches(expression, "a" * 500)


def test_ways_are_counted() -> None:
    assert expressions._counted(r".*mlp.*experts.*(gate|up|down)_proj") == (3, 3)
    assert expressions._counted(r"(a|b)(c|(d|e|f))?x|y") == (0, 2 * 2 * 3 * 2 * 2)
    assert expressions._counted(r"\*[*+?|(]\(\||x") == (0, 2)
    assert 3 * comb(80 + 3, 3) < MAX_WAYS
