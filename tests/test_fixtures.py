"""The committed fixtures are the ones their scripts made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests import tiny
from tests.goldens.record import GOLDENS, KINDS, load

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def _manifest_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fixtures_manifest", FIXTURES / "manifest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manifest_lists_every_fixture_with_its_checksum() -> None:
    module = _manifest_module()
    recorded = json.loads((FIXTURES / "MANIFEST.json").read_text(encoding="utf-8"))
    assert recorded == module.entries()
    assert module.strays() == []


def test_there_is_a_golden_for_each_tiny_checkpoint_and_no_other() -> None:
    assert {path.stem for path in GOLDENS.glob("*.json")} == {*tiny.NAMES, *tiny.PACKED_NAMES}


@pytest.mark.parametrize("name", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_a_golden_covers_every_kind_of_file(name: str) -> None:
    golden = load(name)
    assert sorted([*golden["files"], *golden["refused"]]) == sorted(tiny.MODELS[name].kinds)
    assert set(tiny.MODELS[name].kinds) <= set(KINDS)
    for kind in golden["files"].values():
        assert set(kind["types"]) == set(golden["tensors"])


@pytest.mark.parametrize("name", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_a_tiny_checkpoint_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in tiny.build(name, tmp_path / "a").rglob("*.*")}
    second = {path.name: path.read_bytes() for path in tiny.build(name, tmp_path / "b").rglob("*.*")}
    assert first == second
    weights = sum(len(data) for file, data in first.items() if file.endswith(".safetensors"))
    assert 100_000 < weights < 4_000_000
