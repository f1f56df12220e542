"""The one loop that carries out a plan: read rows → (decode, transform) → encode → write at its offset.

Every offset is known beforehand, so chunks are independent: any worker takes the next one and writes it
where it belongs. The bytes are the same for any number of threads and any chunk size, and memory is
bounded by threads × chunk, whatever the size of the model.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import GGUFToolsError, OutputError
from ..files import AtomicDirectory, AtomicFile
from ..source import row_count, row_length
from .plan import Plan, PlannedFile, PlannedTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Progress", "execute"]

Progress = Callable[[int, int, str], None]
"""Called after every chunk, from the workers, with output bytes done, bytes in all, and a tensor's name."""

CHUNK_ELEMENTS: Final = 1 << 19
"""Values per chunk: 2 MiB of float32, which stays in a core's L2 with its encoded form on most CPUs.
A chunk is at least one row, so a longer row makes a larger chunk."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows ``start`` to ``stop`` of a tensor, and where its file is."""

    output: AtomicFile
    tensor: PlannedTensor
    start: int
    stop: int


def execute(
    plan: Plan,
    destination: str | os.PathLike[str],
    *,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> None:
    """Write everything a plan describes; the destination appears complete or not at all.

    Args:
        plan: what to write.
        destination: the output file, or directory where ``plan.is_directory``.
        threads: workers; default all cores this process may use.
        force: replace an existing destination.
        progress: see ``Progress``; chunks finish out of order, the byte count only grows.
        chunk_elements: values per chunk, for tests and tuning.

    Raises:
        OutputError: the destination exists, cannot be written, or the disk is full.
        NonFiniteError: a value cannot be quantized.
        GGUFToolsError: whatever reading a source raises.
    """
    workers = threads or available_cores()
    target = Path(destination)
    with ExitStack() as stack:
        if plan.is_directory:
            _check_space(plan, target)
            folder = stack.enter_context(AtomicDirectory(target, force=force))
            for name, contents in plan.sidecars.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with AtomicFile(folder / name, size=len(contents)) as sidecar:
                    sidecar.write_at(0, contents)
            outputs = [
                (file, stack.enter_context(AtomicFile(folder / file.name, size=file.size)))
                for file in plan.files
            ]
        else:
            (file,) = plan.files
            outputs = [(file, stack.enter_context(AtomicFile(target, size=file.size, force=force)))]
        for file, output in outputs:
            output.write_at(0, file.header)
            _write_last_byte(file, output)
        _run(_chunks(outputs, chunk_elements), workers, _Meter(plan.tensor_bytes, progress))


def available_cores() -> int:
    """Cores this process may run on: its affinity where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunks(outputs: list[tuple[PlannedFile, AtomicFile]], elements: int) -> Iterator[_Chunk]:
    """All chunks in file order: sequential reading and writing is what disks like."""
    for file, output in outputs:
        for tensor in file.tensors:
            rows = row_count(tensor.shape)
            step = max(1, elements // max(1, row_length(tensor.shape)))
            for start in range(0, rows, step):
                yield _Chunk(output, tensor, start, min(start + step, rows))


def _run(chunks: Iterator[_Chunk], workers: int, meter: _Meter) -> None:
    """Let ``workers`` threads take chunks from one iterator until it ends or one of them fails."""
    lock = threading.Lock()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with lock:
                chunk = next(chunks, None)
            if chunk is None:
                return
            try:
                meter.add(_write(chunk), chunk.tensor.name)
            except BaseException:
                stop.set()
                raise

    with ThreadPoolExecutor(workers, thread_name_prefix="gguf-tools") as pool:
        futures: list[Future[None]] = [pool.submit(work) for _ in range(workers)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # also on Ctrl-C: workers end after the chunk at hand
            stop.set()
    for future in futures:
        future.result()


def _write(chunk: _Chunk) -> int:
    """Move one chunk; returns the bytes written."""
    tensor, source = chunk.tensor, chunk.tensor.source
    row_bytes = tensor.nbytes // row_count(tensor.shape)
    if source.storage == tensor.type:
        data = source.raw(chunk.start, chunk.stop)
    else:
        data = _encoded(chunk)
    if data.nbytes != (chunk.stop - chunk.start) * row_bytes:
        raise GGUFToolsError(
            "the source gave another amount of data than planned",
            tensor=tensor.name,
            found=data.nbytes,
            expected=(chunk.stop - chunk.start) * row_bytes,
        )
    chunk.output.write_at(tensor.offset + chunk.start * row_bytes, data)
    return data.nbytes


def _encoded(chunk: _Chunk) -> NDArray[np.uint8]:
    """A chunk's rows in the tensor's type."""
    from ..quants import encode_rows

    tensor = chunk.tensor
    values = tensor.source.rows(chunk.start, chunk.stop)
    if tensor.weights is None:
        return encode_rows(values, tensor.type, name=tensor.name, first_row=chunk.start)
    # each expert has importances of its own, and a chunk may hold rows of several
    rows = row_count(tensor.shape) // len(tensor.weights)
    parts = []
    start = chunk.start
    while start < chunk.stop:
        expert = start // rows
        stop = min(chunk.stop, (expert + 1) * rows)
        part = values[start - chunk.start : stop - chunk.start]
        weights = tensor.weights[expert]
        parts.append(encode_rows(part, tensor.type, weights=weights, name=tensor.name, first_row=start))
        start = stop
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _write_last_byte(file: PlannedFile, output: AtomicFile) -> None:
    """Padding after the last tensor is part of the file even where no space could be reserved."""
    end = max((t.offset + t.nbytes for t in file.tensors), default=len(file.header))
    if file.size > end:
        output.write_at(file.size - 1, b"\0")


def _check_space(plan: Plan, target: Path) -> None:
    """A directory's files are reserved one after another; ask for all of them at once beforehand."""
    import shutil

    try:
        free = shutil.disk_usage(target.parent).free
    except OSError:
        return  # AtomicDirectory says what is wrong with the parent
    if plan.size > free:
        raise OutputError(f"disk full: needs {plan.size} bytes, {free} free", path=target)


class _Meter:
    """Counts output bytes across threads and reports them."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int, tensor: str) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += count
            self._progress(self._done, self._total, tensor)
