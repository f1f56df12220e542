"""Files and checkpoints by chance, counted: ``python -m tests.fuzz.by_chance differential|checkpoints``.

    python -m tests.fuzz.by_chance differential --seed 1 --count 1000000
    python -m tests.fuzz.by_chance checkpoints --seed 1 --seconds 600 [--model llama ...]

Without coverage and atheris, and always the same for a seed. Prints how many had which outcome; findings
are kept in ``fuzz-findings``, and the exit code is 1 where there are any.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.checkpoints import NAMES, Checkpoints
from tests.fuzz.differential import compare
from tests.fuzz.gguf_structure import files
from tests.references.ggml_gguf import CReader

FINDINGS = Path("fuzz-findings")
LONGEST = 20
"""Seconds after which a checkpoint counts as hanging; the slowest honest one takes less than one."""

MOST_MEMORY = 4 << 30
"""Bytes of addresses; numba and the threads of numpy have some of them from the start."""

Outcomes = Iterator[tuple[bytes, Callable[[], str]]]
"""Inputs, each with what is to be done with it; that gives the outcome's name."""


class HangingError(Exception):
    """An input takes too long."""


def differential(seed: str, folder: Path) -> Outcomes:
    """GGUF files read by ggml and by us."""
    path = folder / "both.gguf"
    with CReader() as reader:
        for data in files(seed):
            yield data, lambda data=data: compare(path, data, reader)


def checkpoints(seed: str, folder: Path, models: list[str]) -> Outcomes:
    """Checkpoints with edited files."""
    made = Checkpoints(folder)
    for case in made.cases(seed, models or NAMES):
        yield case.to_bytes(), lambda case=case: made.run(case)


def tally(outcomes: Outcomes, seconds: float | None, name: str) -> tuple[Counter[str], Counter[str]]:
    """Counts of outcomes and of findings, by kind; an example of each kind is kept."""
    counts: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    until = None if seconds is None else time.monotonic() + seconds
    for number, (data, run) in enumerate(outcomes):
        if until is not None and time.monotonic() > until:
            break
        try:
            with _limited():
                counts[run()] += 1
        except Exception as error:
            kind = _kind(error)
            findings[kind] += 1
            if findings[kind] == 1:
                FINDINGS.mkdir(exist_ok=True)
                place = FINDINGS / f"{name}-{len(findings)}"
                place.write_bytes(data)
                print(f"{place}: number {number}: {kind}\n  {data[:600]!r}\n  {error!r:.600}", flush=True)
    return counts, findings


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise HangingError(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _kind(error: Exception) -> str:
    """An error's class and the last place of the package it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "gguf_tools" in Path(frame.filename).parts] or list(frames)
    place = f"{Path(inside[-1].filename).name}:{inside[-1].lineno} in {inside[-1].name}"
    said = f": {str(error)[:60]}" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} at {place}{said}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.by_chance", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("target", choices=["differential", "checkpoints"])
    parser.add_argument("--seed", default="0")
    parser.add_argument("--count", type=int, help="inputs (default: as many as the time allows)")
    parser.add_argument("--seconds", type=float, help="of time (default 60 where no count is given)")
    parser.add_argument("--model", action="append", default=[], choices=NAMES, help="only this checkpoint")
    options = parser.parse_args()
    if options.count is None and options.seconds is None:
        options.seconds = 60
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        outcomes = (
            differential(options.seed, Path(folder))
            if options.target == "differential"
            else checkpoints(options.seed, Path(folder), options.model)
        )
        counts, findings = tally(
            itertools.islice(outcomes, options.count), options.seconds, f"{options.target}-{options.seed}"
        )
    for title, found in (("outcomes", counts), ("findings", findings)):
        print(f"{title}: {sum(found.values())}")
        for name, count in found.most_common():
            print(f"  {count:8}  {name}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
