"""Every command on systems that lack what Linux has: the same bytes, and nothing left over.

The systems are this one with the calls taken away; see `tests.platforms.lacking`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import adapters

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "fixtures" / "demo"
SYSTEMS = ("windows", "macos")


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


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMMANDS = """
import pathlib, sys
from tests.platforms.commands import run_all
run_all(*map(pathlib.Path, sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapters.adapt(DEMO, tmp_path_factory.mktemp("adapter") / "adapter", r".*[qv]_proj\.weight")


@pytest.fixture(scope="module")
def here(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What all commands make on this system."""
    folder = tmp_path_factory.mktemp("here") / "out"
    folder.mkdir()
    run(COMMANDS, DEMO, adapter, folder)
    found = files(folder)
    assert not [name for name in found if name.startswith(".")]
    return found


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_makes_the_same_bytes(
    here: dict[str, bytes], adapter: Path, tmp_path: Path, system: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    run(COMMANDS, DEMO, adapter, folder, system=system)
    there = files(folder)
    assert sorted(there) == sorted(here)
    assert [name for name in here if there[name] != here[name]] == []
