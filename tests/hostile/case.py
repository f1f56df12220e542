"""What a case is, and how one is judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_tools.errors import GGUFToolsError
from gguf_tools.verification.verify import verify

__all__ = ["Case", "Flagged", "Outcome", "Refused", "Taken", "judge", "one_file"]

LONGEST_MESSAGE = 10_000
"""Characters of an error: a hostile file must not fill the screen for minutes."""


@dataclass(frozen=True)
class Refused:
    """A typed error whose text matches ``message`` and which names the file or what in it."""

    kind: type[GGUFToolsError]
    message: str


@dataclass(frozen=True)
class Flagged:
    """Read as documented, and a finding of ``verify`` with this code."""

    code: str


@dataclass(frozen=True)
class Taken:
    """Legal or harmless, however odd: read as documented, which ``check`` looks into."""

    check: Callable[[Any], bool] = lambda result: True


Outcome = Refused | Flagged | Taken


@dataclass(frozen=True)
class Case:
    """One hostile file or directory.

    Attributes:
        name: the number of its class, and what is special about this variant.
        make: puts it into an empty directory and returns what is to be opened.
        use: opens it, and looks at everything that can be had without paying for weights.
        outcome: what must come of that.
        honest: why it may take more than a hostile file: it costs what a sound file of its size costs, whose
            last entry could as well be the first one that is wrong.
    """

    name: str
    make: Callable[[Path], Path]
    use: Callable[[Path], Any]
    outcome: Outcome
    honest: str = ""

    @property
    def number(self) -> int:
        """Of the class."""
        return int(self.name.split()[0])


def one_file(data: bytes | Callable[[], bytes], name: str = "bad.gguf") -> Callable[[Path], Path]:
    """A maker of a single file; large ones are made when they are needed."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return path

    return make


def judge(case: Case, path: Path) -> str | None:
    """Use what the case made, and say what is wrong with what came of it; None if nothing is.

    Exceptions that are none of the package's own are what this looks for: they become a sentence too.
    """
    try:
        result = case.use(path)
    except GGUFToolsError as error:
        return _judged_error(case.outcome, error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__} leaks: {str(error)[:300]}"
    if isinstance(case.outcome, Refused):
        return f"was taken, expected {case.outcome.kind.__name__} {case.outcome.message!r}"
    if isinstance(case.outcome, Flagged):
        codes = [finding.code for finding in verify(path)]
        return None if case.outcome.code in codes else f"found {codes}, expected {case.outcome.code!r}"
    return None if case.outcome.check(result) else f"was read as {result!r}"


def _judged_error(outcome: Outcome, error: GGUFToolsError) -> str | None:
    text = str(error)
    if not isinstance(outcome, Refused):
        return f"was refused: {text[:300]}"
    if not isinstance(error, outcome.kind):
        return f"{type(error).__name__} instead of {outcome.kind.__name__}: {text[:300]}"
    if not re.search(outcome.message, text):
        return f"says {text[:300]!r}, expected {outcome.message!r}"
    if error.path is None and error.key is None and error.tensor is None:
        return f"names no place: {text[:300]!r}"
    if "\n" in text or len(text) > LONGEST_MESSAGE:
        return f"is more than a line: {len(text)} characters, {text[:300]!r}"
    return None
