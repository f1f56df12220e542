"""Foreign text on one printable line, whatever Unicode has."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from gguf_tools.errors import FormatError
from gguf_tools.printable import printable

VISIBLE = "plain, ünïcödé, 漢字, العربية, ▁Ġ, 🦙, \\x1b, [/bold]"


def test_what_is_visible_stays() -> None:
    assert printable(VISIBLE) == VISIBLE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
        ("\x00\x7f\x9b\x85", r"\x00\x7f\x9b\x85"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\u202a\u202e\u2066\u2069\u200e\u200f\u061c", r"\u202a\u202e\u2066\u2069\u200e\u200f\u061c"),
        ("\u200b\u200d\ufeff\u00ad", r"\u200b\u200d\ufeff\xad"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\xa0\u3000", r"\xa0\u3000"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\ue000\U0010ffff\U000e0041", r"\ue000\U0010ffff\U000e0041"),
    ],
)
def test_the_rest_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_character_that_there_is() -> None:
    """Nothing of the categories "other" and "separator" gets through but the blank."""
    for code in range(sys.maxunicode + 1):
        shown = printable(chr(code))
        assert {unicodedata.category(c)[0] for c in shown}.isdisjoint("C"), hex(code)
        assert unicodedata.category(shown[0])[0] != "Z" or shown == " ", hex(code)


def test_line_ends_can_be_kept() -> None:
    assert printable("a\nb\r\n\x1b", "\n") == "a\nb\\r\n\\x1b"


def test_errors_are_one_printable_line_and_keep_what_was_found() -> None:
    text = "\x1b]0;x\x07\nFORGED\u202e"
    error = FormatError(text, path=f"/{text}", key=text, tensor=text, found=text, expected=[text])
    assert str(error).isprintable()
    assert str(error).count("FORGED") == 6
    assert (error.message, error.key, error.found) == (text, text, text)
