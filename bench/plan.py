"""Planning a conversion of DeepSeek-V3: 671 B parameters in FP8, 91,991 tensors with scales, 163 files.

The files have the real headers and sizes and no contents (they are sparse), which is all that ``--dry-run``
looks at. Each run is a process of its own; medians are printed.

    python -m bench.plan [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .measure import measure, median_cost

_CONVERT: Final = "from gguf_tools.cli import main; main()"
_BUILD: Final = """
import sys
from pathlib import Path
from tests import deepseek
deepseek.build(Path(sys.argv[1]), deepseek.V3, deepseek.V3_SHARDS, sparse=True)
"""


def run(runs: int) -> dict[str, Any]:
    """Measure; returns the median cost, and what was planned."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as folder:
        checkpoint = str(Path(folder) / "DeepSeek-V3")
        measure([sys.executable, "-c", _BUILD, checkpoint])
        command = [sys.executable, "-c", _CONVERT, "convert", checkpoint, str(Path(folder) / "out.gguf")]
        done = [measure([*command, "--type", "Q4_K_M", "--dry-run", "--json"]) for _ in range(runs)]
    plan = json.loads(done[0][1])
    return {
        "runs": runs,
        "cost": median_cost([cost for cost, _ in done]).to_dict(),
        "parameters": plan["parameters"],
        "tensors": sum(len(file["tensors"]) for file in plan["files"]),
        "size": plan["size"],
    }


def show(found: dict[str, Any]) -> str:
    """The figures in words."""
    cost = found["cost"]
    return (
        f"Planning DeepSeek-V3 to Q4_K_M ({found['parameters'] / 1e9:.0f} B parameters, {found['tensors']:,} "
        f"tensors, {found['size']:,} bytes): {cost['wall']:.1f} s, {cost['peak'] / 1e6:.0f} MB"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.plan", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = run(options.runs)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
