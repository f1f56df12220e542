"""Ctrl-C while the command is still being imported: no traceback, whenever it comes."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "fixtures" / "demo"

HOOK = """
import os, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            import signal
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


def script() -> str:
    """What the installed command runs: pip writes these lines for an entry point."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["gguf-tools"].partition(":")
    return f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def interrupted(tmp_path: Path, at: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, interrupted when it begins to import a module."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", script(), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "INTERRUPTED_AT": at},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "at",
    [
        *("gguf_tools.cli", "click", "click.core", "gguf_tools.errors", "gguf_tools.cli.convert"),
        *("rich.console", "numpy", "numpy.linalg", "gguf_tools.conversion.to_gguf"),
        *("numba", "llvmlite", "numba.core.types", "gguf_tools.quants.codecs.q4_0"),
    ],
)
def test_an_interrupt_during_import_ends_quietly(tmp_path: Path, at: str) -> None:
    done = interrupted(tmp_path, at, "convert", DEMO, tmp_path / "a.gguf", "-t", "Q4_0")
    assert done.returncode == 130, done.stderr
    assert done.stderr.split() in ([], ["Aborted!"])
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_without_an_interrupt_it_runs(tmp_path: Path) -> None:
    done = interrupted(tmp_path, "none", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("gguf-tools, version")
