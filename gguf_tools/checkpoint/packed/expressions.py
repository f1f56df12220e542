"""Regular expressions from a checkpoint's config, and what matching them may cost.

Whoever made a checkpoint chose both the expressions and the names they are matched with. Python's matcher
tries one way after another, and for some expressions there are more ways than anybody can wait for. So the
ways are counted before, and an expression with too many is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import comb
from typing import Final

from ...errors import CheckpointError

__all__ = ["matches"]

_KEY: Final = "quantization_config.config_groups"

MAX_WAYS: Final = 1 << 24
"""To match one name: less than a second. ``.*mlp.*experts.*(gate|up|down)_proj`` and a name of 80 letters
have 300,000."""

MAX_LENGTH: Final = 1000
"""Letters of an expression; those of real checkpoints have some dozens."""

_LETTER: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""What stands for a single letter: an escape or a class."""

_OPENING: Final = re.compile(r"\((?:\?(?:[:=!]|<[=!]))?")
_UNBOUNDED: Final = "*+{"


def matches(expression: str, name: str) -> bool:
    """Whether an expression matches from the start of a name on.

    Raises:
        CheckpointError: it is no expression, or matching it could take too long.
    """
    compiled, unbounded, ways = _compiled(expression)
    if ways * comb(len(name) + unbounded, unbounded) > MAX_WAYS:
        raise _refused(expression, "there are too many ways to match it")
    return compiled.match(name) is not None


@lru_cache(maxsize=256)
def _compiled(expression: str) -> tuple[re.Pattern[str], int, int]:
    """An expression, how many unbounded repetitions are in it, and in how many ways the rest can match."""
    if len(expression) > MAX_LENGTH:
        raise _refused(expression[:80], "it is too long")
    try:
        compiled = re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise CheckpointError(f"not a regular expression: {error}", key=_KEY, found=expression) from error
    return compiled, *_counted(expression)


def _counted(expression: str) -> tuple[int, int]:
    """Unbounded repetitions, and ways to take the alternatives and what may be left out.

    Raises:
        CheckpointError: a group is repeated, within which there could be as many ways each time; or there is
            something in it that is not known here.
    """
    text = _OPENING.sub("(", _LETTER.sub("x", expression))
    if re.search(r"\)[*+{]", text):
        raise _refused(expression, "it repeats a group")
    if "(?" in text:
        raise _refused(expression, "it has flags, names or conditions")
    unbounded = sum(map(text.count, _UNBOUNDED))
    ways = 2 ** text.count("?")
    alternatives = [1]
    for letter in text:
        if letter == "(":
            alternatives.append(1)
        elif letter == "|":
            alternatives[-1] += 1
        elif letter == ")":
            ways *= alternatives.pop()
    return unbounded, ways * alternatives[0]


def _refused(expression: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"a regular expression that is not safe to match: {why}",
        key=_KEY,
        found=expression,
        expected="simpler expressions, or names of layers",
    )
