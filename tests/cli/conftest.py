"""What tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_tools


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> Path:
    """A Q4_K_M file of the tiny Qwen3."""
    path = tmp_path_factory.mktemp("cli") / "small.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3"], path)
    return path
