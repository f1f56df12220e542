"""Conversions that must end with the same bytes: whatever the threads and chunks, however often killed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gguf_tools.conversion import engine
from tests.conversion.test_engine import plan_of, some_tensors
from tests.conversion.test_resume import Counted, killed_runs, single
from tests.torture.report import Row

__all__ = ["determinism", "kills"]

RECIPES = ("F16", "Q8_0", "Q4_0", "Q4_K_M", "Q6_K", "Q3_K_M", "IQ4_XS", "MXFP4_MOE")
THREADS = (1, 2, 3, 8)
CHUNKS = (256, 1000, 1 << 14, 1 << 30)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def determinism(recipes: tuple[str, ...] = RECIPES) -> Iterator[Row]:
    """Per recipe: how many different files all thread counts and chunk sizes made."""
    for recipe in recipes:
        digests = set()
        with tempfile.TemporaryDirectory() as folder:
            for threads in THREADS:
                for elements in CHUNKS:
                    path = Path(folder) / f"{threads}-{elements}.gguf"
                    engine.execute(
                        plan_of(some_tensors(), recipe), path, threads=threads, chunk_elements=elements
                    )
                    digests.add(_digest(path))
        yield Row(
            recipe,
            {"runs": str(len(THREADS) * len(CHUNKS)), "different files": str(len(digests))},
            [] if len(digests) == 1 else [f"{recipe}: {len(digests)} different files"],
        )


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
