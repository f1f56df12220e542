"""A case in a process of its own: what came of it, how long it took, and how much memory it needed."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.case import Case, judge

__all__ = ["LONGEST", "MOST_MEMORY", "Measured", "measure"]

LONGEST = 0.1
"""Seconds that dealing with a hostile file may take."""

MOST_MEMORY = 50_000_000
"""Bytes that it may add to the process."""

HANGS_AFTER = 10.0
"""Seconds after which a process is ended."""

SAMPLED_EVERY = 0.001
"""Seconds between two looks at a process's memory."""

ADDRESS_SPACE = 1 << 30
"""Bytes a process may map or reserve beyond what it has: allocating what a file claims fails here."""


@dataclass(frozen=True)
class Measured:
    """``problem`` is None where all is as it should be; ``seconds`` of the best of up to three runs."""

    name: str
    problem: str | None
    seconds: float
    growth: int
    hung: bool = False
    honest: str = ""

    @property
    def slow(self) -> bool:
        return self.seconds > LONGEST

    @property
    def large(self) -> bool:
        return self.growth > MOST_MEMORY


def measure(case: Case) -> Measured:
    """Take a case; one that seems slow is taken twice more, as other processes may have been in its way."""
    runs: list[Measured] = []
    while len(runs) < 3 and (not runs or (runs[-1].slow and not case.honest and not runs[-1].hung)):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(_once(case, case.make(Path(folder))))
    return min(runs, key=lambda run: run.seconds)


def _once(case: Case, path: Path) -> Measured:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forks beside threads, of which there are none
        child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, pickle.dumps(_in_child(case, path)))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        peak = 0
        deadline = time.monotonic() + HANGS_AFTER
        while not select.select([reading], [], [], SAMPLED_EVERY)[0]:
            peak = max(peak, _anonymous(child))
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                return Measured(case.name, "hangs", HANGS_AFTER, 0, hung=True)
        data = os.read(reading, 1 << 16)
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    if not data:
        return Measured(case.name, f"the process ended with status {status}", 0.0, 0)
    problem, seconds, before, growth = pickle.loads(data)
    # The process's own peak counts file pages too, and what is reclaimed of those hides what is allocated.
    growth = max(growth, peak - before)
    return Measured(case.name, problem, seconds, growth, honest=case.honest)


def _anonymous(process: int) -> int:
    """Bytes of memory of a process that belong to no file; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def _in_child(case: Case, path: Path) -> tuple[str | None, float, int, int]:
    """What was wrong, seconds, bytes of anonymous memory before, and by how much the peak grew."""
    anonymous = _anonymous(os.getpid())
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    problem = judge(case, path)
    seconds = time.perf_counter() - start
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return problem and problem[:2000], seconds, anonymous, growth
