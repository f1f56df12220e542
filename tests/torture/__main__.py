"""``make torture``: what the package withstands, as tables; the exit code tells whether it withstood all.

python -m tests.torture [--part files|blocks|bounds|determinism|kills|faults|scale] [--kills N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.torture import blocks, bounds, determinism, faults, files, runs, scale
from tests.torture.report import show


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=(__doc__ or "").partition("\n")[0]
    )
    choices = ["files", "blocks", "bounds", "determinism", "kills", "faults", "scale"]
    parser.add_argument("--part", choices=choices, help="only this one")
    parser.add_argument("--kills", type=int, default=25, help="conversions to kill again and again")
    options = parser.parse_args()
    # Files first: their processes are forked, and must not inherit the threads of a conversion.
    parts: dict[str, Callable[[], list[str]]] = {
        "files": lambda: show("Hostile files", files.rows()),
        "blocks": lambda: show("Arbitrary blocks, decoded as ggml does", blocks.rows()),
        "bounds": lambda: show("Every index of every kernel checked", bounds.rows()),
        "determinism": lambda: show("Bytes against those recorded", determinism.rows()),
        "kills": lambda: show("kill -9 at random moments", runs.kills(options.kills)),
        "faults": lambda: show("Every call on the disk fails in turn", faults.rows()),
        "scale": lambda: [
            *show("Memory within 1 GiB of addresses", scale.memory()),
            *show("Many tensors and files, 64 descriptors", scale.many()),
            *show("Many tensors of experts", scale.experts()),
            *show("Long names", scale.names()),
            *show("One large tensor", scale.giant()),
            *show("DeepSeek-V3, planned", scale.planned()),
        ],
    }
    wanted = [options.part] if options.part else list(parts)
    problems = [problem for part in wanted for problem in parts[part]()]
    print(f"\n{len(problems)} problems" if problems else "\nwithstood all of it")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
