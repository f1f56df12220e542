"""Looking into, checking and editing a real file of 253 MB with 262,144 tokens, against other tools.

``inspect`` against the ``gguf`` package's dump tool, ``edit`` against its metadata setter: whole processes.
``verify``, with and without checksums, against reading the same cached file and against SHA-256 alone:
the calls, in gigabytes per second. Contenders alternate, and medians are printed.

    python -m bench.workbench [--file MODEL.gguf] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

from .measure import Cost, measure, median_cost, table

_TOOL: Final = "from gguf_tools.cli import main; main()"
_DUMP: Final = "from gguf.scripts.gguf_dump import main; main()"
_SET: Final = "from gguf.scripts.gguf_set_metadata import main; main()"

_TIMED: Final = """
import sys, time
{prepare}
begun = time.perf_counter()
{call}
print(time.perf_counter() - begun)
"""

_CHECKS: Final = {
    "read": (
        "import os\nfd, buffer = os.open(sys.argv[1], os.O_RDONLY), bytearray(1 << 21)",
        "while os.readv(fd, [buffer]): pass",
    ),
    "SHA-256 (hashlib)": ("import hashlib", "hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"),
    "verify": ("from gguf_tools.analysis.verify import verify", "assert not verify(sys.argv[1])"),
    "verify --hash": (
        "from gguf_tools.analysis.verify import verify\nfrom gguf_tools.analysis.hashing import Hashing",
        "hashing = Hashing('sha256')\nassert not verify(sys.argv[1], hashing=hashing)\nhashing.result()",
    ),
    "verify --hash blake3": (
        "import blake3\nfrom gguf_tools.analysis.verify import verify\n"
        "from gguf_tools.analysis.hashing import Hashing",
        "hashing = Hashing('blake3')\nassert not verify(sys.argv[1], hashing=hashing)\nhashing.result()",
    ),
}
"""What is imported beforehand, and what is timed."""

_KEY: Final = "gemma3.context_length"


def run(file: Path, runs: int, key: str = _KEY) -> dict[str, Any]:
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
            "verify": _verify(file, runs),
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


def _verify(file: Path, runs: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in _CHECKS}
    for _ in range(runs):
        for name, (prepare, call) in _CHECKS.items():
            code = _TIMED.format(prepare=prepare, call=call)
            seconds[name].append(float(measure([sys.executable, "-c", code, str(file)])[1]))
    size = file.stat().st_size
    return {
        name: {"seconds": median(found), "bytes_per_second": size / median(found)}
        for name, found in seconds.items()
    }


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
    rows = [
        [name, f"{one['seconds'] * 1e3:.0f} ms", f"{one['bytes_per_second'] / 1e9:.2f} GB/s"]
        for name, one in found["verify"].items()
    ]
    parts.append(table(["checking", "call", "rate"], rows))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workbench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--file", type=Path, help="default: Gemma-3-270M, downloaded once")
    parser.add_argument("--key", default=_KEY, help="an integer key of that file, to be edited")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    file = options.file
    if file is None:
        from tests.oracles import gemma3

        file = gemma3()
    found = run(file, options.runs, options.key)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
