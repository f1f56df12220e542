"""Size: models of many gigabytes, tensors, files and bytes in one tensor, each in a process with limits.

The limits are the kernel's and apply from a process's first instruction: addresses (``RLIMIT_AS``, in which
every mapping counts) and descriptors (``RLIMIT_NOFILE``). The peak is ``VmHWM``, which unlike ``ru_maxrss``
does not begin with that of the process that started it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.spec import MAX_NAME_BYTES, ValueType
from tests import deepseek
from tests.torture.models import Shape, build
from tests.torture.report import Row

__all__ = ["experts", "giant", "limited", "many", "memory", "names", "planned"]

ADDRESSES = 1 << 30
"""Bytes of address space for all that a conversion is: interpreter, numpy, numba, threads, buffers."""

DESCRIPTORS = 64

LAYER = Shape(1).nbytes - Shape(0).nbytes

SIZES = (0.1e9, 1e9, 5e9, 20.2e9)
"""Bytes of the checkpoints that are converted; what is compared is memory."""

MOST_GROWTH = 32 << 20
"""Bytes by which the largest may need more than the smallest: headers and plans of more tensors."""

RUN = """
import atexit, json, resource, sys

@atexit.register
def peak():
    lines = open("/proc/self/status").read().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)

addresses, descriptors = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
sys.argv[1:2] = []
from gguf_tools.cli import main
main()
"""


@dataclass(frozen=True)
class Ran:
    """What a command took; ``problem`` is the end of what it said when it failed."""

    seconds: float
    peak: int
    problem: str | None


def limited(*arguments: str | Path, addresses: int = ADDRESSES, descriptors: int = DESCRIPTORS) -> Ran:
    """Run a command of ours under limits."""
    limits = json.dumps([addresses, descriptors])
    command = [sys.executable, "-c", RUN, limits, *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    _, _, peak = done.stderr.rpartition("VmHWM:")
    failure = f"exit status {done.returncode}: {done.stderr.strip()[-500:]}" if done.returncode else None
    return Ran(seconds, int(peak.split()[0]) * 1024 if peak else 0, failure)


def memory(sizes: tuple[float, ...] = SIZES, recipe: str = "Q4_K_M") -> Iterator[Row]:
    """Conversions of growing size: the peak must not grow with it."""
    shapes = [Shape(max(1, round(size / LAYER)), shards=max(1, round(size / 2e9))) for size in sizes]
    first = 0
    for shape in shapes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            needed = 1.5 * shape.nbytes
            if shutil.disk_usage(folder).free < needed:
                yield Row(f"{shape.nbytes / 1e9:.1f} GB", {}, [f"takes {needed / 1e9:.0f} GB of disk"])
                return
            source, target = build(folder / "model", shape), folder / "out.gguf"
            if not first:  # the kernels are compiled, which is another matter
                limited("convert", source, folder / "first.gguf", "--type", recipe)
            ran = limited("convert", source, target, "--type", recipe)
            problems = [ran.problem] if ran.problem else list(_spots(source, target))
            first = first or ran.peak
            if ran.peak > first + MOST_GROWTH:
                problems.append(f"needs {(ran.peak - first) / 1e6:.0f} MB more than the smallest")
            written = target.stat().st_size if target.exists() else 0
        cells = {
            "tensors": f"{len(list(shape.entries())):,}",
            "written": f"{written / 1e9:.2f} GB",
            "peak RSS": f"{ran.peak / 1e6:.0f} MB",
            "seconds": f"{ran.seconds:.0f}",
        }
        yield Row(f"{shape.nbytes / 1e9:.1f} GB to {recipe}", cells, problems)


def many(layers: int = 512, shards: int = 1000) -> Iterator[Row]:
    """Many files in and out and in again, with few descriptors. llama.cpp has at most 512 layers."""
    shape = Shape(layers, width=64, inner=64, heads=2, keys=1, shards=shards)
    size = sum(int(np.prod(shape)) for _, shape in shape.entries()) * 17 // 16 // shards
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = build(folder / "model", shape)
        one, parts, again = folder / "one.gguf", folder / "parts.gguf", folder / "again.gguf"
        options = ("--type", "Q8_0")
        ran = limited("convert", source, one, *options)
        yield _files(f"{shards:,} files into one", ran, 1, [])
        if ran.problem:
            return
        ran = limited("convert", source, parts, *options, "--split-max-size", str(size))
        made = sorted(folder.glob("parts-*"))
        yield _files("into many", ran, len(made), [])
        if not ran.problem:
            ran = limited("merge", made[0], again)
            same = again.exists() and again.read_bytes() == one.read_bytes()
            yield _files("those joined", ran, 1, [] if same else ["differs from the one"])


def experts(layers: int = 64, count: int = 128, shards: int = 1000) -> Iterator[Row]:
    """Very many tensors of a checkpoint in very many files; those of all experts of a layer become one."""
    shape = Shape(layers, width=64, inner=32, heads=2, keys=1, experts=count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = build(folder / "one" / "model", shape)  # a model's name is that of its directory
        many = build(folder / "many" / "model", replace(shape, shards=shards))
        expected, target = folder / "one.gguf", folder / "many.gguf"
        for source, made in ((one, expected), (many, target)):
            ran = limited("convert", source, made, "--type", "Q8_0")
            files = len(list(source.glob("*.safetensors")))
            title = f"{len(list(shape.entries())):,} tensors in {files:,} files into one"
            differs = made.exists() and made.read_bytes() != expected.read_bytes()
            yield _files(title, ran, 1, [f"{title}: other bytes than from one file"] if differs else [])


def names(tensors: int = 20_000) -> Iterator[Row]:
    """Very many tensors, whose names are as long as llama.cpp takes."""
    rows = np.ones((1, 32), np.float32)
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "in.gguf", Path(name) / "out.gguf"
        arrays = {f"blk.0.{number:0{MAX_NAME_BYTES - 13}}.weight": rows for number in range(tensors)}
        assert {len(name) for name in arrays} == {MAX_NAME_BYTES}
        metadata = [
            ("general.architecture", ValueType.STRING, "llama"),
            ("llama.block_count", ValueType.UINT32, 1),
        ]
        gguf_tools.write(source, gguf_tools.Metadata(metadata), arrays.items())
        ran = limited("quantize", source, target, "--type", "Q8_0")
        problems = []
        if not ran.problem:
            with gguf_tools.open(target) as file:
                problems = [] if set(file.tensors) == set(arrays) else ["the names differ"]
    yield _files(f"{tensors:,} names of {MAX_NAME_BYTES} bytes", ran, 1, problems)


def _files(title: str, ran: Ran, files: int, problems: list[str]) -> Row:
    cells = {
        "files written": f"{files:,}",
        "peak RSS": f"{ran.peak / 1e6:.0f} MB",
        "seconds": f"{ran.seconds:.1f}",
    }
    return Row(title, cells, [f"{title}: {ran.problem}"] if ran.problem else problems)


def giant(tokens: int = 1 << 17, width: int = 1 << 15) -> Iterator[Row]:
    """A tensor of 8 GB, of which some rows are not zeros, copied and quantized."""
    shape = Shape(1, width=width, inner=64, heads=1, keys=1, tokens=tokens, holes=True)
    marked = sorted({0, 1, tokens // 4 - 1, tokens // 4, tokens // 2 - 1, tokens // 2, tokens - 1})
    values = np.random.default_rng(3).standard_normal((len(marked), width), np.float32)
    numbers = (values.view(np.uint32) >> 16).astype("<u2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = build(folder / "model", shape)
        with (source / "model.safetensors").open("r+b") as file:
            begin = 8 + int.from_bytes(file.read(8), "little")
            for row, data in zip(marked, numbers, strict=True):
                file.seek(begin + row * width * 2)
                file.write(data.tobytes())
        exact = (numbers.astype(np.uint32) << 16).view(np.float32)
        for recipe in ("BF16", "Q8_0"):
            target = folder / f"{recipe}.gguf"
            ran = limited("convert", source, target, "--type", recipe)
            problems = [ran.problem] if ran.problem else _marks(target, marked, exact, tokens)
            cells = {
                "last byte at": f"{target.stat().st_size if target.exists() else 0:,}",
                "rows compared": str(len(marked)),
                "peak RSS": f"{ran.peak / 1e6:.0f} MB",
                "seconds": f"{ran.seconds:.0f}",
            }
            yield Row(f"{tokens * width * 2 / 1e9:.1f} GB in one tensor to {recipe}", cells, problems)
            target.unlink(missing_ok=True)


def planned(config: dict[str, Any] = deepseek.V3, shards: int = deepseek.V3_SHARDS) -> Iterator[Row]:
    """A plan for a checkpoint of hundreds of gigabytes, which are holes."""
    with tempfile.TemporaryDirectory() as name:
        source = deepseek.build(Path(name) / "model", config, shards, sparse=True)
        size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
        ran = limited("convert", source, Path(name) / "out.gguf", "--type", "Q4_K_M", "--dry-run")
        tensors = sum(1 for _ in deepseek.entries(config))
    cells = {
        "tensors": f"{tensors:,}",
        "files": str(shards),
        "peak RSS": f"{ran.peak / 1e6:.0f} MB",
        "seconds": f"{ran.seconds:.1f}",
    }
    yield Row(f"plan for {size / 1e9:.1f} GB", cells, [ran.problem] if ran.problem else [])


def _spots(source: Path, target: Path) -> Iterator[str]:
    """Rows of tensors from all over a model, quantized anew and compared."""
    from gguf_tools.checkpoint import open_checkpoint

    pairs = {"mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.o_proj": "attn_output"}
    with open_checkpoint(source) as checkpoint, gguf_tools.open(target) as file:
        layers = sorted(
            {0, 1, file.metadata["llama.block_count"] // 2, file.metadata["llama.block_count"] - 1}
        )
        for layer in layers:
            if layer >= file.metadata["llama.block_count"]:
                continue
            for theirs, ours in pairs.items():
                tensor = file.tensors[f"blk.{layer}.{ours}.weight"]
                rows = checkpoint.tensors[f"model.layers.{layer}.{theirs}.weight"]
                for start in (0, rows.shape[0] // 2, rows.shape[0] - 2):
                    expected = gguf_tools.quantize(rows.rows(start, start + 2), tensor.type)
                    if not np.array_equal(tensor.raw(start, start + 2), expected):
                        yield f"{tensor.name}: rows from {start} differ"


def _marks(target: Path, marked: list[int], exact: NDArray[np.float32], tokens: int) -> list[str]:
    """Whether the marked rows are where they belong, and their neighbours are zeros."""
    problems = []
    with gguf_tools.open(target) as file:
        tensor = file.tensors["token_embd.weight"]
        for row, values in zip(marked, exact, strict=True):
            expected = gguf_tools.quantize(values[None], tensor.type)
            if not np.array_equal(tensor.raw(row, row + 1), expected):
                problems.append(f"row {row} differs")
        problems += [
            f"row {row} is not zeros"
            for row in {min(mark + 1, tokens - 1) for mark in marked} - set(marked)
            if tensor.rows(row, row + 1).any()
        ]
    return problems
