"""The HTML report as a file: self-contained, safe, complete. What it looks like is tested in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.errors import FormatError, OutputError
from gguf_tools.inspection.opening import open_inspected
from gguf_tools.inspection.statistics import measure_model
from gguf_tools.reports import render_report, write_report
from gguf_tools.reports.document import MAX_ITEMS, MAX_TEXT
from gguf_tools.spec import ValueType

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "fixtures" / "demo"


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of style, title and each script."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"style": [], "script": [], "title": []}
        self._inside = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self._inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside][-1] += data

    @property
    def document(self) -> dict[str, Any]:
        """What the page shows."""
        found = json.loads(self.texts["script"][0])
        assert isinstance(found, dict)
        return found


def reported(path: Path, *, statistics: bool = False) -> Parsed:
    with open_inspected(path) as opened:
        measured = measure_model(opened) if statistics else None
        return Parsed(render_report(opened.inspection, measured))


@pytest.fixture(scope="module")
def parsed() -> Parsed:
    return reported(DEMO, statistics=True)


def written(path: Path, metadata: gguf_tools.Metadata | None = None) -> Path:
    """A file with one tensor."""
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    gguf_tools.write(path, metadata or gguf_tools.Metadata(), [("blk.0.x.weight", values)])
    return path


class TestSelfContained:
    def test_nothing_is_loaded(self, parsed: Parsed) -> None:
        loading = {"src", "href", "srcset", "data", "action", "poster", "background"}
        assert [(tag, attrs) for tag, attrs in parsed.elements if loading & set(attrs)] == []
        assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.elements}
        style, script = parsed.texts["style"][0], parsed.texts["script"][1]
        assert not re.search(r"url\(|@import|@font-face", style)
        assert set(re.findall(r"https?://[^\"'\s]+", style + script)) == {"http://www.w3.org/2000/svg"}
        assert not re.search(
            r"\b(?:fetch|XMLHttpRequest|import|eval|Function|innerHTML|outerHTML)\b\s*[(=.]", script
        )

    def test_the_policy_allows_this_style_and_this_script_alone(self, parsed: Parsed) -> None:
        (policy,) = [
            attrs["content"]
            for tag, attrs in parsed.elements
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy is not None
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))

        def digest(text: str) -> str:
            return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

        assert directives == {
            "default-src": "'none'",
            "style-src": digest(parsed.texts["style"][0]),
            "script-src": digest(parsed.texts["script"][1]),
            "base-uri": "'none'",
            "form-action": "'none'",
        }

    def test_no_inline_styles_or_handlers_which_the_policy_would_block(self, parsed: Parsed) -> None:
        assert [
            attrs for _, attrs in parsed.elements if any(re.match("style|on", name) for name in attrs)
        ] == []

    def test_the_parts_are_installed_with_the_package(self) -> None:
        patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
        parts = [
            f"reports/page/{part.name}" for part in files("gguf_tools.reports").joinpath("page").iterdir()
        ]
        assert len(parts) > 5
        assert [part for part in parts if not any(fnmatch(part, p) for p in patterns["gguf_tools"])] == []


class TestDocument:
    def test_tensors(self, parsed: Parsed) -> None:
        inspection = gguf_tools.inspect(DEMO)
        columns = parsed.document["tensors"]["columns"]
        rows = [dict(zip(columns, row, strict=True)) for row in parsed.document["tensors"]["rows"]]
        expected = [{name: tensor.to_dict()[name] for name in columns} for tensor in inspection.tensors]
        assert rows == expected

    def test_statistics_are_those_measured(self, parsed: Parsed) -> None:
        with open_inspected(DEMO) as opened:
            measured = measure_model(opened)
        for shown, found in zip(parsed.document["statistics"], measured, strict=True):
            assert found.statistics is not None
            expected = found.statistics.to_dict()
            assert shown["histogram"]["counts"] == list(expected["histogram"]["counts"])
            for key, value in expected.items():
                if key != "histogram":
                    assert shown[key] == pytest.approx(value, rel=1e-6), key

    def test_without_statistics(self) -> None:
        assert reported(DEMO).document["statistics"] is None

    def test_some_tensors_measured(self) -> None:
        with open_inspected(DEMO) as opened:
            some = opened.inspection.tensors[3:5]
            page = render_report(opened.inspection, measure_model(opened, some))
        shown = Parsed(page).document["statistics"]
        assert [i for i, found in enumerate(shown) if found is not None] == [3, 4]

    def test_long_values_are_cut_and_say_so(self, tmp_path: Path) -> None:
        metadata = gguf_tools.Metadata()
        metadata.set("text", "x" * (MAX_TEXT + 1), ValueType.STRING)
        metadata.set("array", gguf_tools.Array(ValueType.UINT32, range(MAX_ITEMS + 1)), ValueType.ARRAY)
        metadata.set("floats", gguf_tools.Array(ValueType.FLOAT32, [0.1, 1e-6]), ValueType.ARRAY)
        metadata.set("float", 1e-6, ValueType.FLOAT32)
        metadata.set("flag", True, ValueType.BOOL)
        found = {
            entry["key"]: entry
            for entry in reported(written(tmp_path / "x.gguf", metadata)).document["metadata"]
        }
        assert len(found["text"]["value"]) == MAX_TEXT
        assert found["text"]["note"] == "first 100,000 of 100,001 characters"
        assert found["array"]["value"].split("\n") == [str(i) for i in range(MAX_ITEMS)]
        assert found["array"]["note"] == "first 100 of 101"
        assert found["array"]["type"] == "uint32[101]"
        assert found["floats"]["value"] == "0.1, 1e-06"
        assert found["float"] == {"key": "float", "type": "float32", "value": "1e-06", "note": ""}
        assert found["flag"]["value"] == "true"

    def test_a_vocabulary_does_not_make_it_heavy(self, tmp_path: Path) -> None:
        metadata = gguf_tools.Metadata()
        tokens = gguf_tools.Array(ValueType.STRING, [f"token{i}" for i in range(100_000)])
        metadata.set("tokenizer.ggml.tokens", tokens, ValueType.ARRAY)
        with open_inspected(written(tmp_path / "x.gguf", metadata)) as opened:
            assert len(render_report(opened.inspection)) < 60_000


@pytest.mark.parametrize(
    "text",
    [
        "</script>",
        "<!--<script>",
        "]]>",
        "$data",
        "${style}",
        "\x00\x1b[31m",
        "\u2028",
        "\udcff",
        "&lt;",
        '"\\',
    ],
)
def test_any_text_survives_as_text(tmp_path: Path, text: str) -> None:
    """As name of the model, key and value; what cannot be seen is escaped."""
    metadata = gguf_tools.Metadata()
    metadata.set("general.name", text, ValueType.STRING)
    key = text.encode(errors="replace").decode() + ".key"  # keys must be UTF-8, values need not
    metadata.set(key, text, ValueType.STRING)
    metadata.set("llama.rope.freq_base", float("inf"), ValueType.FLOAT32)
    metadata.set("general.architecture", "llama", ValueType.STRING)
    parsed = reported(written(tmp_path / "x.gguf", metadata))
    assert [tag for tag, _ in parsed.elements if tag in ("script", "style")] == ["style", "script", "script"]
    assert parsed.document["summary"]["name"] == visible(text)
    assert parsed.texts["title"] == [visible(text)]
    entries = {entry["key"]: entry["value"] for entry in parsed.document["metadata"]}
    assert entries[visible(key)] == visible(text)
    assert entries["llama.rope.freq_base"] == "inf"


def visible(text: str) -> str:
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


class TestWriting:
    def test_the_file_is_the_page(self, tmp_path: Path) -> None:
        gguf_tools.report(DEMO, tmp_path / "r.html")
        with open_inspected(DEMO) as opened:
            assert (tmp_path / "r.html").read_bytes() == render_report(opened.inspection)
        assert [path.name for path in tmp_path.iterdir()] == ["r.html"]

    def test_an_existing_file_is_kept_unless_forced(self, tmp_path: Path) -> None:
        (tmp_path / "r.html").write_text("mine")
        with pytest.raises(OutputError, match="exists already"):
            gguf_tools.report(DEMO, tmp_path / "r.html", statistics=True)
        with open_inspected(DEMO) as opened, pytest.raises(OutputError, match="exists already"):
            write_report(opened.inspection, tmp_path / "r.html")
        assert (tmp_path / "r.html").read_text() == "mine"
        gguf_tools.report(DEMO, tmp_path / "r.html", force=True)
        assert (tmp_path / "r.html").read_bytes().startswith(b"<!DOCTYPE html>")

    def test_a_model_that_cannot_be_read_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "x.gguf").write_bytes(b"GGUF")
        with pytest.raises(FormatError):
            gguf_tools.report(tmp_path / "x.gguf", tmp_path / "r.html")
        assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]
