"""Every command line in a help text and in the README is one the program understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gguf_tools.cli import COMMANDS, main
from gguf_tools.recipes import RECIPES
from tests.cli.invoking import said

README = Path(__file__).resolve().parents[2] / "README.md"

OPERATORS = {"|", "||", "&&", ";", ">", "|&", "&"}


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every ``gguf-tools …`` in lines of shell: after a prompt, a pipe or in ``$(…)``."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        for inner in re.findall(r"\$\((gguf-tools [^)]*)\)", line):
            yield shlex.split(inner)[1:]
        if not re.match(r"\s*(\$ )?([A-Z_]+=\S+ )*gguf-tools ", line):
            continue
        words: list[str] = []
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if word in OPERATORS:
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                if words and words[0] == "gguf-tools":
                    yield words[1:]
                words = []
                if word == ">":
                    break
            else:
                words.append(word)


def code_of(markdown: str) -> str:
    """What stands in fenced blocks."""
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL))


def context() -> click.Context:
    """That of the program, which its commands inherit settings from."""
    return click.Context(main, info_name="gguf-tools", **main.context_settings)


def check(arguments: list[str]) -> None:
    """Parse a command line, without running it."""
    name, *others = arguments
    command = main.get_command(context(), name)
    assert command is not None, f"no command {name}"
    recipe = command.make_context(name, others, parent=context()).params.get("recipe")
    assert recipe is None or recipe in RECIPES


def documented(name: str) -> list[list[str]]:
    """The examples in a command's help, or in that of the program itself."""
    _, _, examples = said(*([name] if name else []), "--help").partition("Examples:\n")
    return list(command_lines(examples))


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_examples_in_help(name: str) -> None:
    examples = documented(name)
    assert len(examples) >= 2, "a page without examples"
    assert not name or sum(example[0] == name for example in examples) >= 2
    for example in examples:
        check(example)


def test_examples_in_the_readme() -> None:
    examples = list(command_lines(code_of(README.read_text())))
    assert len(examples) >= 15
    for example in examples:
        check(example)


def test_options_the_readme_speaks_of_exist() -> None:
    prose = re.sub(r"^```.*?^```", "", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    spoken = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]*)[^`\n]*`", prose))
    commands = [main.get_command(context(), name) for name in COMMANDS]
    known = {
        spelling
        for command in [main, *commands]
        if command is not None
        for parameter in command.get_params(context())
        for spelling in [*parameter.opts, *parameter.secondary_opts]
    }
    assert spoken
    assert spoken - known == set()


@pytest.mark.parametrize(
    "line",
    [
        "gguf-tools inspekt a.gguf",
        "$ gguf-tools inspect a.gguf --tensor",
        "A=1 gguf-tools split a.gguf --max-size 2X | cat",
        'eval "$(gguf-tools completion csh)"',
        "gguf-tools convert a b --type Q4_K_Z",
        "gguf-tools merge \\\n  a b --no-such",
    ],
)
def test_the_test_sees(line: str) -> None:
    """The check itself: each of these must be found to be wrong."""
    (arguments,) = command_lines(line)
    with pytest.raises((click.UsageError, AssertionError)):
        check(arguments)
