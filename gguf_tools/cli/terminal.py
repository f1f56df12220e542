"""The rich console of all commands. What it prints is text: never markup, and no orders to a terminal.

A name in a string is neither markup (``x[/bold]``) nor an emoji's code, no part of it is highlighted, and
what is not printable comes out escaped. So a string is one line; for a blank line print nothing. Imported
where it is used: rich takes its time to load.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from ..printable import printable

__all__ = ["Terminal"]


class Terminal(Console):
    """A console that takes nothing for markup, and escapes what is not printable in strings and `Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, here and in the cells of tables; whoever asks for markup does not get it."""
        return super().render_str(
            printable(text), **{**options, "markup": False, "emoji": False, "highlight": False}
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Anything that is printed, and all that it consists of."""
        return super().render(_shown(renderable) if isinstance(renderable, Text) else renderable, options)


def _shown(text: Text) -> Text:
    """The same with what is not printable escaped. Tables have measured it already: escape it before, too."""
    if text.plain.isprintable():
        return text
    parts = [printable(character) for character in text.plain]
    places = [0, *accumulate(map(len, parts))]
    made = text.blank_copy("".join(parts))
    made.spans = [Span(places[span.start], places[span.end], span.style) for span in text.spans]
    return made
