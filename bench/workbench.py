"""Looking into, checking and editing a real file of 253 MB with 262,144 tokens, against other tools.

``inspect`` against the ``gguf`` package's dump tool, ``edit`` against its metadata setter: whole processes.
``verify``, with and without checksums, against reading and against SHA-256 alone: the calls, in gigabytes
per second, of that file in the cache and of a larger one on the disk (see `bench.checking`). Contenders
alternate, and medians are printed.

    python -m bench.workbench [--file MODEL.gguf] [--runs N] [--on-disk GIGABYTES] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from . import checking
from .measure import Cost, measure, median_cost, table

_TOOL: Final = "from gguf_tools.cli import main; main()"
_DUMP: Final = "from gguf.scripts.gguf_dump import main; main()"
_SET: Final = "from gguf.scripts.gguf_set_metadata import main; main()"

_KEY: Final = "gemma3.context_length"


_ON_DISK: Final = 4.2
"""Gigabytes of the file that is not cached: enough that starting does not count."""


def run(file: Path, runs: int, key: str = _KEY, on_disk: float = _ON_DISK) -> dict[str, Any]:
    """Measure; returns medians: the cost of processes, and seconds and bytes per second of calls."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as folder:
        copy = Path(folder) / "copy.gguf"
        shutil.copy(file, copy)
        return {
            "file": file.name,
            "size": file.stat().st_size,
            "runs": runs,
            "inspect": _inspect(file, runs),
            "edit": _edit(copy, runs, key),
            "verify": checking.cached(file, runs),
            "on disk": checking.uncached(file, runs, int(on_disk * 1e9)) if on_disk else None,
        }


def _inspect(file: Path, runs: int) -> dict[str, Any]:
    contenders = {
        "gguf-tools inspect": [_TOOL, "inspect", str(file)],
        "gguf-tools inspect --metadata --tensors": [_TOOL, "inspect", str(file), "--metadata", "--tensors"],
        "gguf-dump": [_DUMP, str(file)],
    }
    return _alternating({name: lambda _, c=command: c for name, command in contenders.items()}, runs)


def _edit(copy: Path, runs: int, key: str) -> dict[str, Any]:
    """Every run sets another value, so that each has something to do."""
    return _alternating(
        {
            "gguf-tools edit": lambda i: [_TOOL, "edit", str(copy), "--set", f"{key}={1000 + i}"],
            "gguf-set-metadata": lambda i: [_SET, str(copy), key, str(2000 + i), "--force"],
        },
        runs,
    )


def _alternating(contenders: dict[str, Any], runs: int) -> dict[str, Any]:
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for i in range(-1, runs):  # the first of all pages files in and writes .pyc files
        for name, command in contenders.items():
            if i < 0 and name != next(iter(contenders)):
                continue
            cost, _ = measure([sys.executable, "-c", *command(i)])
            if i >= 0:
                costs[name].append(cost)
    return {name: median_cost(found).to_dict() for name, found in costs.items()}


def show(found: dict[str, Any]) -> str:
    """The figures as plain tables."""
    parts = [f"{found['file']}, {found['size'] / 1e6:.0f} MB (medians of {found['runs']} alternating runs)"]
    for part, theirs in (("inspect", "gguf-dump"), ("edit", "gguf-set-metadata")):
        rows = []
        for name, cost in found[part].items():
            ratio = found[part][theirs]["wall"] / cost["wall"]
            peak = f"{cost['peak'] / 1e6:.0f} MB"
            ending = "" if name == theirs else f"{ratio:.0f}×"
            rows.append([name, f"{cost['wall']:.2f} s", ending, f"{cost['cpu']:.2f} s", peak])
        parts.append(table([part, "process", "ratio", "CPU time", "peak memory"], rows))
    parts.append(checking.show(found["verify"], "checking, cached", on_disk=False))
    if large := found["on disk"]:
        title = f"checking {large['size'] / 1e9:.1f} GB on disk"
        parts.append(checking.show(large["calls"], title, on_disk=True))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workbench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--file", type=Path, help="default: Gemma-3-270M, downloaded once")
    parser.add_argument("--key", default=_KEY, help="an integer key of that file, to be edited")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--on-disk", type=float, default=_ON_DISK, metavar="GIGABYTES", help="as large a file; 0 for none"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    file = options.file
    if file is None:
        from tests.references.oracles import gemma3

        file = gemma3()
    found = run(file, options.runs, options.key, options.on_disk)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
