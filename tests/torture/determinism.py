"""All outputs against the bytes recorded: any threads, chunks and interruptions, and other processes.

``tests/conversion/test_determinism.py`` has a part of this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from gguf_tools.conversion import engine
from tests.goldens.outputs import CHUNKS, EDITS, JOBS, THREADS, Job, digests, inputs, interrupted
from tests.goldens.record_outputs import load
from tests.torture.report import Row

__all__ = ["WAYS", "grouped", "rows"]

ROOT = Path(__file__).resolve().parents[2]

WAYS: Final = tuple(product(THREADS, CHUNKS))
"""Threads and values per chunk."""

_INTERRUPTED_AFTER = 11


def rows() -> Iterator[Row]:
    """Lines for jobs by kind, then for processes."""
    yield from grouped(JOBS)
    with tempfile.TemporaryDirectory() as cache:
        for title, settings in _processes(cache).items():
            yield _process(title, settings)


def grouped(jobs: Mapping[str, Job]) -> Iterator[Row]:
    """A line for all jobs whose names begin with the same word."""
    golden = load()
    with tempfile.TemporaryDirectory() as folder, inputs(Path(folder)):
        kinds: dict[str, list[str]] = {}
        for name in jobs:
            kinds.setdefault(name.split()[0].rstrip(","), []).append(name)
        for kind, names in kinds.items():
            tried, problems = 0, []
            for name in names:
                for way, found in _made(jobs[name]):
                    tried += 1
                    if found != golden[name]:
                        problems.append(f"{name}, {way}: other bytes than recorded")
            yield _row(f"{kind}: {len(names)} outputs", tried, problems)


def _made(job: Job) -> Iterator[tuple[str, dict[str, str]]]:
    """How the job was done, and the digests of what it made."""
    for threads, elements in WAYS:
        with tempfile.TemporaryDirectory(dir=".") as out:
            target = Path(out) / job.target
            engine.execute(job.plan(), target, engine.RunOptions(threads=threads), chunk_elements=elements)
            yield f"{threads} threads, chunks of {elements}", digests(Path(out))
    with tempfile.TemporaryDirectory(dir=".") as out:
        interrupted(job, Path(out) / job.target, _INTERRUPTED_AFTER)
        yield "interrupted and resumed", digests(Path(out))


def _processes(cache: str) -> dict[str, dict[str, str]]:
    """Environments of other processes. The last has kernels, numpy and BLAS for the oldest processor."""
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    newer = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    return {
        "another hash seed": {"PYTHONHASHSEED": "4242"},
        "another language and time": {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Kathmandu"},
        "another processor": {
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "NUMBA_CACHE_DIR": cache,
            "NPY_DISABLE_CPU_FEATURES": " ".join(newer),
            "OPENBLAS_CORETYPE": "Prescott",
        },
    }


def _process(title: str, settings: dict[str, str]) -> Row:
    golden = load()
    names = [*JOBS, *EDITS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.goldens.record_outputs", "--print", *names],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return _row(title, 0, [f"{title}: {done.stderr.strip()[-500:]}"])
    found = json.loads(done.stdout)
    wrong = [name for name in names if found[name] != golden[name]]
    return _row(title, len(names), [f"{title}, {name}: other bytes than recorded" for name in wrong])


def _row(title: str, tried: int, problems: list[str]) -> Row:
    return Row(title, {"runs": str(tried), "other bytes": str(len(problems))}, problems)
