"""Damaged headers, things that are no files, and limits that must not be too strict.

The known classes of malformed files are in `tests.hostile`; what is legal though odd in `test_reader`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gguf_tools.container import open_gguf
from gguf_tools.errors import FormatError, GGUFToolsError
from gguf_tools.spec import GGMLType
from tests import builders as b


@pytest.mark.parametrize(("version", "order"), [(1, "little"), (3, "little"), (3, "big")])
def test_no_flipped_byte_of_the_header_escapes(tmp_path: Path, version: int, order: str) -> None:
    """Whatever a byte becomes, opening either works or raises an error of ours; so does using the file."""
    whole = b.build(b.SMALL_PAIRS, b.SMALL_TENSORS, version=version, order=order)
    path = tmp_path / "flipped.gguf"
    opened = refused = 0
    for place in range(len(whole) - 128):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            path.write_bytes(data)
            try:
                with open_gguf(path) as file:
                    repr(dict(file.metadata.items()))
                    for tensor in file.tensors.values():
                        if tensor.storage is GGMLType.F32:
                            tensor.dequantize()
                opened += 1
            except GGUFToolsError:
                refused += 1
    assert opened > 100
    assert refused > 100


class TestNotRegularFiles:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match=r"none\.gguf: cannot open the file: No such file"):
            open_gguf(tmp_path / "none.gguf")

    def test_directory(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="is a directory"):
            open_gguf(tmp_path)

    def test_named_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FormatError, match="not a regular file"):
            open_gguf(tmp_path / "pipe")

    def test_device(self) -> None:
        with pytest.raises(FormatError, match="not a regular file"):
            open_gguf("/dev/zero")


def test_many_tensors_of_one_byte_names_are_fine(tmp_path: Path) -> None:
    """A limit that is too strict is a fault too: thousands of small entries open."""
    tensors = [b.Tensor(f"t{i}", (1,), 0, b.floats(1)) for i in range(5000)]
    path = tmp_path / "many.gguf"
    path.write_bytes(b.build([b.ARCHITECTURE], tensors))
    with open_gguf(path) as file:
        assert len(file.tensors) == 5000
