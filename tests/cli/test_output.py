"""What the program prints goes through one place, which takes nothing for markup or orders to a terminal."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import gguf_tools.cli
from gguf_tools.cli.console import print_error, print_json, print_line, progress
from gguf_tools.cli.terminal import Terminal

HOSTILE = "x\x1b]0;PWNED\x07\nFORGED\u202e[/bold][red]:smile:\x9b7m http://x 12"
SHOWN = r"x\x1b]0;PWNED\x07\nFORGED\u202e[/bold][red]:smile:\x9b7m http://x 12"

CLI = Path(gguf_tools.cli.__file__).parent


def printed(*objects: object, **options: object) -> str:
    """As a terminal with colours gets it."""
    out = Terminal(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=200, _environ={})
    out.print(*objects, **options)  # type: ignore[arg-type]
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


class TestConsole:
    def test_a_string(self) -> None:
        assert printed(HOSTILE) == f"{SHOWN}\n"

    def test_a_string_for_which_markup_is_asked(self) -> None:
        assert printed(HOSTILE, markup=True, emoji=True, highlight=True) == f"{SHOWN}\n"

    def test_a_styled_string(self) -> None:
        assert printed(HOSTILE, style="red") == f"\x1b[31m{SHOWN}\x1b[0m\n"

    def test_a_text(self) -> None:
        assert printed(Text(HOSTILE)) == SHOWN.replace(r"\x07", "") + "\n"  # which rich's texts leave out
        assert printed(Text.assemble(("a\x1bb", "red"), "\nc")) == "\x1b[31ma\\x1bb\x1b[0m\\nc\n"

    def test_cells_of_a_table(self) -> None:
        listing = Table(HOSTILE, title=HOSTILE, box=None, show_header=True)
        listing.add_row(HOSTILE)
        listing.add_row(Text(HOSTILE))
        text = printed(listing)
        assert text.count(r"FORGED\u202e[/bold][red]:smile:") == 4
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "\x9b" not in text

    def test_a_progress_bar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        out = Terminal(file=io.StringIO(), force_terminal=True, width=300, _environ={})
        monkeypatch.setattr("gguf_tools.cli.console.console", lambda stderr: out)
        with progress("measuring", quiet=False) as report:
            assert report is not None
            report(1, 2, HOSTILE)
        assert isinstance(out.file, io.StringIO)
        assert SHOWN in out.file.getvalue()
        assert HOSTILE[:6] not in out.file.getvalue()


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    print_error(HOSTILE)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"error: {SHOWN}\n")


def test_json_is_ascii_and_still_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    value = {HOSTILE: [HOSTILE, "\x7f\\\x7f", "\udcff"]}
    print_json(value)
    text = capsys.readouterr().out
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == value


def _prints(node: ast.AST) -> bool:
    """Whether this writes past the console."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        names = [alias.name for alias in node.names]
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
        return any(name.startswith("rich.console") for name in modules) or any(
            name == "rich" for name in modules
        )
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return called in {"print", "echo", "secho"} or called.startswith(
            (
                "click.echo",
                "click.secho",
                "sys.stdout.",
                "sys.stderr.",
                "os.write",
                "Text.from_markup",
                "Text.from_ansi",
            )
        )
    return False


def _faults(source: str) -> list[str]:
    tree = ast.parse(source)
    checked = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    return [ast.unparse(node) for node in ast.walk(tree) if _prints(node) and id(node) not in checked]


@pytest.mark.parametrize("path", sorted(CLI.rglob("*.py")), ids=lambda path: str(path.relative_to(CLI)))
def test_nothing_is_printed_past_it(path: Path) -> None:
    if path.name not in {"console.py", "terminal.py"}:
        assert _faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "print(x)",
        "click.echo(x)",
        "sys.stdout.write(x)",
        "from rich.console import Console",
        "from rich import print",
        "sys.stdout.buffer.write(x)",
        "Text.from_markup(x)",
    ],
)
def test_the_test_sees(line: str) -> None:
    assert _faults(line)
