"""Everything that makes files out of files, with small inputs: whose bytes must be the same everywhere.

Inputs are named by relative paths in a folder of their own, which is the working directory while they are
used: a path that is recorded in a file (an importance matrix's) is recorded as it was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import gguf_tools
from gguf_tools.conversion import engine
from gguf_tools.conversion.extract import plan_extraction
from gguf_tools.conversion.lora import plan_lora
from gguf_tools.conversion.plan import Plan
from gguf_tools.conversion.requantize import plan_requantization
from gguf_tools.conversion.sharding import split_plan
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.conversion.to_hf import plan_export
from gguf_tools.recipes import RECIPES
from tests import tiny
from tests.adapters import CASES as ADAPTERS
from tests.goldens.record_recipes import write_imatrix

__all__ = ["CHUNKS", "EDITS", "JOBS", "THREADS", "Job", "digests", "inputs", "interrupted", "plainly"]

THREADS: Final = (1, 2, 5)
CHUNKS: Final = (1, 1000, 1 << 14, 1 << 30)
"""Values per chunk: a row at a time, odd numbers of rows, whole tensors."""

UNWEIGHTED: Final = tuple(
    name
    for name in RECIPES
    if name not in {"Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_M", "IQ1_S"} and not name.startswith("IQ2_")
)
"""Recipes that do without an importance matrix."""

_SHARD_BYTES: Final = 400_000


class Job(NamedTuple):
    """What is planned, and the name of the file or directory it goes to."""

    plan: Callable[[], Plan]
    target: str = "out.gguf"


def _convert(model: str, recipe: str, *, weighted: bool = False) -> Job:
    matrix = "imatrix.dat" if weighted else None
    return Job(lambda: plan_conversion(f"tiny-{model}", recipe=recipe, imatrix=matrix))


def _merged_lora() -> Plan:
    return plan_conversion("tiny-llama", recipe="Q8_0", merge_lora=["adapter"])


def _split() -> Plan:
    return split_plan(plan_conversion("tiny-llama", recipe="Q8_0"), "out.gguf", _SHARD_BYTES)


JOBS: Final[dict[str, Job]] = {
    **{f"convert llama {recipe}": _convert("llama", recipe) for recipe in UNWEIGHTED},
    **{f"convert llama {recipe} weighted": _convert("llama", recipe, weighted=True) for recipe in RECIPES},
    "convert mixtral Q4_K_M": _convert("mixtral", "Q4_K_M"),
    "convert mixtral MXFP4_MOE": _convert("mixtral", "MXFP4_MOE"),
    "convert gpt-oss-mxfp4 BF16": _convert("gpt-oss-mxfp4", "BF16"),
    "convert mamba F32": _convert("mamba", "F32"),
    "convert, adapter merged": Job(_merged_lora),
    "convert, in shards": Job(_split),
    "convert-lora": Job(lambda: plan_lora("adapter", base="tiny-llama", qtype="q8_0")),
    "quantize Q6_K": Job(lambda: plan_requantization("q8_0.gguf", recipe="Q6_K")),
    **{
        f"export {dtype}": Job(lambda dtype=dtype: plan_export("q4_k_m.gguf", dtype=dtype), "out")  # type: ignore[misc]
        for dtype in ("f32", "f16", "bf16")
    },
    "extract to safetensors": Job(
        lambda: plan_extraction("q4_k_m.gguf", "out.safetensors"), "out.safetensors"
    ),
    "extract to npy": Job(lambda: plan_extraction("q4_k_m.gguf", "out", ["blk.0.*"], dtype="f16"), "out"),
}
"""Plans, which the engine carries out, by name."""

EDITS: Final[dict[str, Callable[[Path], object]]] = {
    "split": lambda folder: gguf_tools.split("q8_0.gguf", folder / "out", max_tensors=7),
    "merge": lambda folder: gguf_tools.merge("shard-00001-of-00003.gguf", folder / "out.gguf"),
}
"""What copies files' tensors, without the engine."""


@contextmanager
def inputs(folder: Path) -> Iterator[None]:
    """Make what the jobs read, and work in ``folder`` meanwhile."""
    for model in ("llama", "mixtral", "gpt-oss-mxfp4", "mamba"):
        tiny.build(model, folder)
    ADAPTERS["llama"].build(folder / "tiny-llama", folder / "adapter")
    with chdir(folder):
        gguf_tools.convert("tiny-llama", "q8_0.gguf", type="Q8_0")
        gguf_tools.convert("tiny-llama", "q4_k_m.gguf", type="Q4_K_M")
        with gguf_tools.open("q8_0.gguf") as file:
            write_imatrix(Path("imatrix.dat"), {name: t.shape for name, t in file.tensors.items()})
        gguf_tools.split("q8_0.gguf", "shard", max_tensors=12)
        yield


def plainly(job: Job, target: Path) -> None:
    """Carry out a job as a user would who says nothing of threads."""
    engine.execute(job.plan(), target)


def interrupted(job: Job, target: Path, after: int) -> int:
    """Fail after ``after`` chunks, and go on with other threads and chunks; how often it failed."""
    calls = 0

    def fail(done: int, total: int, tensor: str) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise InterruptedError

    failures = 0
    try:
        engine.execute(
            job.plan(), target, engine.RunOptions(resume=True, threads=1, progress=fail), chunk_elements=1000
        )
    except InterruptedError:
        failures += 1
    engine.execute(job.plan(), target, engine.RunOptions(resume=True, threads=3), chunk_elements=1 << 14)
    return failures


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
