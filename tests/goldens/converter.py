"""Run llama.cpp's own converter, ``convert_hf_to_gguf.py`` of b11434, on checkpoints.

It runs in a process of its own, because it brings its own copy of the ``gguf`` package.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.references import oracles


class Job(NamedTuple):
    """One conversion. ``outtype`` is the converter's word: f32, f16, bf16 or q8_0.

    The converter names a pre-tokenizer by a checksum of what it makes of one string, which no invented
    vocabulary matches: ``pre`` is what it is told instead; None leaves it to the converter. ``options`` go to
    the command line.
    """

    checkpoint: Path
    target: Path
    outtype: str
    pre: str | None = None
    options: tuple[str, ...] = ()


def convert(jobs: Sequence[Job]) -> None:
    """Carry out ``jobs``.

    Raises:
        RuntimeError: the converter failed; with the last it said.
    """
    text = json.dumps([[str(job.checkpoint), str(job.target), *job[2:]] for job in jobs])
    command = [sys.executable, "-m", "tests.goldens.converter", str(oracles.llama_cpp())]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(command, input=text, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"convert_hf_to_gguf.py failed: {done.stderr.strip()[-2000:]}")


def _main() -> None:
    llama_cpp = sys.argv[1]
    sys.path[:0] = [f"{llama_cpp}/gguf-py", llama_cpp]
    import convert_hf_to_gguf
    from conversion.base import TextModel
    from conversion.rwkv import Rwkv6Model, Rwkv7Model

    logging.disable(logging.WARNING)
    recognise = TextModel.get_vocab_base_pre
    for checkpoint, target, outtype, pre, options in json.load(sys.stdin):
        told = (lambda name: lambda self, tokenizer: name)(pre)
        TextModel.get_vocab_base_pre = recognise if pre is None else told
        Rwkv6Model.lerp_weights, Rwkv7Model.lerp_weights = {}, {}  # or the last checkpoint's count too
        sys.argv = ["convert_hf_to_gguf.py", checkpoint, "--outfile", target, "--outtype", outtype, *options]
        convert_hf_to_gguf.main()


if __name__ == "__main__":
    _main()
