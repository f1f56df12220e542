"""More files than descriptors: they take turns, and a file that changed meanwhile is noticed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf_tools.errors import FormatError
from gguf_tools.io import fd_pool as descriptors
from gguf_tools.io.input_files import LocalFile


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_most", lambda: 3)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[LocalFile]]:
    made = []
    for number in range(8):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number]) * 10)
        made.append(LocalFile(path, FormatError))
    yield made
    for file in made:
        file.close()


def held(files: list[LocalFile]) -> int:
    return sum(file._fd >= 0 for file in files)


def test_all_can_be_read(files: list[LocalFile]) -> None:
    for _ in range(3):
        for number, file in enumerate(files):
            assert file.read(2, 3).tolist() == [number] * 3
            assert held(files) <= 3


@pytest.mark.parametrize("how", ["written", "replaced"])
def test_one_that_changed_is_refused(files: list[LocalFile], tmp_path: Path, how: str) -> None:
    path = tmp_path / "0"
    if how == "written":
        path.write_bytes(b"another!")
        with pytest.raises(FormatError, match="changed while it was being read"):
            files[0].require_unchanged()
    else:
        (tmp_path / "new").write_bytes(bytes(10))
        os.replace(tmp_path / "new", path)
        files[0].require_unchanged()  # what was read of it is as good as ever
    with pytest.raises(FormatError, match="changed while it was being read"):
        files[0].read(0, 1)


def test_one_that_is_gone_is_named(files: list[LocalFile], tmp_path: Path) -> None:
    (tmp_path / "0").unlink()
    with pytest.raises(FormatError, match="cannot open the file"):
        files[0].read(0, 1)


def test_a_closed_one_stays_closed(files: list[LocalFile]) -> None:
    files[0].close()
    with pytest.raises(FormatError, match="has been closed"):
        files[0].read(0, 1)
