"""Conversions that must end with the same bytes however often they are killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gguf_tools.conversion import engine
from tests.conversion.killing import Counted, killed_runs, single
from tests.torture.report import Row

__all__ = ["kills"]


def kills(conversions: int) -> Iterator[Row]:
    """Conversions killed by SIGKILL at random moments and continued until they are complete."""
    survived = compared = different = leftovers = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.gguf"
        engine.execute(single(Counted(1), Counted(2)), whole)
        for seed in range(conversions):
            inside = Path(folder) / str(seed)
            inside.mkdir()
            survived += sum(1 for _ in killed_runs(inside / "a.gguf", seed))
            made = (inside / "a.gguf").read_bytes()
            compared += len(made)
            different += made != whole.read_bytes()
            leftovers += len(list(inside.iterdir())) - 1
    problems = [f"{different} of {conversions} files differ"] if different else []
    problems += [f"{leftovers} files are left over"] if leftovers else []
    cells = {
        "kills survived": f"{survived:,}",
        "bytes compared": f"{compared:,}",
        "differing": str(different),
    }
    yield Row(f"{conversions} conversions", cells, problems)
