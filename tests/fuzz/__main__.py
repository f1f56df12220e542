"""``make fuzz``: coverage-guided fuzzing of every target, for some seconds each.

    python -m tests.fuzz [TARGET ...] [--seconds N]

A finding ends a target's run: its input is kept in ``fuzz-findings`` under the name of the target, and the
exit code is 1. What it teaches belongs into `tests.hostile`, or ``tests/fuzz/corpus`` where it is only bytes.
`tests.fuzz.by_chance` does without coverage, and counts what became of every input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FINDINGS = Path("fuzz-findings")
LONGEST_INPUT = 65_536
LONGEST_RUN = 10
"""Seconds that a single input may take before it counts as hanging."""

MOST_MEGABYTES = 2048


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="default: all of them")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    options = parser.parse_args()
    FINDINGS.mkdir(exist_ok=True)
    failed = []
    for target in options.targets or TARGETS:
        print(f"{target}: {options.seconds} s", flush=True)
        with tempfile.TemporaryDirectory() as corpus:
            for number, data in enumerate(seeds(target)):
                (Path(corpus) / f"seed-{number:04}").write_bytes(data)
            if subprocess.run(_command(target, corpus, options.seconds)).returncode:
                failed.append(target)
    print(f"findings in {FINDINGS}: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0


def _command(target: str, corpus: str, seconds: int) -> list[str]:
    """A process of its own: libFuzzer ends the one it runs in."""
    return [
        *(sys.executable, "-m", "tests.fuzz.guided", target, corpus),
        *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={LONGEST_RUN}"),
        *(
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-artifact_prefix={FINDINGS}/{target}-",
            "-print_final_stats=1",
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
