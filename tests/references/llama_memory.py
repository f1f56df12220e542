"""What llama.cpp logs of its buffers when it loads a file, through the ``xllamacpp`` package.

It runs in a process of its own, because the log goes to stderr.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
LAST = "listening on http"
"""What the last line says that is logged of loading."""

FLASH = {True: "LLAMA_FLASH_ATTN_TYPE_ENABLED", False: "LLAMA_FLASH_ATTN_TYPE_DISABLED"}


class LlamaMemoryError(RuntimeError):
    """llama.cpp did not load a file."""


@dataclass(frozen=True)
class Case:
    """A file and how it is loaded; all of it on the processor."""

    path: str
    context: int
    ubatch: int = 512
    sequences: int = 1
    cache_type_k: str = "F16"
    cache_type_v: str = "F16"
    flash_attention: bool = True
    full_window: bool = False
    embedding: bool = False


@dataclass(frozen=True)
class Logged:
    """Sizes in MiB, with the digits that were printed."""

    weights: float
    kv_cache: float
    state: float
    compute: float
    output: float
    cells: tuple[int, ...]
    outputs: int

    @property
    def total(self) -> float:
        return self.weights + self.kv_cache + self.state + self.compute + self.output


def load(case: Case) -> Logged:
    """Load a file and read what was logged.

    Raises:
        LlamaMemoryError: llama.cpp does not load it.
    """
    log = _log(case)
    if "compute buffer size" not in log:  # once it has that, it may still fail to serve the model
        raise LlamaMemoryError(f"llama.cpp does not load {case}: {log[-600:]}")
    return _parsed(log)


def _log(case: Case) -> str:
    """What a process that loads the file logs, up to its last line of it.

    The log is written by a thread of its own, behind what it tells of. So the process is ended once the last
    line was read, and not when it has loaded the file.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.references.llama_memory", json.dumps(asdict(case))],
        cwd=ROOT,
        env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    late = Timer(SECONDS, child.kill)
    late.start()
    lines = []
    with child:
        assert child.stderr
        for line in child.stderr:
            lines.append(line)
            if LAST in line:
                break
        child.kill()
    late.cancel()
    return "".join(lines)


def _parsed(log: str) -> Logged:
    def sizes(pattern: str) -> float:
        return sum(map(float, re.findall(pattern + r"\s*=\s*([\d.]+) MiB", log)))

    (outputs,) = re.findall(r"n_outputs_max\s+= (\d+)", log)
    return Logged(
        weights=sizes("CPU(?:_Mapped)? model buffer size"),
        kv_cache=sizes("llama_kv_cache: size"),
        state=sizes("llama_memory_recurrent: size"),
        compute=sizes("compute buffer size"),
        output=sizes("output buffer size"),
        cells=tuple(map(int, re.findall(r"llama_kv_cache: size =.*\(\s*(\d+) cells", log))),
        outputs=int(outputs),
    )


def _main() -> None:
    import xllamacpp

    server = xllamacpp.Server(_parameters(xllamacpp, json.loads(sys.argv[1])))
    assert server.listening_address
    signal.pause()  # until the log was read


def _parameters(xllamacpp: Any, case: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = case["path"]
    params.n_ctx, params.n_ubatch, params.n_batch = case["context"], case["ubatch"], 2048
    params.n_parallel = case["sequences"]
    params.kv_unified = False
    params.swa_full = case["full_window"]
    params.embedding = case["embedding"]
    params.cache_type_k = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{case['cache_type_k']}")
    params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{case['cache_type_v']}")
    params.flash_attn_type = getattr(xllamacpp.llama_flash_attn_type, FLASH[case["flash_attention"]])
    params.n_gpu_layers = 0
    params.no_extra_bufts = True  # no second copy of some weights, in an order the processor likes
    params.fit_params = False
    params.warmup = False
    params.verbosity = 4
    return params


if __name__ == "__main__":
    _main()
