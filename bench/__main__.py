"""``make bench``: every comparison of this package with its references, one after the other.

    python -m bench [--runs N] [--json]

Each part also runs alone, with more options: ``python -m bench.quants``, ``bench.packed``, ``bench.open``,
``bench.workbench``, ``bench.plan``, ``bench.convert``, ``bench.memory``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

PARTS = ("quants", "packed", "open", "workbench", "plan", "convert", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, help="alternating runs of each contender")
    parser.add_argument("--json", action="store_true", help="one JSON object, a key for each part")
    options = parser.parse_args()
    passed = ["--json"] if options.json else []
    if options.runs:
        passed += ["--runs", str(options.runs)]
    results = {}
    for part in PARTS:
        # in a process of its own: a part's peak memory must not count towards the next
        command = [sys.executable, "-m", f"bench.{part}", *passed]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE if options.json else None)
        if done.returncode:
            return done.returncode
        if options.json:
            results[part] = json.loads(done.stdout)
        else:
            print(flush=True)
    if options.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
