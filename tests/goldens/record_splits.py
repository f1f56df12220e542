"""Record what llama.cpp's ``llama-gguf-split`` makes of the demo model and of published ones, as checksums.

    python -m tests.goldens.record_splits path/to/llama-gguf-split

The tool is built from the sources `tests.references.oracles.llama_cpp` gives (``cmake --build … --target
llama-gguf-split``). Recorded are, for a few ways to split, the SHA-256 of every file, and of what the tool
merges them to, which is what it merges our own files to. Tests only read the result.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import gguf_tools
from gguf_tools.editing.splitting import split
from tests.references import oracles

ROOT: Final = Path(__file__).resolve().parents[2]
GOLDEN: Final = ROOT / "fixtures" / "splits.json"
DEMO: Final = ROOT / "fixtures" / "demo"

CASES: Final[dict[str, dict[str, Any]]] = {
    "tensors-7": {"theirs": ["--split-max-tensors", "7"], "ours": {"max_tensors": 7}},
    "tensors-1": {"theirs": ["--split-max-tensors", "1"], "ours": {"max_tensors": 1}},
    "tensors-all": {"theirs": ["--split-max-tensors", "128"], "ours": {"max_tensors": 128}},
    "size-2M": {"theirs": ["--split-max-size", "2M"], "ours": {"max_size": 2_000_000}},
    "empty-first": {
        "theirs": ["--split-max-tensors", "9", "--no-tensor-first-split"],
        "ours": {"max_tensors": 9, "empty_first": True},
    },
}
"""By name: the tool's options, and the same for `gguf_tools.editing.splitting.split`."""

REAL: Final[dict[str, dict[str, Any]]] = {
    "gemma3": {
        "source": oracles.gemma3,
        "theirs": ["--split-max-size", "100M"],
        "ours": {"max_size": 100_000_000},
    },
    "smollm2": {
        "source": oracles.smollm2,
        "theirs": ["--split-max-tensors", "100"],
        "ours": {"max_tensors": 100},
    },
}
"""The same for published models."""


def source(folder: Path) -> Path:
    """The model that is split."""
    path = folder / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="F32")
    return path


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load() -> dict[str, Any]:
    """The recorded golden."""
    golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return golden


def record(tool: str) -> dict[str, Any]:
    """Run the tool on all cases."""
    with tempfile.TemporaryDirectory() as scratch:
        model = source(Path(scratch))
        golden: dict[str, Any] = {"source": checksum(model), "cases": {}, "real": {}}
        for name, case in CASES.items():
            golden["cases"][name] = _record(tool, model, case, Path(scratch) / name)
        for name, case in REAL.items():
            golden["real"][name] = _record(tool, case["source"](), case, Path(scratch) / name)
    return golden


def _record(tool: str, model: Path, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    folder.mkdir()
    subprocess.run([tool, "--split", *case["theirs"], model, folder / "m"], check=True, capture_output=True)
    files = sorted(folder.iterdir())
    merged = _merged(tool, files[0], folder / "merged.gguf")
    (folder / "ours").mkdir()
    first, *_ = split(model, folder / "ours" / "m", **case["ours"])
    if _merged(tool, first.path, folder / "ours.gguf") != merged:
        raise RuntimeError(f"{tool} merges our files to something else")
    return {"files": {file.name: checksum(file) for file in files}, "merged": merged}


def _merged(tool: str, first: Path, target: Path) -> str:
    subprocess.run([tool, "--merge", first, target], check=True, capture_output=True)
    return checksum(target)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(record(sys.argv[1]), indent=1) + "\n", encoding="utf-8")
