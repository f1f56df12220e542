"""Record what llama.cpp's ``convert_lora_to_gguf.py`` of b11434 makes of adapters for tiny checkpoints.

    .venv-parity/bin/python -m tests.goldens.record_lora

``fixtures/lora.json`` holds, for each case of `tests.adapters` and each type of factors ("llama f16"), all
keys, type, shape and SHA-256 of each tensor, and SHA-256 of the file.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests import tiny
from tests.adapters import CASES
from tests.goldens.describe import describe
from tests.goldens.lora_converter import LoraJob, convert_lora

GOLDEN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "lora.json"


def described(path: Path) -> dict[str, Any]:
    """A GGUF file as the golden has it."""
    found = describe(path)
    tensors = {name: [t.type, list(t.shape), t.sha256] for name, t in found.tensors.items()}
    return {"sha256": found.sha256, "metadata": found.metadata, "tensors": tensors}


def record(scratch: Path) -> str:
    """The golden as text, a line for each file."""
    jobs: dict[tuple[str, str], LoraJob] = {}
    for name, case in CASES.items():
        base = tiny.build(case.model, scratch)
        adapter = case.build(base, scratch / f"{name}-lora")
        for kind in case.kinds:
            jobs[name, kind] = LoraJob(adapter, base, scratch / f"{name}-{kind}.gguf", kind)
    for (name, kind), failure in zip(jobs, convert_lora(list(jobs.values())), strict=True):
        if failure is not None:
            raise SystemExit(f"{name} {kind}: {failure}")
    lines = [
        f"{json.dumps(f'{name} {kind}')}: {json.dumps(described(job.target), ensure_ascii=False)}"
        for (name, kind), job in jobs.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(record(Path(folder)), encoding="utf-8")
