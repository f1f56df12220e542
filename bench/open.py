"""Opening a file with a vocabulary of 262,144 tokens: this package against ``gguf.GGUFReader``.

Each opening runs in a fresh process; the two alternate, and medians are printed. "Process" is everything
from the start of the interpreter to its end, "open" the call alone, without imports.

    python -m bench.open [--file MODEL.gguf] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from .measure import Cost, measure, median_cost, table

_TAIL = """
import json
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"import": imported - begun, "open": opened - imported, "peak": int(peak) * 1024}))
"""

_OURS = """
import sys, time
begun = time.perf_counter()
import gguf_tools
open_file = gguf_tools.open
imported = time.perf_counter()
file = open_file(sys.argv[1])
assert len(file.tensors) and len(file.metadata["tokenizer.ggml.tokens"])
opened = time.perf_counter()
"""

_OURS_ALL = _OURS.replace("opened =", 'tokens = list(file.metadata["tokenizer.ggml.tokens"])\nopened =')

_THEIRS = """
import sys, time
begun = time.perf_counter()
import gguf
imported = time.perf_counter()
file = gguf.GGUFReader(sys.argv[1])
assert len(file.tensors) and len(file.fields["tokenizer.ggml.tokens"].data)
opened = time.perf_counter()
"""

_CONTENDERS = {
    "gguf_tools.open": _OURS,
    "gguf_tools.open, then all tokens as str": _OURS_ALL,
    "gguf.GGUFReader": _THEIRS,
}


def run(file: Path, runs: int) -> dict[str, Any]:
    """Measure; returns per contender the medians (seconds, bytes) and the ratios to the first."""
    costs: dict[str, list[Cost]] = {name: [] for name in _CONTENDERS}
    inside: dict[str, list[dict[str, float]]] = {name: [] for name in _CONTENDERS}
    measure([sys.executable, "-c", _OURS + _TAIL, str(file)])  # pages in the header, writes .pyc files
    for _ in range(runs):
        for name, code in _CONTENDERS.items():
            cost, said = measure([sys.executable, "-c", code + _TAIL, str(file)])
            costs[name].append(cost)
            inside[name].append(json.loads(said))
    results = {}
    for name in _CONTENDERS:
        cost = median_cost(costs[name])
        results[name] = {
            "process": cost.wall,
            "import": median(one["import"] for one in inside[name]),
            "open": median(one["open"] for one in inside[name]),
            "peak": int(median(one["peak"] for one in inside[name])),
        }
    ours, theirs = results["gguf_tools.open"], results["gguf.GGUFReader"]
    ratios = {figure: theirs[figure] / ours[figure] for figure in ours}
    return {"file": file.name, "runs": runs, "results": results, "ratios": ratios}


def show(found: dict[str, Any]) -> str:
    """The figures as a plain table."""
    rows = [
        [
            name,
            f"{one['process']:.2f} s",
            f"{one['import']:.3f} s",
            f"{one['open']:.3f} s",
            f"{one['peak'] / 1e6:.0f} MB",
        ]
        for name, one in found["results"].items()
    ]
    ratios = found["ratios"]
    rows.append(["ratio", *(f"{ratios[figure]:.1f}×" for figure in ("process", "import", "open", "peak"))])
    title = f"Opening {found['file']} (medians of {found['runs']} alternating runs in fresh processes)"
    return f"{title}\n\n{table(['', 'process', 'import', 'open', 'peak memory'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.open", description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, help="default: Gemma-3-270M, downloaded once")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    file = options.file
    if file is None:
        from tests.references.oracles import gemma3

        file = gemma3()
    found = run(file, options.runs)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
