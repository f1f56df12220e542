"""Reading a model's files once, for several purposes at the same time.

One thread reads ahead, in order; each consumer works in threads of its own, so that checking, hashing whole
files and hashing tensors take the time of the slowest of them and not of all together, where there are cores
for all. What is read at once, and handed over at once, is some megabytes: a model has hundreds of tensors
of a few kilobytes, and for each of them a hand-over would take longer than the work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..compute.threads import Workers
from ..container.reader import GGUFFile, Tensor
from ..errors import GGUFToolsError, RemoteError
from ..spec import BLOCK_SIZES
from ..system import available_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Chunk", "Consumer", "Progress", "scan"]

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a tensor's or file's name."""

_CHUNK: Final = 1 << 21
"""Bytes that are read at once, at most; with what consumers make of it, a few times as much is in use."""

_IN_FLIGHT: Final = 4
"""Chunks that are read ahead of the slowest consumer."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes ``start`` to ``stop`` of a file: whole blocks of one tensor, or what lies between tensors.

    ``fresh`` is where the part begins that was in no piece before: tensors of a faulty file may overlap.
    """

    shard: GGUFFile
    tensor: Tensor | None
    start: int
    stop: int
    fresh: int


Wanted = tuple[Chunk, list[int]]
"""A piece, and the numbers of the consumers that want it."""


class Consumer(Protocol):
    """What is done with the pieces."""

    ordered: bool
    """Whether pieces are to come one after the other, as they stand in the file; else from many threads."""

    def wants(self, piece: Chunk) -> bool:
        """Whether a piece is of interest; one that interests nobody is not read."""

    def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
        """The piece's bytes as they are in the file."""

    def miss(self, piece: Chunk, fault: GGUFToolsError) -> None:
        """The piece cannot be read."""


def scan(shards: Sequence[GGUFFile], consumers: Sequence[Consumer], progress: Progress | None = None) -> None:
    """Read all pieces that some consumer wants, and give them to those who do.

    Raises:
        GGUFToolsError: what a consumer raises.
    """
    total, done = sum(piece.stop - piece.start for piece, _ in _wanted(shards, consumers)), 0
    with ExitStack() as stack:
        pools = [
            stack.enter_context(Workers(1 if consumer.ordered else available_cores()))
            for consumer in consumers
        ]
        pending: deque[list[Future[None]]] = deque()
        for chunk in _chunks(_wanted(shards, consumers)):
            pieces = [piece for piece, _ in chunk]
            found = list(zip(chunk, _read(pieces), strict=True))
            jobs = []
            for i, consumer in enumerate(consumers):
                own = [(piece, data) for (piece, wanting), data in found if i in wanting]
                if own:
                    jobs.append(pools[i].submit(_give, consumer, own))
            pending.append(jobs)
            while len(pending) > _IN_FLIGHT:
                _finish(pending.popleft())
            done += sum(piece.stop - piece.start for piece in pieces)
            if progress is not None:
                last = pieces[-1]
                progress(done, total, last.tensor.name if last.tensor else last.shard.path.name)
        for jobs in pending:
            _finish(jobs)


def _wanted(shards: Sequence[GGUFFile], consumers: Sequence[Consumer]) -> Iterator[Wanted]:
    """Pieces that anybody wants."""
    for shard in shards:
        for piece in _pieces(shard):
            wanting = [i for i, consumer in enumerate(consumers) if consumer.wants(piece)]
            if wanting:
                yield piece, wanting


def _chunks(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """Pieces that lie one after the other in a file and come to no more than `_CHUNK` bytes."""
    chunk: list[Wanted] = []
    for piece, wanting in wanted:
        if chunk:
            first, last = chunk[0][0], chunk[-1][0]
            follows = piece.shard is last.shard and piece.start == last.stop
            if not follows or piece.stop - first.start > _CHUNK:
                yield chunk
                chunk = []
        chunk.append((piece, wanting))
    if chunk:
        yield chunk


def _read(pieces: Sequence[Chunk]) -> list[NDArray[np.uint8] | GGUFToolsError]:
    """The bytes of pieces that lie one after the other; of each that cannot be read, the reason."""
    shard, start = pieces[0].shard, pieces[0].start
    try:
        data = shard.read(start, pieces[-1].stop)
    except RemoteError as fault:
        return [fault for _ in pieces]  # asking again for each would take as long for each
    except GGUFToolsError as fault:
        return [fault] if len(pieces) == 1 else [found for piece in pieces for found in _read([piece])]
    return [data[piece.start - start : piece.stop - start] for piece in pieces]


def _give(consumer: Consumer, found: Sequence[tuple[Chunk, NDArray[np.uint8] | GGUFToolsError]]) -> None:
    for piece, data in found:
        if isinstance(data, GGUFToolsError):
            consumer.miss(piece, data)
        else:
            consumer.take(piece, data)


def _pieces(shard: GGUFFile) -> Iterator[Chunk]:
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


def _cut(shard: GGUFFile, tensor: Tensor | None, start: int, stop: int, seen: int) -> Iterator[Chunk]:
    """A range in pieces of whole blocks; an empty tensor is one empty piece."""
    block = 1 if tensor is None or tensor.storage is None else BLOCK_SIZES[tensor.storage].bytes
    step = max(1, _CHUNK // block) * block
    for first in range(start, stop, step):
        last = min(first + step, stop)
        yield Chunk(shard, tensor, first, last, min(max(first, seen), last))
    if tensor is not None and start == stop:
        yield Chunk(shard, tensor, start, stop, stop)


def _finish(jobs: list[Future[None]]) -> None:
    for job in jobs:
        job.result()
