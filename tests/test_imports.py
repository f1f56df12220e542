"""Imports point one way only, and heavy packages stay where they belong.

The layers are those of the README's architecture section. Imports inside functions and for type checking
count too: they are dependencies of thought, if not of the machine.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gguf_tools

PACKAGE = Path(gguf_tools.__file__).parent

LAYERS = (
    {"printable"},
    {"errors", "system"},
    {"spec"},
    {"source", "io"},
    {"compute"},
    {"quants"},
    {"container", "checkpoint"},
    {"recipes", "hyperparameters"},
    {"architectures"},
    {"tokenizers"},
    {"conversion"},
    {"editing"},
    {"inspection"},
    {"verification", "estimation"},
    {"reports"},
    {"cli"},
    {"__main__"},
)
RANKS = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}

CONFINED = {
    "numba": {"compute"},
    "llvmlite": {"compute"},
    "click": {"cli"},
    "rich": {"cli"},
    "gguf": {"architectures"},
    "jinja2": {"verification"},
    "blake3": {"verification"},
    "torch": {"checkpoint"},
    "fsspec": {"io/remote"},
    "huggingface_hub": {"io/remote"},
    "urllib3": {"io/remote"},
    "transformers": set(),
}
"""Packages that may be imported in certain rooms only."""

WITH_CIRCLES = {"remote"}
"""Rooms that are not free of circles yet."""

ROOMS = sorted(room for room in RANKS.keys() - WITH_CIRCLES if (PACKAGE / room).is_dir())

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    """The layer's member a file belongs to: its package, or itself at the top."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything a module imports, anywhere in it."""
    package = ("gguf_tools", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)


def faults(path: Path) -> Iterator[str]:
    room = room_of(path)
    for line, name in imported(path):
        top, *rest = name.split(".")
        where = f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        if top != "gguf_tools":
            folder = path.relative_to(PACKAGE).parent.as_posix()
            if not {room, folder} & CONFINED.get(top, {room}):
                yield f"{where}, which only {sorted(CONFINED[top])} may"
            continue
        target = rest[0] if rest else ""
        if target not in RANKS:
            yield f"{where}: import from the module that defines it"
        elif target != room and RANKS[target] >= RANKS[room]:
            yield f"{where}, against the direction of imports"


def circles(folder: Path) -> list[list[str]]:
    """Modules of a package that need one another, wherever they import: a list for each such set."""
    names = {
        path: ".".join(("gguf_tools", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in MODULES
    }
    names = {
        path: name.removesuffix(".__init__") for path, name in names.items() if path.is_relative_to(folder)
    }
    known = set(names.values())
    needs: dict[str, set[str]] = {}
    for path, name in names.items():
        found = {what if what in known else what.rpartition(".")[0] for _, what in imported(path)}
        needs[name] = (found & known) - {name}
    reached = {name: set(needs[name]) for name in needs}
    for middle in needs:
        for name in needs:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    sets = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in needs}
    return [list(found) for found in sorted(sets) if found]


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_needs_itself(room: str) -> None:
    """Between rooms imports point one way; inside of one they must not go in a circle either."""
    assert circles(PACKAGE / room) == []


def test_the_test_sees_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "room").mkdir()
    contents = {
        "a": "from .b import x",
        "b": "def f():\n    from . import c",
        "c": "from .a import y",
        "d": "from . import a",
    }
    for name, text in contents.items():
        (tmp_path / "room" / f"{name}.py").write_text(text)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    monkeypatch.setitem(globals(), "MODULES", sorted(tmp_path.rglob("*.py")))
    assert circles(tmp_path / "room") == [[f"gguf_tools.room.{name}" for name in "abc"]]


def test_every_module_has_its_place() -> None:
    assert {room_of(path) for path in MODULES} <= set(RANKS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    assert list(faults(path)) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("quants/x.py", "from ..container import y"),
        ("container/x.py", "from gguf_tools.checkpoint.z import y"),
        ("errors.py", "from . import spec"),
        ("conversion/x.py", "from ..cli import y"),
        ("conversion/x.py", "from .. import quantize"),
        ("conversion/x.py", "def f():\n    import click"),
        ("checkpoint/x.py", "import numba.core"),
        ("cli/x.py", "import gguf"),
    ],
)
def test_the_test_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, line: str) -> None:
    """The check itself: each of these must be found."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)
    assert len(list(faults(path))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "import gguf_tools, gguf_tools.container, gguf_tools.checkpoint",
        "from gguf_tools.container import open_gguf, write_gguf, Metadata, Array",
        "import gguf_tools.verification.verify",
        "import gguf_tools; gguf_tools.open, gguf_tools.write, gguf_tools.Metadata",
    ],
)
def test_heavy_packages_are_not_loaded(line: str) -> None:
    heavy = [*sorted(CONFINED), "safetensors"]
    code = f"{line}\nimport sys\nprint(sorted(set({heavy}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line", ["import gguf_tools", "import gguf_tools.container; gguf_tools.container.open_gguf"]
)
def test_neither_importing_nor_opening_takes_numpy(line: str) -> None:
    code = f"{line}\nimport sys\nprint('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_all_public_names_resolve() -> None:
    for name in gguf_tools.__all__:
        assert getattr(gguf_tools, name) is not None
    assert set(gguf_tools.__all__) <= set(dir(gguf_tools))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gguf_tools.nonsense  # noqa: B018
