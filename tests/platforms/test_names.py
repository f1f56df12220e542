"""What some system lacks is used in one module only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gguf_tools
from tests.platforms.lacking import MACOS, MODULES, WINDOWS

PACKAGE = Path(gguf_tools.__file__).parent
SYSTEM = PACKAGE / "system.py"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != SYSTEM)

LACKING = {
    module: WINDOWS.get(module, frozenset()) | MACOS.get(module, frozenset()) for module in {*WINDOWS, *MACOS}
}
"""Names that Windows or macOS does not have, by module."""


def uses(text: str) -> Iterator[str]:
    """Line and name of whatever is used of it."""
    modules: dict[str, str] = {}
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name] = alias.name
                if alias.name in MODULES:
                    yield f"{node.lineno}: {alias.name}"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if node.module in MODULES:
                yield f"{node.lineno}: {node.module}"
            for alias in node.names:
                if alias.name in LACKING.get(node.module or "", ()):
                    yield f"{node.lineno}: {node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if node.attr in LACKING.get(module, ()):
                yield f"{node.lineno}: {module}.{node.attr}"
        elif isinstance(node, ast.Attribute) and node.attr == "st_blocks":
            yield f"{node.lineno}: st_blocks"
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/proc")
        ):
            yield f"{node.lineno}: {node.value}"


def test_it_is_used_in_one_module_only() -> None:
    found = [f"{path.relative_to(PACKAGE)}:{use}" for path in FILES for use in uses(path.read_text("utf-8"))]
    assert found == [], "these belong into gguf_tools/system.py"


def test_that_module_uses_some() -> None:
    assert list(uses(SYSTEM.read_text("utf-8")))


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "def f():\n    import resource",
        "from fcntl import flock",
        "import os\nos.preadv(0, [], 0)",
        "import os as o\nprint(o.O_NOFOLLOW)",
        "from os import getuid",
        "import signal\nsignal.SIGURG",
        "import mmap\nmmap.mmap(-1, 1, mmap.MAP_PRIVATE)",
        "import os\nos.stat('a').st_blocks",
        "open('/proc/self/maps')",
    ],
)
def test_the_test_sees(text: str) -> None:
    assert len(list(uses(text))) == 1
