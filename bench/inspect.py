"""Looking into a file with a vocabulary of 262,144 tokens: ``gguf-tools inspect`` against ``gguf-dump``.

Whole processes, from the start of the interpreter to its end, output into a file; the commands alternate, and
medians are printed.

    python -m bench.inspect [--file MODEL.gguf] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .measure import Cost, measure, median_cost, table

_TOOLS = Path(sys.executable).parent

_CONTENDERS = {
    "gguf-tools inspect": ("gguf-tools", "inspect"),
    "gguf-tools inspect --tensors --metadata": ("gguf-tools", "inspect", "--tensors", "--metadata"),
    "gguf-dump": ("gguf-dump",),
}


def run(file: Path, runs: int) -> dict[str, Any]:
    """Measure; returns the medians of each command, and what the last took over what the first did."""
    commands = {
        name: [str(_TOOLS / tool), *options, str(file)] for name, (tool, *options) in _CONTENDERS.items()
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    measure(commands["gguf-tools inspect"])  # pages in the header, writes .pyc files
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(measure(command)[0])
    results = {name: median_cost(each).to_dict() for name, each in costs.items()}
    ours, theirs = results["gguf-tools inspect"], results["gguf-dump"]
    ratios = {figure: theirs[figure] / ours[figure] for figure in ours}
    return {"file": file.name, "runs": runs, "results": results, "ratios": ratios}


def show(found: dict[str, Any]) -> str:
    """The figures as a plain table."""
    rows = [
        [name, f"{one['wall']:.2f} s", f"{one['cpu']:.2f} s", f"{one['peak'] / 1e6:.0f} MB"]
        for name, one in found["results"].items()
    ]
    ratios = found["ratios"]
    rows.append(["ratio", *(f"{ratios[figure]:.1f}×" for figure in ("wall", "cpu", "peak"))])
    title = f"Looking into {found['file']} (medians of {found['runs']} alternating runs, whole processes)"
    return f"{title}\n\n{table(['', 'wall', 'CPU', 'peak memory'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.inspect", description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, help="default: Gemma-3-270M, downloaded once")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    file = options.file
    if file is None:
        from tests.oracles import gemma3

        file = gemma3()
    found = run(file, options.runs)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
