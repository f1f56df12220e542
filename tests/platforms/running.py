"""Code run in an interpreter that lacks what a system lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def started(code: str, *arguments: object, system: str = "") -> subprocess.Popen[str]:
    """An interpreter that runs code, on a system."""
    if system:
        code = f"from tests.platforms.lacking import take_away; take_away({system!r})\n{code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def run(code: str, *arguments: object, system: str = "") -> str:
    """What the code prints."""
    with started(code, *arguments, system=system) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out
