"""Reading a model's files once, for several purposes at the same time.

One thread reads, in order; each consumer works in threads of its own, so that checking, hashing whole files
and hashing tensors take the time of the slowest of them and not of all together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..container.reader import GGUFFile, Tensor
from ..conversion.engine import available_cores
from ..errors import GGUFToolsError
from ..spec import BLOCK_SIZES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Consumer", "Piece", "Progress", "scan"]

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a tensor's or file's name."""

_CHUNK: Final = 1 << 21
"""Bytes of a piece, at most; with what consumers make of it, a few times as much memory is in use."""

_IN_FLIGHT: Final = 4
"""Pieces that are read ahead of the slowest consumer."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes ``start`` to ``stop`` of a file: whole blocks of one tensor, or what lies between tensors.

    ``fresh`` is where the part begins that was in no piece before: tensors of a faulty file may overlap.
    """

    shard: GGUFFile
    tensor: Tensor | None
    start: int
    stop: int
    fresh: int


class Consumer(Protocol):
    """What is done with the pieces."""

    ordered: bool
    """Whether pieces are to come one after the other, as they stand in the file; else from many threads."""

    def wants(self, piece: Piece) -> bool:
        """Whether a piece is of interest; one that interests nobody is not read."""

    def take(self, piece: Piece, data: NDArray[np.uint8]) -> None:
        """The piece's bytes as they are in the file."""

    def miss(self, piece: Piece, fault: GGUFToolsError) -> None:
        """The piece cannot be read."""


def scan(shards: Sequence[GGUFFile], consumers: Sequence[Consumer], progress: Progress | None = None) -> None:
    """Read all pieces that some consumer wants, and give them to those who do.

    Raises:
        GGUFToolsError: what a consumer raises.
    """
    total, done = sum(piece.stop - piece.start for piece, _ in _wanted(shards, consumers)), 0
    with ExitStack() as stack:
        pools = [
            stack.enter_context(ThreadPoolExecutor(1 if consumer.ordered else available_cores()))
            for consumer in consumers
        ]
        pending: deque[list[Future[None]]] = deque()
        for piece, wanting in _wanted(shards, consumers):
            try:
                data = piece.shard.read(piece.start, piece.stop)
            except GGUFToolsError as fault:
                jobs = [pools[i].submit(consumers[i].miss, piece, fault) for i in wanting]
            else:
                jobs = [pools[i].submit(consumers[i].take, piece, data) for i in wanting]
            pending.append(jobs)
            while len(pending) > _IN_FLIGHT:
                _finish(pending.popleft())
            done += piece.stop - piece.start
            if progress is not None:
                progress(done, total, piece.tensor.name if piece.tensor else piece.shard.path.name)
        for jobs in pending:
            _finish(jobs)


def _wanted(shards: Sequence[GGUFFile], consumers: Sequence[Consumer]) -> Iterator[tuple[Piece, list[int]]]:
    """Pieces, and the numbers of the consumers that want them."""
    for shard in shards:
        for piece in _pieces(shard):
            wanting = [i for i, consumer in enumerate(consumers) if consumer.wants(piece)]
            if wanting:
                yield piece, wanting


def _pieces(shard: GGUFFile) -> Iterator[Piece]:
    """All of a file, in order of position. Tensors that are not wholly in it count as what lies between."""
    position = 0
    for tensor in sorted(shard.tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.storage is None or tensor.nbytes is None:
            continue
        end = tensor.offset + tensor.nbytes
        if end > shard.file_size:
            continue
        yield from _cut(shard, None, position, tensor.offset, position)
        yield from _cut(shard, tensor, tensor.offset, end, position)
        position = max(position, end)
    yield from _cut(shard, None, position, shard.file_size, position)


def _cut(shard: GGUFFile, tensor: Tensor | None, start: int, stop: int, seen: int) -> Iterator[Piece]:
    """A range in pieces of whole blocks; an empty tensor is one empty piece."""
    block = 1 if tensor is None or tensor.storage is None else BLOCK_SIZES[tensor.storage].bytes
    step = max(1, _CHUNK // block) * block
    for first in range(start, stop, step):
        last = min(first + step, stop)
        yield Piece(shard, tensor, first, last, min(max(first, seen), last))
    if tensor is not None and start == stop:
        yield Piece(shard, tensor, start, stop, stop)


def _finish(jobs: list[Future[None]]) -> None:
    for job in jobs:
        job.result()
