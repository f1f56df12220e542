"""Do chat templates parse? They are parsed in Jinja's sandbox, and never rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..container.metadata import Metadata

__all__ = ["template_fault", "template_faults"]

_KEY: Final = "tokenizer.chat_template"

MAX_CHARACTERS: Final = 1 << 20
"""Real templates have up to some ten thousand; a megabyte of nested blocks would keep the parser busy."""


def template_faults(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Keys with templates that do not parse, and why."""
    for key in metadata:
        if key == _KEY or key.startswith(f"{_KEY}."):
            value = metadata[key]
            fault = template_fault(value) if isinstance(value, str) else "not a text"
            if fault is not None:
                yield key, fault


def template_fault(text: str) -> str | None:
    """Why a template does not parse, or None where it does.

    The dialect is transformers': loop controls, and ``{% generation %}`` blocks.
    """
    from jinja2 import TemplateError

    if len(text) > MAX_CHARACTERS:
        return f"a template of {len(text):,} characters is not looked at"
    try:
        _environment().parse(text)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        return f"line {line}: {error.message}" if line else str(error.message)
    except RecursionError:
        return "its blocks are nested too deeply"
    return None


def _environment() -> Any:
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}``: marks what the assistant says."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja wants it

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
