"""The calls of `gguf_tools.system`, with what they are made of and without."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gguf_tools import system
from gguf_tools.errors import FormatError, OutputError
from gguf_tools.io import positional_io as transfer
from gguf_tools.io.atomic_files import AtomicFile
from gguf_tools.io.input_files import LocalFile
from tests.platforms.running import run, started

DATA = os.urandom(1 << 20)


@pytest.fixture(params=["with", "without"])
def _positioned(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without reads and writes at a position."""
    if request.param == "without":
        for name in ("preadv", "pwrite", "pread", "pwritev"):
            monkeypatch.delattr(os, name)


@pytest.mark.usefixtures("_positioned")
class TestPositions:
    def test_threads_do_not_move_each_other(self, tmp_path: Path) -> None:
        """Of one descriptor, each reads what it asked for, and writes where it said."""
        path = tmp_path / "a"
        fd = system.open_file(path, os.O_RDWR | os.O_CREAT)
        size, wrong = 4096, []

        def work(number: int) -> None:
            for start in range(number * size, len(DATA), 4 * size):
                transfer.write_at(fd, DATA[start : start + size], start)
                if transfer.read_at(fd, size, start) != DATA[start : start + size]:
                    wrong.append(start)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(fd)
        assert wrong == []
        assert path.read_bytes() == DATA

    def test_no_call_is_larger_than_systems_take(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system, "_MOST_BYTES", 1000)
        fd = system.open_file(tmp_path / "a", os.O_RDWR | os.O_CREAT)
        assert system.write_some(fd, memoryview(DATA), 0) == 1000
        transfer.write_at(fd, DATA, 0)
        assert system.read_some(fd, memoryview(bytearray(2000)), 0) == 1000
        assert transfer.read_at(fd, len(DATA), 0) == DATA
        os.close(fd)


class TestLinks:
    """A link that may not be followed, where the system can be asked not to and where it cannot."""

    @pytest.fixture(params=["with", "without"], autouse=True)
    def _flag(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        if request.param == "without":
            monkeypatch.delattr(os, "O_NOFOLLOW")

    @pytest.mark.parametrize("exists", [True, False])
    def test_is_an_error_and_creates_nothing(self, tmp_path: Path, exists: bool) -> None:
        target = tmp_path / "target"
        if exists:
            target.write_bytes(b"old")
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(OSError, match="symbolic links"):
            system.open_file(tmp_path / "link", os.O_RDWR | os.O_CREAT, follow=False)
        assert target.exists() == exists

    def test_that_comes_in_between_is_seen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, real = tmp_path / "a", os.open
        path.touch()
        (tmp_path / "target").touch()

        def swapped(*arguments: object) -> int:
            path.unlink()
            path.symlink_to(tmp_path / "target")
            return real(*arguments)  # type: ignore[arg-type]

        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(os, "open", swapped)
        with pytest.raises(OSError, match="symbolic links"):
            system.open_file(path, os.O_RDONLY, follow=False)
        monkeypatch.undo()
        assert os.listdir("/proc/self/fd") == before


def test_a_directory_that_cannot_be_opened_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(FormatError, match="is a directory, expected a file"):
        LocalFile(tmp_path, FormatError)


def test_without_limits_a_number_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.descriptor_limit() > 0
    monkeypatch.setattr(system, "_RESOURCE", None)
    assert system.descriptor_limit() == 512


def test_without_hard_links_no_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(22, "Invalid argument")  # what Windows says of FAT

    monkeypatch.setattr(os, "link", refused)
    with AtomicFile(tmp_path / "a") as out:
        out.write_at(0, b"1")
    out = AtomicFile(tmp_path / "b")
    out.__enter__()
    (tmp_path / "b").write_bytes(b"theirs")
    with pytest.raises(OutputError, match="exists already"):
        out.finish()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"theirs"}


HOLD = """
import pathlib, sys
from gguf_tools.conversion.journal import Journal
try:
    with Journal(pathlib.Path(sys.argv[1]), "f", resume=False, force=False):
        print("held", flush=True)
        sys.stdin.readline()
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["", "windows", "macos"])
def test_one_process_at_a_time_writes_an_output(tmp_path: Path, name: str) -> None:
    target = tmp_path / "a.gguf"
    with started(HOLD, target, system=name) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "held\n"
        assert "another process is writing this output" in run(HOLD, target, system=name)
        first.stdin.write("\n")
        first.stdin.flush()
    assert list(tmp_path.iterdir()) == []
    assert run(HOLD, target, system=name) == "held\n"


def test_a_locked_file_that_somebody_opens_meanwhile_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"much")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", refused)
    fd = system.open_file(path, os.O_RDWR)
    system.close_and_remove(fd, path)
    assert path.read_bytes() == b""
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
