"""Pickled weights without torch; `tests.parity.test_pickles` has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gguf_tools.checkpoint import open_checkpoint
from gguf_tools.errors import CheckpointError, UnsupportedError


def test_pickles_take_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are asked for. Where not, torch is not even looked for."""
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(UnsupportedError, match="takes torch, which is not installed"):
        open_checkpoint(tmp_path, allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"loading a pickle can run code.*--allow-pickle"):
        open_checkpoint(tmp_path)
