"""Every command on systems that lack what Linux has: the same bytes, and nothing left over.

The systems are this one with the calls taken away; see `tests.platforms.lacking`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import adapters
from tests.platforms.running import ROOT, run

DEMO = ROOT / "fixtures" / "demo"
SYSTEMS = ("windows", "macos")


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
