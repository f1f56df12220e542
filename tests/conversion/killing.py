"""Runs that are killed at random moments and continued."""

from __future__ import annotations

import random as chance
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gguf_tools.container.metadata import Metadata
from gguf_tools.container.writer import TensorInfo, header_bytes
from gguf_tools.conversion.plan import Plan, PlannedFile, PlannedTensor
from gguf_tools.errors import GGUFToolsError
from gguf_tools.source import ArraySource
from gguf_tools.spec import GGMLType

ROOT = Path(__file__).resolve().parents[2]


ROWS, LENGTH = 400, 256
CHUNK = 10 * LENGTH


MOST_RUNS = 50


class Counted(ArraySource):
    """Rows that are counted, and fail from a certain one on."""

    def __init__(self, seed: int, fails_at: int = ROWS) -> None:
        super().__init__(np.random.default_rng(seed).standard_normal((ROWS, LENGTH), np.float32))
        self.read = 0
        self.fails_at = fails_at

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        if stop > self.fails_at:
            raise GGUFToolsError("broken")
        self.read += stop - start
        return super().rows(start, stop)


def single(*sources: ArraySource) -> Plan:
    infos = [TensorInfo(f"blk.{i}.ffn_up.weight", (ROWS, LENGTH), GGMLType.Q8_0) for i in range(len(sources))]
    layout = header_bytes(Metadata(), infos)
    tensors = tuple(
        PlannedTensor(info.name, info.shape, GGMLType.Q8_0, source, offset, size, GGMLType.Q8_0)
        for info, source, offset, size in zip(infos, sources, layout.offsets, layout.sizes, strict=True)
    )
    file = PlannedFile("", layout.header, tensors, layout.total_size)
    return Plan("gguf", "test", "llama", "Q8_0", (file,))


SLOW = """
import sys, time
import numpy as np
import gguf_tools
from gguf_tools.conversion import engine, journal
from tests.conversion.killing import CHUNK, LENGTH, Counted, single
journal.SYNC_SECONDS = 0.01

class Slow(Counted):
    def rows(self, start, stop):
        time.sleep(0.002)
        return super().rows(start, stop)

gguf_tools.quantize(np.ones((1, LENGTH), np.float32), "Q8_0")  # loads the kernel
print("working", flush=True)
run = engine.RunOptions(resume=True, threads=2)
engine.execute(single(Slow(1), Slow(2)), sys.argv[1], run, chunk_elements=CHUNK)
"""


def killed_runs(target: Path, seed: int) -> Iterator[int]:
    """Run until it comes to its end, killing it at random moments; gives how much was done each time."""
    dice = chance.Random(seed)
    for _ in range(MOST_RUNS):
        command = [sys.executable, "-c", textwrap.dedent(SLOW), str(target)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(dice.uniform(0.01, 0.12))
            child.send_signal(signal.SIGKILL)
        path = target.with_name(f".{target.name}.journal")
        if child.returncode == 0 or (target.exists() and not path.exists()):  # killed when all was done
            return
        yield path.stat().st_size if path.exists() else 0
    raise AssertionError("no end in sight")
