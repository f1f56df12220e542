"""Commands on a terminal of their own, and what of hostile text got through to it.

A fork of this process, with everything imported and compiled already, runs the commands one after the other
on a pseudo-terminal: it sees what a user's terminal would, colours and progress bars included, and takes some
milliseconds for each.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import struct
import sys
import termios
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gguf_tools.cli import main

__all__ = ["FORGED", "NAME", "PAYLOAD", "Shown", "faults", "reached", "run"]

FORGED: Final = "FORGED"
"""What a line would begin with that a text forged."""

TITLE: Final = "\x1b]0;PWNED\x07"
PAYLOAD: Final = (
    f"{TITLE}\x1b[8;66m\x9b7;66m\x7f\u202e\u2066\u200b\u061c\u2028\r{FORGED}\n{FORGED}[/bold][red]:smile:"
)
"""The window's title, characters that are not seen, one in C1, marks of direction, no width and lines, a
carriage return and a line end with a message after them, and rich's markup and emojis."""

NAME: Final = f"{TITLE}\x1b[8;66m\x9b\u202e\r{FORGED}\n{FORGED}[/b]:smile:"
"""The same for where only 63 bytes fit, or no slash may stand (``NAME.replace("/", "")``)."""

WIDTH: Final = 4000
"""Columns of the terminal: no line is folded, so that a line is what the program printed as one."""

MOST_SECONDS: Final = 120

_OWN: Final = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r+(?=\x1b\[(?:2K|1A))"  # a progress bar: cursor off, clear, up
    r"|\r*\n"  # the terminal makes \r\n of \n
)
"""What the program itself orders a terminal."""

_CLEARED: Final = re.compile(r"[^\n]*\n(?:\x1b\[\?25h)?\r\x1b\[1A\x1b\[2K|[^\n]*\r\x1b\[2K")
"""A line that is gone again, a progress bar's."""

_FOREIGN: Final = ("\x1b[8;66m", "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}", "\N{GRINNING FACE}")
"""What is like that, but comes from the texts; and what ``:smile:`` becomes."""

_MARK: Final = "\x00end of a command\x00"


@dataclass(frozen=True)
class Shown:
    """What a command showed, standard output and error together, and its exit status."""

    command: tuple[str, ...]
    status: int
    output: str
    width: int = WIDTH

    @property
    def lines(self) -> list[str]:
        """What is seen in the end: without colours and what was cleared."""
        text = _CLEARED.sub("", self.output.replace("\r\n", "\n"))
        text = _OWN.sub(lambda match: "\n" if "\n" in match[0] else "", text)
        return [line for line in text.split("\n") if line.strip()]


def run(commands: Sequence[Sequence[str]], folder: Path, width: int = WIDTH) -> Iterator[Shown]:
    """Run commands in a folder, on a terminal of so many columns."""
    with warnings.catch_warnings():  # the fork has its own thread only, and needs no other
        warnings.simplefilter("ignore", DeprecationWarning)
        pid, terminal = os.forkpty()
    if not pid:
        _run_in_child(commands, folder, width)
    try:
        output = _read(terminal)
    finally:
        os.close(terminal)  # hangs up, should it not have ended
        os.waitpid(pid, 0)
    *parts, rest = output.split(_MARK)
    for number, command in enumerate(commands):
        if number >= len(parts):
            yield Shown(tuple(command), -1, f"Traceback: the process ended\n{rest}")
            return
        text, _, status = parts[number].rpartition("\x00")
        yield Shown(tuple(command), int(status), text, width)


def _run_in_child(commands: Sequence[Sequence[str]], folder: Path, width: int) -> None:
    try:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(width), "COLORTERM": "truecolor"}
        for name in ("NO_COLOR", "FORCE_COLOR"):
            os.environ.pop(name, None)
        os.chdir(folder)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
        for command in commands:
            status = _status(command)
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(1, f"\x00{status}{_MARK}".encode())
    finally:
        os._exit(0)


def _status(command: Sequence[str]) -> int:
    try:
        main(list(command), prog_name="gguf-tools")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    return 99


def _read(terminal: int) -> str:
    data, deadline = b"", time.monotonic() + MOST_SECONDS
    with contextlib.suppress(OSError):  # what Linux says when the other side has closed
        while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            piece = os.read(terminal, 1 << 16)
            if not piece:
                break
            data += piece
    return data.decode("utf-8", "surrogateescape")


def reached(shown: Shown) -> bool:
    """Whether any of the hostile text was shown at all, escaped."""
    return FORGED in shown.output or "[/bold]" in shown.output


def faults(shown: Shown) -> Iterator[str]:
    """Whatever of this output a terminal would have obeyed, or a reader would have fallen for."""
    text = shown.output
    if "Traceback" in text:
        yield "a traceback"
    if obeyed := {c for c in _OWN.sub("", text) if not c.isprintable()}:
        yield f"not printable: {sorted(obeyed)}"
    yield from (f"{piece!r} got through" for piece in _FOREIGN if piece in text)
    if shown.status not in {0, 1, 2}:
        yield f"exit status {shown.status}"
    if shown.width == WIDTH:
        yield from _faults_of_lines(shown)


def _faults_of_lines(shown: Shown) -> Iterator[str]:
    """What is wrong with the lines of an output that was not folded."""
    if "--key" not in shown.command and re.search(rf"(?:^|[\r\n])(?:\x1b\[[0-9;]*m)*{FORGED}", shown.output):
        yield "a forged line"  # the value of a key is shown line by line, and nothing else
    errors = [line for line in shown.lines if line.lower().startswith("error: ")]
    own = [line for line in shown.lines if not line.startswith(("read ", "Usage: ", "Try ", "note: --"))]
    if errors and own != errors[:1] and shown.command[0] != "verify":
        yield f"{len(own)} lines instead of one for an error"
    if "--json" in shown.command and not errors:
        try:
            json.loads("\n".join(shown.lines))
        except ValueError as error:
            yield f"not JSON: {error}"
