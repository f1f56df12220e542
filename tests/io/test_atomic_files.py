# ruff: noqa: PT012 - the bodies are the work that gets interrupted
from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from gguf_tools.errors import OutputError
from gguf_tools.io import atomic_files as files
from gguf_tools.io.atomic_files import AtomicDirectory, AtomicFile


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicFile:
    def test_appears_complete_and_alone(self, tmp_path: Path) -> None:
        target = tmp_path / "model.gguf"
        with AtomicFile(target, size=8) as out:
            assert not target.exists()
            out.write_at(4, np.arange(4, dtype=np.uint8))
            out.write_at(0, b"abcd")
        assert target.read_bytes() == b"abcd\x00\x01\x02\x03"
        assert listing(tmp_path) == ["model.gguf"]

    def test_respects_the_umask(self, tmp_path: Path) -> None:
        old = os.umask(0o027)
        try:
            with AtomicFile(tmp_path / "a"):
                pass
        finally:
            os.umask(old)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640

    @pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
    def test_leaves_nothing_when_interrupted(self, tmp_path: Path, failure: type[BaseException]) -> None:
        with pytest.raises(failure), AtomicFile(tmp_path / "a", size=100) as out:
            out.write_at(0, b"x")
            raise failure
        assert listing(tmp_path) == []

    def test_old_file_survives_a_failure(self, tmp_path: Path) -> None:
        target = tmp_path / "a"
        target.write_bytes(b"old")
        with pytest.raises(RuntimeError), AtomicFile(target, force=True) as out:
            out.write_at(0, b"new")
            raise RuntimeError
        assert target.read_bytes() == b"old"
        assert listing(tmp_path) == ["a"]

    def test_force_replaces(self, tmp_path: Path) -> None:
        target = tmp_path / "a"
        target.write_bytes(b"old and longer")
        with AtomicFile(target, force=True) as out:
            out.write_at(0, b"new")
        assert target.read_bytes() == b"new"

    def test_refuses_an_existing_file_at_once(self, tmp_path: Path) -> None:
        target = tmp_path / "a"
        target.write_bytes(b"old")
        with (
            pytest.raises(OutputError, match=r"a: exists already; pass --force to replace it"),
            AtomicFile(target),
        ):
            pass
        assert target.read_bytes() == b"old"

    @pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
    def test_does_not_clobber_what_appeared_meanwhile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        if not links:
            monkeypatch.setattr(os, "link", refuse)
        target = tmp_path / "a"
        with pytest.raises(OutputError, match="exists already"), AtomicFile(target) as out:
            out.write_at(0, b"ours")
            target.write_bytes(b"theirs")
        assert target.read_bytes() == b"theirs"
        assert listing(tmp_path) == ["a"]

    def test_works_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        with AtomicFile(tmp_path / "a") as out:
            out.write_at(0, b"x")
        assert listing(tmp_path) == ["a"]

    def test_disk_full_shows_before_the_work(self, tmp_path: Path) -> None:
        size = shutil.disk_usage(tmp_path).total * 2
        with (
            pytest.raises(OutputError, match=rf"a: disk full: needs {size} bytes, \d+ free"),
            AtomicFile(tmp_path / "a", size=size),
        ):
            pytest.fail("was entered")
        assert listing(tmp_path) == []

    def test_disk_full_while_reserving(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with (
            pytest.raises(OutputError, match="disk full: needs 10 bytes"),
            AtomicFile(tmp_path / "a", size=10),
        ):
            pytest.fail("was entered")
        assert listing(tmp_path) == []

    def test_disk_full_while_writing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OutputError, match="disk full"), AtomicFile(tmp_path / "a") as out:
            monkeypatch.setattr(os, "pwrite", full)
            out.write_at(0, b"x")
        assert listing(tmp_path) == []

    def test_goes_on_where_the_file_system_cannot_reserve(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsupported(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "not supported")

        monkeypatch.setattr(os, "posix_fallocate", unsupported)
        with AtomicFile(tmp_path / "a", size=10) as out:
            out.write_at(0, b"x")
        assert (tmp_path / "a").stat().st_size == 10

    def test_short_writes_are_completed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data)[:3], at))
        with AtomicFile(tmp_path / "a") as out:
            out.write_at(0, b"0123456789")
        assert (tmp_path / "a").read_bytes() == b"0123456789"

    def test_many_threads_write(self, tmp_path: Path) -> None:
        with AtomicFile(tmp_path / "a", size=64 * 1000) as out:
            threads = [
                threading.Thread(target=out.write_at, args=(i * 1000, bytes([i]) * 1000)) for i in range(64)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (tmp_path / "a").read_bytes() == b"".join(bytes([i]) * 1000 for i in range(64))

    @pytest.mark.parametrize(
        "buffer", [b"", np.empty((0, 4)), memoryview(b"")], ids=["bytes", "array", "view"]
    )
    def test_empty_buffers_write_nothing(self, tmp_path: Path, buffer: bytes) -> None:
        with AtomicFile(tmp_path / "a") as out:
            out.write_at(7, buffer)
        assert (tmp_path / "a").read_bytes() == b""

    def test_long_names(self, tmp_path: Path) -> None:
        target = tmp_path / ("é" * 127)
        with AtomicFile(target):
            pass
        assert target.exists()

    def test_directory_as_target(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="is a directory"), AtomicFile(tmp_path, force=True):
            pass

    def test_missing_parent(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist"), AtomicFile(tmp_path / "no" / "a"):
            pass

    def test_parent_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="does not exist"), AtomicFile(tmp_path / "file" / "a"):
            pass

    def test_device_as_target(self) -> None:
        with pytest.raises(OutputError, match="not a regular file"), AtomicFile("/dev/null", force=True):
            pass

    def test_parent_not_writable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
        with pytest.raises(OutputError, match="not writable"), AtomicFile(tmp_path / "a"):
            pass


class TestAtomicDirectory:
    def test_appears_complete_and_alone(self, tmp_path: Path) -> None:
        with AtomicDirectory(tmp_path / "out") as folder:
            (folder / "config.json").write_text("{}")
            (folder / "sub").mkdir()
            (folder / "sub" / "x").touch()
            assert listing(tmp_path) == [folder.name]
        assert listing(tmp_path) == ["out"]
        assert listing(tmp_path / "out") == ["config.json", "sub"]

    def test_leaves_nothing_on_failure(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), AtomicDirectory(tmp_path / "out") as folder:
            (folder / "half").touch()
            raise RuntimeError
        assert listing(tmp_path) == []

    def test_refuses_an_existing_one(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with (
            pytest.raises(OutputError, match="exists already; pass --force"),
            AtomicDirectory(tmp_path / "out"),
        ):
            pass

    def test_does_not_clobber_what_appeared_meanwhile(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="exists already"), AtomicDirectory(tmp_path / "out"):
            (tmp_path / "out").mkdir()
        assert listing(tmp_path) == ["out"]

    def test_force_replaces_all_of_it(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old").touch()
        with AtomicDirectory(tmp_path / "out", force=True) as folder:
            (folder / "new").touch()
        assert listing(tmp_path) == ["out"]
        assert listing(tmp_path / "out") == ["new"]

    def test_old_one_survives_a_failed_rename(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old").touch()
        rename = os.rename

        def fail(source: Path, target: Path) -> None:
            if str(source).endswith(".partial"):
                raise OSError(errno.EIO, "broken disk")
            rename(source, target)

        monkeypatch.setattr(os, "rename", fail)
        with pytest.raises(OutputError, match="broken disk"), AtomicDirectory(tmp_path / "out", force=True):
            pass
        assert listing(tmp_path / "out") == ["old"]
        assert listing(tmp_path) == ["out"]

    def test_a_file_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "out").touch()
        with (
            pytest.raises(OutputError, match="not a directory"),
            AtomicDirectory(tmp_path / "out", force=True),
        ):
            pass

    def test_never_replaces_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "home" / "work").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "home" / "work")
        with (
            pytest.raises(OutputError, match="working directory"),
            AtomicDirectory(tmp_path / "home", force=True),
        ):
            pass

    def test_missing_parent(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist"), AtomicDirectory(tmp_path / "no" / "out"):
            pass


def test_free_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage(10, 3, 7))
    with (
        pytest.raises(OutputError, match="disk full: needs 8 bytes, 7 free"),
        AtomicFile(tmp_path / "a", size=8),
    ):
        pass
