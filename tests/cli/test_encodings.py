"""Output in encodings that lack most characters, as Windows has them in pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.container.metadata import Metadata
from gguf_tools.spec import ValueType

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "fixtures" / "demo"


def run(encoding: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gguf_tools", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(encoding)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encodings") / "a.gguf"
    gguf_tools.write(path, Metadata([("general.name", ValueType.STRING, "→ 模型")]), [])
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_all_can_be_printed(encoding: str, model: Path) -> None:
    assert "? GGUF" in run(encoding, "--help")
    assert "token_embd" in run(encoding, "convert", DEMO, "a.gguf", "--dry-run", "--explain")
    listing = run(encoding, "inspect", DEMO, "--tensors")
    assert "----" in listing
    assert "?" not in listing
    assert "? ??" in run(encoding, "inspect", model, "--metadata")
    assert json.loads(run(encoding, "inspect", model, "--json", "--metadata"))


def test_what_the_encoding_has_is_printed_as_it_is(model: Path) -> None:
    assert "→ GGUF" in run("utf-8", "--help")
    assert "→ 模型" in run("utf-8", "inspect", model, "--metadata")
