"""The one loop that carries out a plan: read rows → (decode, transform) → encode → write at its offset.

Rows that are to stay as they are stored in a file are copied by the kernel where it can, without passing
through this process.

Every offset is known beforehand, so chunks are independent: any worker takes the next one and writes it
where it belongs. The bytes are the same for any number of threads and any chunk size, and memory is
bounded by threads × chunk, whatever the size of the model.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np

from ..compute.threads import Workers
from ..errors import GGUFToolsError, OutputError
from ..source import row_count, row_length
from ..system import available_cores
from .output import Finishing, Output
from .plan import Plan, PlannedTensor
from .run_options import Progress, RunOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..io.atomic_files import AtomicFile

__all__ = ["Progress", "RunOptions", "execute", "fitting"]

CHUNK_ELEMENTS: Final = 1 << 19
"""Values per chunk: 2 MiB of float32, which stays in a core's L2 with its encoded form on most CPUs.
A chunk is at least one row, so a longer row makes a larger chunk."""

COPIED_BYTES: Final = 1 << 23
"""Bytes per chunk where rows are only copied: few calls of the kernel, and no more memory than other chunks
take where it does not copy by itself."""

MIN_CHUNK_ELEMENTS: Final = 1 << 14
"""Below this the cost of handling a chunk shows."""

BYTES_PER_VALUE: Final = 24
"""What a worker holds for a value of its chunk at most: as read, as float32, transformed, sorted into lanes,
and encoded."""


@runtime_checkable
class _Copyable(Protocol):
    """A source whose stored bytes lie in a file, such as `gguf_tools.container.reader.Tensor`."""

    def copy_to(self, output: AtomicFile, offset: int, start: int, stop: int) -> None:
        """Copy bytes ``start`` to ``stop`` of the data, whole rows, to ``offset`` of a file being written."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows ``start`` to ``stop`` of a tensor, which is one of a file of the plan."""

    file: int
    index: int
    tensor: PlannedTensor
    start: int
    stop: int


def execute(
    plan: Plan,
    destination: str | os.PathLike[str],
    run: RunOptions | None = None,
    *,
    chunk_elements: int = CHUNK_ELEMENTS,
    check: bool = False,
    replaced: Path | None = None,
    finishing: Finishing | None = None,
) -> None:
    """Write everything a plan describes; the destination appears complete or not at all.

    Args:
        plan: what to write.
        destination: the output file, or directory where ``plan.is_directory``. Shards of a model appear
            beside it, each as soon as it is complete, or all at the end; see `Plan`.
        run: how; by default with all cores, replacing nothing.
        chunk_elements: values per chunk, for tests and tuning.
        check: read rows that are stored as they were again, and compare.
        replaced: the input whose place the output takes, and its mode and, where that is allowed, owner.
        finishing: called when a file is complete, before it gets its name.

    Raises:
        OutputError: the destination exists, would replace an input, cannot be written, is being written by
            another process, or cannot be resumed; or the disk is full; or something reads back differently.
        NonFiniteError: a value cannot be quantized.
        GGUFToolsError: whatever reading a source raises; among others, that it changed meanwhile.
    """
    run = run or RunOptions()
    workers = run.threads or available_cores()
    if run.max_memory is not None:
        workers, chunk_elements = fitting(run.max_memory, workers, chunk_elements)
    with Output(plan, Path(destination), run, replaced=replaced, finishing=finishing) as output:
        left = sum(
            (last - first) * plan.files[file].tensors[index].row_bytes
            for file, index, (first, last) in output.runs()
        )
        meter = _Meter(plan.tensor_bytes - left, plan.tensor_bytes, run.progress)
        _run(_chunks(plan, output, chunk_elements), output, workers, meter, check)


def fitting(budget: int, workers: int, elements: int) -> tuple[int, int]:
    """Workers and values per chunk that stay within ``budget`` bytes together.

    First the chunks become smaller, then the workers fewer. What the process takes without any work
    (about 100 MB with Numba) is not counted, and a chunk is never less than a row.

    Raises:
        OutputError: not even one worker with the smallest chunk fits.
    """
    while workers * elements * BYTES_PER_VALUE > budget:
        if elements > MIN_CHUNK_ELEMENTS:
            elements //= 2
        elif workers > 1:
            workers -= 1
        else:
            least = f"at least {MIN_CHUNK_ELEMENTS * BYTES_PER_VALUE} bytes"
            raise OutputError("too little memory to work in", found=budget, expected=least)
    return workers, elements


def _chunks(plan: Plan, output: Output, elements: int) -> Iterator[_Chunk]:
    """All that is still to be written, in pieces."""
    for file, index, (first, last) in output.runs():
        tensor = plan.files[file].tensors[index]
        if _is_copied(tensor):
            step = max(1, COPIED_BYTES // max(1, tensor.row_bytes))
        else:
            step = max(1, elements // max(1, row_length(tensor.shape)))
        for start in range(first, last, step):
            yield _Chunk(file, index, tensor, start, min(start + step, last))


def _is_copied(tensor: PlannedTensor) -> bool:
    return tensor.source.storage == tensor.type and isinstance(tensor.source, _Copyable)


def _run(chunks: Iterator[_Chunk], output: Output, workers: int, meter: _Meter, check: bool) -> None:
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
                meter.add(_write(chunk, output, check), chunk.tensor.name)
                if not stop.is_set():  # else this chunk might complete what is being given up
                    output.written(chunk.file, chunk.index, chunk.start, chunk.stop)
            except BaseException:
                stop.set()
                raise

    with Workers(workers) as pool:
        futures: list[Future[None]] = []
        try:
            for _ in range(workers):
                futures.append(pool.submit(work))
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # also on Ctrl-C, even while workers are being started: they end after the chunk at hand
            stop.set()
    for future in futures:
        future.result()


def _write(chunk: _Chunk, output: Output, check: bool) -> int:
    """Move one chunk; returns the bytes written."""
    tensor, source = chunk.tensor, chunk.tensor.source
    start, stop = chunk.start * tensor.row_bytes, chunk.stop * tensor.row_bytes
    file = output.opened(chunk.file)
    if source.storage != tensor.type:
        file.write_at(tensor.offset + start, _checked(chunk, _encoded(chunk)))
    elif isinstance(source, _Copyable):
        source.copy_to(file, tensor.offset + start, start, stop)
    else:
        file.write_at(tensor.offset + start, _checked(chunk, source.raw(chunk.start, chunk.stop)))
    if check and source.storage == tensor.type:
        _compare(file, tensor.offset + start, source.raw(chunk.start, chunk.stop))
    return stop - start


def _checked(chunk: _Chunk, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a source gave, if it is as much as planned."""
    tensor = chunk.tensor
    expected = (chunk.stop - chunk.start) * tensor.row_bytes
    if data.nbytes != expected:
        raise GGUFToolsError(
            "the source gave another amount of data than planned",
            tensor=tensor.name,
            found=data.nbytes,
            expected=expected,
        )
    return data


def _compare(file: AtomicFile, offset: int, data: NDArray[np.uint8]) -> None:
    """Compare what was written with what should have been."""
    if file.read_at(offset, data.nbytes) != data.tobytes():
        raise OutputError("what was written reads back differently", path=file.path, offset=offset)


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


class _Meter:
    """Counts output bytes across threads and reports them."""

    def __init__(self, done: int, total: int, progress: Progress | None) -> None:
        self._done = done
        self._total = total
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, count: int, tensor: str) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += count
            self._progress(self._done, self._total, tensor)
