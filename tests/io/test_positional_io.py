"""Transfers of which the system carries out a part at a time, as it may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf_tools.conversion import journal
from gguf_tools.conversion.journal import Journal
from gguf_tools.io import positional_io as transfer

DATA = bytes(range(256)) * 40


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes every call transfer seven bytes at most; how many each was asked for is noted here."""
    asked: list[int] = []
    preadv, pwrite, write = os.preadv, os.pwrite, os.write

    def few(view: memoryview) -> memoryview:
        asked.append(view.nbytes)
        return view[:7]

    monkeypatch.setattr(os, "preadv", lambda fd, views, offset: preadv(fd, [few(views[0])], offset))
    monkeypatch.setattr(os, "pwrite", lambda fd, view, offset: pwrite(fd, few(view), offset))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, few(memoryview(data))))
    return asked


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


def test_what_is_written_in_parts_is_whole(tmp_path: Path, fd: int, calls: list[int]) -> None:
    transfer.append(fd, b"abc")
    transfer.append(fd, DATA)
    assert (tmp_path / "a").read_bytes() == b"abc" + DATA
    with (tmp_path / "b").open("wb") as file:
        transfer.write_at(file.fileno(), DATA, 5)
    assert (tmp_path / "b").read_bytes() == bytes(5) + DATA
    assert len(calls) > 2 * len(DATA) / 7


def test_what_is_read_in_parts_is_whole(tmp_path: Path, fd: int, calls: list[int]) -> None:
    (tmp_path / "a").write_bytes(DATA)
    assert transfer.read_at(fd, 1000, 100) == DATA[100:1100]
    assert len(calls) > 1000 / 7


def test_reading_ends_where_the_file_does(tmp_path: Path, fd: int, calls: list[int]) -> None:
    (tmp_path / "a").write_bytes(b"abcdefghij")
    assert transfer.read_at(fd, 100, 4) == b"efghij"
    assert transfer.read_at(fd, 100, 10) == b""
    buffer = bytearray(b"x" * 12)
    assert transfer.read_into(fd, memoryview(buffer), 0) == 10
    assert buffer == b"abcdefghijxx"


def test_a_system_that_writes_nothing_is_not_asked_for_ever(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(OSError, match="writes nothing"):
        transfer.write_at(fd, DATA, 0)
    with pytest.raises(OSError, match="writes nothing"):
        transfer.append(fd, DATA)


def test_a_journal_in_parts_loses_no_record(tmp_path: Path, calls: list[int]) -> None:
    def work() -> None:
        with Journal(tmp_path / "a.gguf", "f" * 64, resume=True, force=False) as kept:
            for row in range(50):
                kept.add(0, row % 3, row, row + 1)
                kept.sync(lambda: None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert max(calls) > 7
    with Journal(tmp_path / "a.gguf", "f" * 64, resume=True, force=False) as again:
        found = [row for tensor in range(3) for row, _ in again.runs(0, tensor)]
    assert sorted(found) == list(range(50))


@pytest.mark.parametrize("left", [1, len(journal._HEAD.format("f" * 64)) - 1])
def test_a_journal_whose_head_was_cut_short_is_begun_anew(tmp_path: Path, left: int) -> None:
    """As a full disk leaves it: nothing was done after it."""
    target = tmp_path / "a.gguf"
    head = journal._HEAD.format("f" * 64).encode()
    (tmp_path / ".a.gguf.journal").write_bytes(head[:left])
    with Journal(target, "f" * 64, resume=True, force=False) as begun:
        assert not begun.resumed
        assert (tmp_path / ".a.gguf.journal").read_bytes() == head
