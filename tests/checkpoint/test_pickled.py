"""Pickled weights without torch; `tests.parity.test_pickles` has it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from gguf_tools.checkpoint import open_adapter, open_checkpoint, pickled
from gguf_tools.errors import CheckpointError, UnsupportedError
from gguf_tools.io.input_files import LocalFile
from tests.adapters import write_adapter


def test_pickles_take_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are asked for. Where not, torch is not even looked for."""
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(UnsupportedError, match="takes torch, which is not installed"):
        open_checkpoint(tmp_path, allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"loading a pickle can run code.*--allow-pickle"):
        open_checkpoint(tmp_path)


def test_adapters_take_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    adapter = write_adapter(tmp_path / "lora", {})
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(UnsupportedError, match="takes torch, which is not installed"):
        open_adapter(adapter, allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"is a pickle: loading one can run code.*--allow-pickle"):
        open_adapter(adapter)
    (adapter / "adapter_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors is missing$"):
        open_adapter(adapter, allow_pickle=True)


def test_elements_that_are_stored_in_another_order(tmp_path: Path) -> None:
    """A transposed matrix of 16-bit numbers, 7 bytes into the file, of which every other column is stored."""
    stored = np.arange(60, dtype="<u2").reshape(6, 10)
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 7 + stored.tobytes())
    turned = stored[:, ::2].T
    file = LocalFile(path, CheckpointError)
    tensor = pickled._Turned(file, 7, turned.shape, turned.strides, 2)
    data = np.frombuffer(turned.tobytes(), np.uint8)
    assert tensor.read(0, 60).tolist() == data.tolist()
    assert tensor.read(11, 20).tolist() == data[11:31].tolist()
    assert tensor.read_strided(23, 2, 10, 3).tolist() == [data[at : at + 2].tolist() for at in (23, 33, 43)]
    assert tensor.read_strided(23, 2, 10, 0).shape == (0, 2)
    assert pickled._Turned(file, 7, (0, 5), (2, 20), 2).read(0, 0).shape == (0,)
