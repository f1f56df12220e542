"""Reading a file once for several consumers: every byte, in order, in few reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools.container import GGUFFile, Metadata, open_gguf, write_gguf
from gguf_tools.errors import GGUFToolsError, RemoteError
from gguf_tools.inspection import scan as scanning
from gguf_tools.inspection.scan import Chunk, scan
from gguf_tools.spec import ValueType


class Collecting:
    """A consumer that keeps what it gets."""

    def __init__(self, *, tensors_only: bool = False) -> None:
        self.ordered = True
        self.tensors_only = tensors_only
        self.taken: list[tuple[Chunk, bytes]] = []
        self.missed: list[tuple[Chunk, GGUFToolsError]] = []

    def wants(self, piece: Chunk) -> bool:
        return piece.tensor is not None or not self.tensors_only

    def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
        self.taken.append((piece, data.tobytes()))

    def miss(self, piece: Chunk, fault: GGUFToolsError) -> None:
        self.missed.append((piece, fault))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """300 tensors of up to 3 kB and one of 5 MB."""
    random = np.random.default_rng(0)
    sizes = [*random.integers(1, 750, 150), 1_300_001, *random.integers(1, 750, 150)]
    tensors = [(f"t.{i}", random.standard_normal(int(size), np.float32)) for i, size in enumerate(sizes)]
    path = tmp_path / "model.gguf"
    write_gguf(path, Metadata([("general.architecture", ValueType.STRING, "x")]), tensors)
    return path


def test_every_byte_comes_once_and_in_order(model: Path) -> None:
    everything, tensors = Collecting(), Collecting(tensors_only=True)
    with open_gguf(model) as file:
        scan([file], [everything, tensors])
        assert b"".join(data for _, data in everything.taken) == model.read_bytes()
        for name, tensor in file.tensors.items():
            parts = [data for piece, data in tensors.taken if piece.tensor is tensor]
            assert b"".join(parts) == tensor.dequantize().tobytes(), name
    assert not everything.missed
    assert not tensors.missed


def test_small_tensors_are_read_together(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = GGUFFile.read
    monkeypatch.setattr(GGUFFile, "read", lambda self, *a: reads.append(a) or read(self, *a))
    with open_gguf(model) as file:
        scan([file], [Collecting()])
    assert all(stop - start <= scanning._CHUNK for start, stop in reads)
    assert [start for start, _ in reads] == [0, *(stop for _, stop in reads[:-1])]
    assert len(reads) <= 6


def test_what_is_there_of_a_file_cut_short_is_taken(model: Path) -> None:
    collecting = Collecting()
    with open_gguf(model) as file:
        (*_, last) = file.tensors.values()
        os.truncate(model, last.offset + 2)
        scan([file], [collecting])
        taken = b"".join(data for _, data in collecting.taken)
        assert taken == model.read_bytes()[: last.offset]
        assert [piece.tensor for piece, _ in collecting.missed if piece.tensor] == [last]


def test_what_is_remote_is_asked_for_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fails(self: GGUFFile, start: int, stop: int) -> NDArray[np.uint8]:
        asked.append(start)
        raise RemoteError("no answer", path=str(self.path))

    collecting = Collecting()
    with open_gguf(model) as file:
        monkeypatch.setattr(GGUFFile, "read", fails)
        scan([file], [collecting])
        assert len(asked) <= 6
        assert len({piece.tensor for piece, _ in collecting.missed if piece.tensor}) == len(file.tensors)


def test_a_fault_of_a_consumer_is_raised(model: Path) -> None:
    class Failing(Collecting):
        def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
            raise GGUFToolsError("enough")

    with open_gguf(model) as file, pytest.raises(GGUFToolsError, match="enough"):
        scan([file], [Failing()])
