"""The list of architectures, in its three forms."""

from __future__ import annotations

import json
from pathlib import Path

from gguf_tools.architectures import ARCHITECTURES
from tests.cli.invoking import said

NAMES = sorted({family.name for family in ARCHITECTURES})
CLASSES = {name for family in ARCHITECTURES for name in family.hf_classes}


def test_json_lists_every_class() -> None:
    found = json.loads(said("architectures", "--json"))
    assert {name for entry in found for name in entry["classes"]} == CLASSES
    assert all(len(entry["classes"]) == len(set(entry["classes"])) for entry in found)
    assert [entry["name"] for entry in found] == NAMES
    assert all(entry["tokenizers"] for entry in found)


def test_the_table_lists_every_class() -> None:
    text = said("architectures")
    assert all(name in text for name in CLASSES)
    assert f"{len(CLASSES)} classes of {len(NAMES)} architectures" in text


def test_markdown_has_a_row_per_architecture() -> None:
    rows = said("architectures", "--markdown").splitlines()
    assert len(rows) == 2 + len(NAMES)
    assert all(row.count("|") == 4 for row in rows)


def test_the_readme_has_this_very_table() -> None:
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
    assert said("architectures", "--markdown") in readme
    assert f"**{len(NAMES)} architectures" in readme
