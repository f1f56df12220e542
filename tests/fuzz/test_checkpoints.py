"""Checkpoints with edited JSON, in brief; and the edits themselves."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.errors import CheckpointError
from tests.fuzz import checkpoints
from tests.fuzz.checkpoints import NAMES, Case, Checkpoints, FaultyError
from tests.fuzz.edits import edited
from tests.fuzz.targets import edited_checkpoint

MODELS = (
    "llama",
    "qwen2",
    "mistral",
    "gemma3-vision",
    "bert",
    "t5",
    "deepseek-v2",
    "gpt-oss-mxfp4",
    *NAMES[-3:],
)
CASES = 150
DOCUMENT = {"a": {"b": [1, 2], "c": "x"}, "d": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))


def test_edited_checkpoints(made: Checkpoints) -> None:
    counts = Counter(made.run(case) for case in itertools.islice(made.cases("tests", MODELS), CASES))
    assert sum(counts.values()) == CASES
    assert min(counts["refused"], counts["converted"]) > CASES // 5


@pytest.mark.parametrize("name", MODELS)
def test_unedited_ones_are_converted(made: Checkpoints, name: str) -> None:
    assert made.run(Case(name, [])) == "converted"


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (["set", ["a", "b", 1], None], '{"a": {"b": [1, null], "c": "x"}, "d": 3}'),
        (["set", ["e"], {"$raw": "1e999"}], '{"a": {"b": [1, 2], "c": "x"}, "d": 3, "e": 1e999}'),
        (["drop", ["a", "b"], None], '{"a": {"c": "x"}, "d": 3}'),
        (["drop", ["a", "b", 0], None], '{"a": {"b": [2], "c": "x"}, "d": 3}'),
        (["rename", ["a"], "z"], '{"z": {"b": [1, 2], "c": "x"}, "d": 3}'),
        (["move", ["d"], ["a"]], '{"a": {"b": [1, 2], "c": "x", "d": 3}}'),
        (["move", ["d"], ["a", "b"]], '{"a": {"b": [1, 2, 3], "c": "x"}}'),
        (["copy", ["d"], ["a", "b"]], '{"a": {"b": [1, 2], "c": "x"}, "d": [1, 2]}'),
        (["wrap", ["d"], 0], '{"a": {"b": [1, 2], "c": "x"}, "d": [3]}'),
        (["wrap", [], "text_config"], '{"text_config": {"a": {"b": [1, 2], "c": "x"}, "d": 3}}'),
        (["unwrap", ["a"], None], '{"a": [1, 2], "d": 3}'),
        (["twice", ["d"], "y"], '{"a": {"b": [1, 2], "c": "x"}, "d": 3, "d": "y"}'),
        (["cut", [], 5], '{"a":'),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_edit(edit: list[Any], text: str) -> None:
    assert edited({"x.json": DOCUMENT}, [["x.json", *edit]]) == {"x.json": text.encode()}


@pytest.mark.parametrize(
    "edit",
    [
        ["drop", [], None],
        ["drop", ["nowhere"], None],
        ["move", ["a"], ["a", "b"]],
        ["set", ["a", "b", 9], 1],
        ["unwrap", ["d"], None],
    ],
)
def test_an_edit_that_is_impossible_does_nothing(edit: list[Any]) -> None:
    assert edited({"x.json": DOCUMENT}, [["x.json", *edit]]) == {"x.json": json.dumps(DOCUMENT).encode()}


def test_files_are_as_before_afterwards(made: Checkpoints) -> None:
    made.run(Case("llama", []))
    folder = made.folder / "tiny-llama"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    edits = [["config.json", "set", [], 1], ["generation_config.json", "set", ["x"], 1]]
    assert made.run(Case("llama", edits)) == "refused"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_no_short_line_is_found(made: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise CheckpointError("x" * (checkpoints.LONGEST_LINE + 1))

    monkeypatch.setattr(checkpoints, "plan_conversion", refuse)
    with pytest.raises(FaultyError, match="not one short line"):
        made.run(Case("llama", []))


def test_what_verify_finds_is_found(made: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_and_verify(path: Path) -> object:
        path.write_bytes(path.read_bytes()[:-64])
        return checked(path)

    checked = checkpoints.verify
    monkeypatch.setattr(checkpoints, "verify", break_and_verify)
    with pytest.raises(FaultyError, match="verify: truncated"):
        made.run(Case("llama", []))


def test_cases_are_json_and_lead_nowhere_else() -> None:
    case = Case("llama", [["config.json", "set", ["x"], {"$raw": "NaN"}]])
    assert Case.of(case.to_bytes()) == case
    for name in ("../config.json", "config.txt", "/etc/config.json"):
        assert Case.of(Case("llama", [[name, "set", [], 1]]).to_bytes()) is None
    for data in (b"", b"[]", b'{"model": "x", "edits": []}', b'{"model": "llama", "edits": [1]}', b"\xff"):
        assert Case.of(data) is None


def test_changes_of_a_case_are_cases() -> None:
    dice, data = random.Random(0), Case("llama", []).to_bytes()
    seen = set()
    for _ in range(60):
        data = edited_checkpoint(data, dice)
        case = Case.of(data)
        assert case is not None
        seen.add(case.model)
    assert len(seen) > 3
