"""Run llama.cpp's own ``convert_lora_to_gguf.py`` of b11434, in a process of its own."""

from __future__ import annotations

import json
import logging
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.references import oracles


class LoraJob(NamedTuple):
    """One conversion of an adapter for a base checkpoint; ``outtype`` is the converter's word."""

    adapter: Path
    base: Path
    target: Path
    outtype: str


def convert_lora(jobs: Sequence[LoraJob]) -> list[str | None]:
    """Carry out ``jobs``; for each, why it failed, or None."""
    text = json.dumps([[str(part) for part in job] for job in jobs])
    command = [sys.executable, "-m", "tests.goldens.lora_converter", str(oracles.llama_cpp())]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(command, input=text, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"convert_lora_to_gguf.py failed: {done.stderr.strip()[-2000:]}")
    failures: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return failures


def _main() -> None:
    llama_cpp = sys.argv[1]
    sys.path[:0] = [f"{llama_cpp}/gguf-py", llama_cpp]
    logging.disable(logging.CRITICAL)
    failures: list[str | None] = []
    for adapter, base, target, outtype in json.load(sys.stdin):
        script = f"{llama_cpp}/convert_lora_to_gguf.py"
        sys.argv = [script, adapter, "--base", base, "--outfile", target, "--outtype", outtype]
        try:
            runpy.run_path(script, run_name="__main__")
        except (Exception, SystemExit) as error:
            failures.append(f"{type(error).__name__}: {error}")
        else:
            failures.append(None)
    print(json.dumps(failures), flush=True)


if __name__ == "__main__":
    _main()
