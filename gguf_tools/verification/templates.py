"""Do chat templates parse? They are parsed in Jinja's sandbox, and never rendered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from ..container.metadata import Metadata

__all__ = ["MAX_CHARACTERS", "MAX_TEMPLATES", "MAX_TOKENS", "template_fault", "template_faults"]

_KEY: Final = "tokenizer.chat_template"

MAX_CHARACTERS: Final = 1 << 18
"""Of all templates of a file together. The largest of real models have some ten thousand."""

MAX_TOKENS: Final = 1 << 15
"""Of one template, as Jinja counts: names, operators, blanks. Real ones have some thousand. Jinja takes about
10 microseconds for each, whatever the tokens are, so this is a third of a second."""

MAX_TEMPLATES: Final = 32
"""In one file. Real models have up to four: for tools, for documents, …"""


def template_faults(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Keys with templates that do not parse or are not looked at, and why, as of `template_fault`."""
    keys = [key for key in metadata if key == _KEY or key.startswith(f"{_KEY}.")]
    left = MAX_CHARACTERS
    for key in keys[:MAX_TEMPLATES]:
        value = metadata[key]
        fault = template_fault(value, left) if isinstance(value, str) else "is not a text"
        if isinstance(value, str) and len(value) <= left:
            left -= len(value)
        if fault is not None:
            yield key, fault
    if len(keys) > MAX_TEMPLATES:
        yield keys[MAX_TEMPLATES], f"is one of {len(keys):,}; only the first {MAX_TEMPLATES} are checked"


def template_fault(text: str, most: int = MAX_CHARACTERS) -> str | None:
    """Why a template does not parse or is not looked at, in words after "the template"; None if it parses.

    The dialect is transformers': loop controls, and ``{% generation %}`` blocks.

    Args:
        text: the template.
        most: characters it may have, of those there are for all of a file.
    """
    from jinja2 import TemplateError

    if len(text) > most:
        return f"is too large to check: {len(text):,} characters, where {max(most, 0):,} are left for it"
    try:
        environment = _environment()
        tokens = sum(1 for _ in islice(environment.lex(text), MAX_TOKENS + 1))
        if tokens > MAX_TOKENS:
            return f"is too large to check: more than {MAX_TOKENS:,} tokens"
        environment.parse(text)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        return f"does not parse: line {line}: {error.message}" if line else f"does not parse: {error.message}"
    except RecursionError:
        return "does not parse: its blocks are nested too deeply"
    except MemoryError:
        return "is too large to check: there is no memory for it"
    except Exception as error:  # what Jinja does not expect, such as a number of 5,000 digits
        return f"does not parse: {error}"
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
