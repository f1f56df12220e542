"""Chat templates of strangers: whatever they are, `verify` says something about them, and soon."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import gguf_tools
from gguf_tools import ValueType
from gguf_tools.cli import main
from gguf_tools.container import Metadata
from gguf_tools.verification import templates
from gguf_tools.verification.templates import MAX_CHARACTERS, MAX_TEMPLATES, MAX_TOKENS, template_fault

KEY = "tokenizer.chat_template"

HOSTILE = {
    "a number of 5,000 digits": "{{ " + "7" * 5000 + " }}",
    "a number with underscores": "{{ " + "7_" * 5000 + "7 }}",
    "a hexadecimal number": "{{ 0x" + "f" * 50_000 + " }}",
    "a number beyond all floats": "{{ 1e999 }}",
    "a long fraction": "{{ 0." + "1" * 50_000 + " }}",
    "parentheses": "{{ " + "(" * 20_000 + " }}",
    "negations": "{{ " + "not " * 20_000 + "x }}",
    "signs": "{{ " + "-" * 20_000 + "x }}",
    "lists in lists": "{{ " + "[" * 20_000 + "]" * 20_000 + " }}",
    "blocks in blocks": "{% if x %}" * 20_000,
    "conditions": "{{ 1" + " if 1 else 1" * 9000 + " }}",
    "powers": "{{ x" + "**1" * 9000 + " }}",
    "an open comment": "{#" * 50_000,
    "an open string": "{{ '" + "\\" * 50_000 + " }}",
    "a bad escape": r"{{ '\N{no such name}\x' }}",
    "braces": "{" * 100_000,
    "an unknown tag": "{% nonsense %}",
    "an endless raw block": "{% raw %}" + "{%  " * 10_000,
    "NULs": "{{ \0 }}",
    "bytes that are no text": "{{ '\udcff' }} \udc80",
    "nothing": "",
}
"""Each is said to be faulty, or found to be sound; none is an exception, and none is read for long."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_template_is_an_exception(text: str) -> None:
    fault = template_fault(text)
    assert fault is None or fault.startswith(("does not parse: ", "is too large to check: "))
    assert fault is None or len(fault) < 1000


@pytest.mark.parametrize("name", ["a number of 5,000 digits", "parentheses", "blocks in blocks", "braces"])
def test_what_does_not_parse_is_a_finding(name: str) -> None:
    assert template_fault(HOSTILE[name]) is not None


@pytest.mark.parametrize("failure", [ValueError("odd"), MemoryError(), RecursionError(), KeyError("x")])
def test_whatever_the_parser_raises(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def lex(self, text: str) -> list[Any]:
            return []

        def parse(self, text: str) -> None:
            raise failure

    monkeypatch.setattr(templates, "_environment", Failing)
    assert template_fault("{{ x }}") is not None


@pytest.mark.parametrize(
    "repeated", ["|f", "+1", "~x", ".a", "()", "<1", " and x", " }}{{ x", "\n"], ids=repr
)
def test_the_parser_is_given_no_more_tokens_than_it_can_take(
    repeated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = templates._environment()
    parsed: list[str] = []
    parse = environment.parse
    monkeypatch.setattr(environment, "parse", lambda text: (parsed.append(text), parse(text)))
    monkeypatch.setattr(templates, "_environment", lambda: environment)
    for count in (10, 100, 1000, 5000, 20_000, 40_000, 100_000):
        template_fault("{{ x" + repeated * count + " }}")
    assert parsed
    assert max(sum(1 for _ in environment.lex(text)) for text in parsed) <= MAX_TOKENS


def test_characters_have_a_limit_too() -> None:
    assert template_fault("x" * MAX_CHARACTERS) is None
    fault = template_fault("x" * (MAX_CHARACTERS + 1))
    assert fault == "is too large to check: 262,145 characters, where 262,144 are left for it"
    assert template_fault("{{ x }}" * (MAX_TOKENS // 5 + 1)) == (
        "is too large to check: more than 32,768 tokens"
    )


def faults(values: dict[str, Any]) -> dict[str, str]:
    metadata = Metadata((key, ValueType.STRING, value) for key, value in values.items())
    return dict(templates.template_faults(metadata))


def test_many_templates_count_together() -> None:
    half = "x" * (MAX_CHARACTERS // 2)
    values = {KEY: half, f"{KEY}.x": half * 3, f"{KEY}.a": half, f"{KEY}.b": "x", f"{KEY}.c": "{{"}
    assert faults(values) == {
        f"{KEY}.x": "is too large to check: 393,216 characters, where 131,072 are left for it",
        f"{KEY}.b": "is too large to check: 1 characters, where 0 are left for it",
        f"{KEY}.c": "is too large to check: 2 characters, where 0 are left for it",
    }


def test_so_does_their_number() -> None:
    values = {f"{KEY}.{i}": "{{ x }}" for i in range(10_000)}
    found = faults(values)
    assert found == {f"{KEY}.{MAX_TEMPLATES}": "is one of 10,000; only the first 32 are checked"}


def test_verify_says_so_in_a_line(tmp_path: Any) -> None:
    metadata = Metadata([(KEY, ValueType.STRING, HOSTILE["a number of 5,000 digits"])])
    gguf_tools.write(tmp_path / "a.gguf", metadata, [])
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "a.gguf")])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert "the template does not parse: Exceeds the limit" in " ".join(done.output.split())
    (tmp_path / "chat.jinja").write_text(HOSTILE["a number of 5,000 digits"])
    done = CliRunner().invoke(
        main, ["edit", str(tmp_path / "a.gguf"), "--set-template", str(tmp_path / "chat.jinja")]
    )
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
