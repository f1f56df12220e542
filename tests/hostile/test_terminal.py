"""Nothing hostile reaches the terminal: every command on every source of text that is not ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.hostile.scenes import SCENES, Scene
from tests.hostile.terminal import faults, reached, run


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_nothing_is_obeyed(scene: Scene, tmp_path: Path) -> None:
    commands = scene.make(tmp_path)
    check(commands, tmp_path, silent=scene.silent)


def check(commands: Sequence[Sequence[str]], folder: Path, *, silent: bool = False) -> None:
    """Run commands; none may show anything hostile, and one must have shown the text at all."""
    shown = list(run(commands, folder))
    found = [(" ".join(one.command), fault, one.output[-600:]) for one in shown for fault in faults(one)]
    assert found == []
    assert len(shown) == len(commands)
    assert silent or any(map(reached, shown))
