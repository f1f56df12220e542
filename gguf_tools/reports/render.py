"""The page's one file from its parts, which are in ``page/``."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final

__all__ = ["filled"]

_SCRIPTS: Final = (
    *("dom.js", "model.js", "facts.js", "typemap.js", "treemap.js", "histograms.js", "table.js"),
    *("metadata.js", "main.js"),
)
"""In the order in which they need each other; together they are one strict function."""

_UNSAFE: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&"})
"""What could end a script element or begin a comment in it, as JSON may spell it inside of strings."""


def filled(document: dict[str, Any]) -> bytes:
    """The page about a document, as UTF-8."""
    parts = files(__package__) / "page"
    style = (parts / "style.css").read_text(encoding="utf-8")
    body = "\n".join((parts / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{body}}})();\n'
    text = Template((parts / "page.html").read_text(encoding="utf-8")).substitute(
        policy=_policy(style, script),
        title=escape(document["title"]),
        generator=escape(document["generator"]),
        style=style,
        script=script,
        data=_embedded(document),
    )
    return text.encode("utf-8", "replace")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy for this very style and script, and for nothing else whatever."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(document: dict[str, Any]) -> str:
    """JSON that is safe inside a script element: ASCII, without angle brackets."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_UNSAFE)
