"""Pickled weights without torch; `tests.parity.test_pickles` has it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from gguf_tools.checkpoint import open_adapter, open_checkpoint, pickled
from gguf_tools.errors import CheckpointError, UnsupportedError
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


def test_runs_of_bytes_that_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = pickled._Stored(Path("a.bin"), None)
    monkeypatch.setattr(stored, "_bytes", lambda: np.arange(60, dtype=np.uint8))
    assert stored.read_strided(23, 2, 10, 3).tolist() == [[23, 24], [33, 34], [43, 44]]
    assert stored.read_strided(23, 2, 10, 0).shape == (0, 2)
