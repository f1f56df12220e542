"""Every recipe makes the recorded bytes, whatever the threads, the chunks, the process and its history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.conversion import engine, journal
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.errors import QuantizationError
from gguf_tools.recipes import RECIPES
from tests import tiny
from tests.goldens.record_outputs import GOLDEN, MODEL, REFUSED, digest

ROOT = Path(__file__).resolve().parents[2]
RECORDED: dict[str, str] = json.loads(GOLDEN.read_text(encoding="utf-8"))
WAYS = ((1, 1 << 19), (2, 1 << 14), (5, 1000))
"""Threads, and values per chunk."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(MODEL, tmp_path_factory.mktemp("recorded"))


def test_every_recipe_is_recorded() -> None:
    assert list(RECORDED) == list(RECIPES)
    assert sum(value != REFUSED for value in RECORDED.values()) >= 20


@pytest.mark.parametrize("recipe", RECORDED)
def test_the_bytes_are_those_recorded(checkpoint: Path, tmp_path: Path, recipe: str) -> None:
    if RECORDED[recipe] == REFUSED:
        with pytest.raises(QuantizationError, match="importance matrix"):
            plan_conversion(checkpoint, type=recipe)
        return
    for threads, elements in WAYS:
        target = tmp_path / f"{threads}.gguf"
        engine.execute(
            plan_conversion(checkpoint, type=recipe), target, threads=threads, chunk_elements=elements
        )
        assert digest(target) == RECORDED[recipe], (threads, elements)


@pytest.mark.parametrize("recipe", ["BF16", "Q4_0", "Q4_K_M"])
def test_also_after_an_interruption(
    checkpoint: Path, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0)

    def interrupt(done: int, total: int, tensor: str) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    target = tmp_path / "a.gguf"
    with pytest.raises(KeyboardInterrupt):
        gguf_tools.convert(checkpoint, target, type=recipe, resume=True, progress=interrupt)
    assert not target.exists()
    gguf_tools.convert(checkpoint, target, type=recipe, resume=True)
    assert digest(target) == RECORDED[recipe]


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_also_in_processes_that_hash_otherwise(checkpoint: Path, tmp_path: Path, seed: str) -> None:
    target = tmp_path / "a.gguf"
    code = "import sys, gguf_tools; gguf_tools.convert(sys.argv[1], sys.argv[2], type='Q4_K_M')"
    command = [sys.executable, "-c", code, str(checkpoint), str(target)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
    assert digest(target) == RECORDED["Q4_K_M"]
