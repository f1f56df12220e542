"""Tables of any length, in time that grows with what is in them and no faster.

They look as rich's do, which takes half a millisecond for each row, and longer for each of many: a model has
tens of thousands of tensors. Imported where it is used: rich takes its time to load.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from operator import le
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from ..printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Listing"]

_WORD: Final = re.compile(r"\S+\s*|\s+")
_RULE: Final = "─"
_ASCII_RULE: Final = "-"


class Listing:
    """A table with a line under its heading, to be printed on a rich console.

    Where it is wider than that, the widest columns of text are narrowed and their cells go on in further
    lines, broken between words if possible. Figures are narrowed only where that is not enough.

    Args:
        columns: the heading.
        right: columns of figures, which are aligned to the right.
        gap: blanks between columns.
        least: columns of text that keep so much width, by name.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        right: Sequence[str] = (),
        gap: int = 3,
        least: Mapping[str, int] | None = None,
    ) -> None:
        self._right = [name in right for name in columns]
        self._gap = gap
        self._least = [(least or {}).get(name, 1) for name in columns]
        # By columns: tens of thousands of lists or tuples would keep the collector of garbage busy.
        self._texts: list[list[str]] = [[_shown(name)] for name in columns]
        self._styles: list[list[str | Style]] = [["table.header"] for _ in columns]

    def add_row(self, *cells: str | Text, style: str | None = None) -> None:
        """Add a row; missing cells are empty. A `Text` has one style, instead of the row's."""
        row = [*cells, *[""] * (len(self._right) - len(cells))]
        for texts, styles, cell in zip(self._texts, self._styles, row, strict=True):
            plain, own = (cell, "") if isinstance(cell, str) else (cell.plain, cell.style)
            texts.append(_shown(plain))
            styles.append(own or style or "")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lengths = [[*map(_cells, texts)] for texts in self._texts]
        widths = self._fitted([*map(max, lengths)], options.max_width)
        known: dict[str | Style, Style | None] = {"": None}
        newline = Segment.line()
        for number in range(len(lengths[0])):
            texts = [column[number] for column in self._texts]
            sizes = [column[number] for column in lengths]
            names = [column[number] for column in self._styles]
            for name in names:
                if name not in known:
                    known[name] = console.get_style(name)
            for line in self._lines(texts, [known[name] for name in names], sizes, widths):
                yield from line
                yield newline
            if number == 0:
                rule = _ASCII_RULE if options.ascii_only else _RULE
                yield Segment(rule * (sum(widths) + self._gap * (len(widths) - 1)))
                yield newline

    def _fitted(self, natural: list[int], width: int) -> list[int]:
        """Widths of the columns that come to no more than there is, if that can be."""
        last = len(natural) - 1
        # rich compares columns with the blanks beside them, of which those at the edges have fewer
        beside = [(place > 0) * (self._gap - 2) + (place < last) for place in range(len(natural))]
        widths = [size + blanks for size, blanks in zip(natural, beside, strict=True)]
        room = width - self._gap * last + sum(beside)
        text = [place for place, right in enumerate(self._right) if not right]
        for yielding, least in ((text, self._least), (range(len(widths)), [1] * len(widths))):
            least = [size + blanks for size, blanks in zip(least, beside, strict=True)]
            while (excess := sum(widths) - room) > 0:
                giving = [place for place in yielding if widths[place] > least[place]]
                if not giving:
                    break
                widest = max(widths[place] for place in giving)
                group = [place for place in giving if widths[place] == widest]
                below = max(
                    *(least[place] for place in group),
                    *(widths[place] for place in giving if widths[place] < widest),
                    0,
                )
                for number, place in enumerate(group):
                    given = min(widest - below, round(excess / (len(group) - number)))
                    widths[place] -= given
                    excess -= given
        return [size - blanks for size, blanks in zip(widths, beside, strict=True)]

    def _lines(
        self, texts: Sequence[str], styles: list[Style | None], sizes: Sequence[int], widths: list[int]
    ) -> Iterator[list[Segment]]:
        """The lines of a row, without blanks at their ends; runs of one style are one segment."""
        if all(map(le, sizes, widths)):
            yield self._line(texts, styles, sizes, widths)
            return
        for line in zip_longest(*map(_folded, texts, widths), fillvalue=""):
            yield self._line(line, styles, [*map(_cells, line)], widths)

    def _line(
        self, texts: Sequence[str], styles: list[Style | None], sizes: Sequence[int], widths: list[int]
    ) -> list[Segment]:
        """One line, whose texts take so many columns of the widths."""
        runs: list[Segment] = []
        plain = ""
        blanks = 0  # that are written when something follows
        for text, style, size, width, right in zip(texts, styles, sizes, widths, self._right, strict=True):
            if not text:
                blanks += width + self._gap
                continue
            plain += " " * (blanks + (width - size if right else 0))
            if style is None:
                plain += text
            else:
                if plain:
                    runs.append(Segment(plain))
                runs.append(Segment(text, style))
                plain = ""
            blanks = self._gap + (0 if right else width - size)
        if plain:
            runs.append(Segment(plain))
        return runs


def _shown(text: str) -> str:
    """A text on one line."""
    return text if text.isprintable() else printable(text).replace("\n", r"\n")


def _cells(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def _folded(text: str, width: int) -> list[str]:
    """A text as lines of a width, broken between words, and where a word is too long, in it."""
    if _cells(text) <= width:
        return [text]
    lines, line, room = [], "", width
    for word in _WORD.findall(text):
        length = _cells(word.rstrip())
        if length > room and line:
            lines.append(line.rstrip())
            line, room = "", width
        if length > width:
            *whole, word = _chopped(word, width)
            lines += whole
        line += word
        room -= _cells(word)
    return [*lines, line.rstrip()]


def _chopped(word: str, width: int) -> list[str]:
    """Pieces of a word, each as long as fits; of characters of two columns perhaps one less."""
    if word.isascii():
        return [word[start : start + width] for start in range(0, len(word), width)]
    pieces, start, room = [], 0, width
    for place, character in enumerate(word):
        size = cell_len(character)
        if size > room and place > start:
            pieces.append(word[start:place])
            start, room = place, width
        room -= size
    return [*pieces, word[start:]]
