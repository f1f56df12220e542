"""What the commands share for talking to people: sizes, tables, progress. Machines get ``--json``.

All output goes through here: tables and sentences through `console`, lines for other programs through
`print_line`. Both escape what could give orders to a terminal; a test sees to it that nothing goes past them.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from ..printable import printable as printable  # for the commands, too

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .tables import Listing

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and the tensor at hand."""

PIPED_WIDTH = 200
"""Columns where there is no terminal to ask: room for a tensor's line, so that ``grep`` sees it whole."""


class _Trimmed:
    """A text stream without the blanks that rich pads table cells with, for pipes and files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write("\n".join([line.rstrip(" ") for line in text.split("\n")]))
        return len(text)

    @property
    def encoding(self) -> str:
        """Where it is no Unicode, rich draws tables in ASCII."""
        return self._stream.encoding

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False


def console(*, stderr: bool = False) -> Console:
    """A console that drops colours where they cannot be shown (pipes, NO_COLOR, dumb terminals).

    It knows no markup, and escapes what is not printable, see `gguf_tools.cli.terminal`.
    """
    from .terminal import Terminal

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Terminal(stderr=stderr)
    return Terminal(file=cast("TextIO", _Trimmed(stream)), width=PIPED_WIDTH)


def print_line(text: str = "") -> None:
    """One line on stdout that is neither folded nor coloured: for other programs."""
    click.echo(printable(text))


def print_error(message: str) -> None:
    """The one line on stderr that a command fails with."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True)


def print_aborted() -> None:
    """That Ctrl-C ended a command, below the ^C that terminals show."""
    click.echo("\nAborted!", err=True)


def print_notice(message: str) -> None:
    """One line on stderr, of what does not fail."""
    click.echo(f"note: {printable(message)}", err=True)


def print_as_it_is(text: str) -> None:
    """Text on stdout, byte for byte; or if that is a terminal, with all escaped but tabs and line ends."""
    if sys.stdout.isatty():
        text = printable(text, "\t\n")
        text += "" if text.endswith("\n") else "\n"
    # Texts need not be UTF-8, and line ends must not be translated.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def table(*columns: str, right: tuple[str, ...] = ()) -> Listing:
    """A table with a line under its heading; the columns named in ``right`` are aligned to the right."""
    from .tables import Listing

    return Listing(columns, right=right)


def facts(rows: Mapping[str, str]) -> Table:
    """Two columns, name and value, without a heading."""
    from rich.table import Table

    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows.items():
        made.add_row(name, value)
    return made


def size(count: int) -> str:
    """Bytes in decimal units, as disks and downloads count them: ``98.7 MB``."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value:.1f} EB"


def number(count: int) -> str:
    """A count of parameters, short: ``134.5 M``, ``1.10 B``."""
    for unit, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= scale:
            value = count / scale
            return f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"
    return str(count)


def shape(dimensions: tuple[int, ...]) -> str:
    """``2048 × 5632``, in numpy's order; ``scalar`` for no dimensions."""
    return " × ".join(map(str, dimensions)) or "scalar"


def seconds(value: float) -> str:
    """``0.42 s``, ``12.3 s``, ``3 min 20 s``."""
    if value >= 100:
        return f"{int(value) // 60} min {int(value) % 60} s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def print_json(value: object) -> None:
    """One JSON document on stdout, in ASCII. Bytes that are not UTF-8 appear as lone surrogate escapes.

    Where anything remote was read, ``transfer`` says how much that was.
    """
    from ..io.remote.session import current_session

    transfer = current_session().transfer()
    if transfer is not None and isinstance(value, dict):
        value = {**value, "transfer": transfer.to_dict()}
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=True)
    click.echo(text.replace("\x7f", "\\u007f"))  # the one control character that JSON lets through


@contextmanager
def progress(action: str, *, quiet: bool) -> Iterator[Progress | None]:
    """A progress bar on stderr if that is a terminal; otherwise yields None."""
    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield None
        return
    from rich import progress as rich_progress

    bar = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.TaskProgressColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(compact=True),
        rich_progress.TextColumn("{task.fields[tensor]}", style="dim", markup=False),
        console=out,
        transient=True,
    )
    lock = threading.Lock()
    furthest = 0
    with bar:
        task = bar.add_task(action, total=None, tensor="")

        def report(done: int, total: int, tensor: str) -> None:
            nonlocal furthest
            with lock:  # workers report out of order; the bar never goes back
                furthest = max(furthest, done)
                bar.update(task, completed=furthest, total=total, tensor=printable(tensor))

        yield report


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--threads``, ``--force``, ``--quiet`` and ``--json``, which every writing command has."""
    for option in reversed(
        (
            click.option(
                "--threads",
                type=click.IntRange(min=1),
                metavar="N",
                help="Worker threads; default: all available cores.",
            ),
            click.option("--force", is_flag=True, help="Replace the output if it exists."),
            click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary."),
            json_option,
        )
    ):
        function = option(function)
    return function


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of tables."
)
