"""Commands run in this process or in a terminal, and what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gguf_tools.cli import main

TOOL = Path(sys.executable).with_name("gguf-tools")


ESCAPE = "\x1b"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def said(*arguments: object) -> str:
    """Standard output of a command that succeeds."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def printed_json(*arguments: object) -> Any:
    return json.loads(said(*arguments, "--json"))


def refused(*arguments: object) -> str:
    """The one line a command fails with."""
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


class Terminal:
    """A terminal of 80 columns."""

    def run(self, *arguments: object, **environment: str) -> str:
        """What a terminal of 80 columns shows: the command runs in a pseudo-terminal."""
        import pty

        primary, secondary = pty.openpty()
        environ = {**os.environ, "COLUMNS": "80", "TERM": "xterm", **environment}
        child = subprocess.Popen(
            [TOOL, *map(str, arguments)], stdout=secondary, stderr=secondary, env=environ
        )
        os.close(secondary)
        shown = b""
        while True:
            try:
                part = os.read(primary, 65536)
            except OSError:  # how Linux tells the end
                break
            if not part:
                break
            shown += part
        os.close(primary)
        assert child.wait() == 0, shown.decode()
        return shown.decode().replace("\r\n", "\n")

    @staticmethod
    def plain(text: str) -> list[str]:
        return re.sub(rf"{ESCAPE}\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
