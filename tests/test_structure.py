"""How the package and its tests are laid out: what stands where, and what a module may not know of."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools import architectures
from gguf_tools.architectures.families import ARCHITECTURES, FAMILIES
from gguf_tools.tokenizers.export_vocab import MODELS
from gguf_tools.tokenizers.pretokenizer_table import RUNTIME_NAMES, SAME
from tests import tiny
from tests.module_graph import circles, imported_modules, imports_by_module, modules_of

PACKAGE = Path(gguf_tools.__file__).parent
TESTS = Path(__file__).parent

NAMES = frozenset(family.name for family in ARCHITECTURES)
TABLES = dict(zip(FAMILIES, ARCHITECTURES, strict=True))

FORMAT_VALUES = {
    "tokenizers": frozenset(MODELS),
    "tokenizers/pretokenizer_table.py": RUNTIME_NAMES | SAME.keys() | set(" ".join(SAME).split()),
}
"""Values of the format itself that are called as an architecture, by the folder or file that may state them:
of ``tokenizer.ggml.model`` and ``tokenizer.ggml.pre``."""

OTHER_VALUES = {
    ("architectures/granite_parts.py", "mamba"): "a kind of layer, in config.json's ``layer_types``",
    ("architectures/nemotron_parts.py", "mamba"): "a kind of layer, in config.json's lists of them",
    ("architectures/nemotron_parts.py", "nemotron_h"): "a ``model_type`` of transformers",
    ("checkpoint/packed/__init__.py", "bitnet"): "a ``quant_method`` of config.json, and its module",
}
"""Strings that are called as an architecture and mean something else, and what."""

MEDIAN_LINES = 45
"""Of a family's module, at most. To be lowered as families get shorter."""

CIRCLES: dict[tuple[str, ...], str] = {}
"""Modules that import each other, and why as yet. An entry goes when its circle does."""


class TestTinyCheckpoints:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_family_has_some(self, family: str) -> None:
        models = tiny.OF_FAMILY[family]
        assert models, f"tests/architectures/families/{family}.py is missing or has no MODELS"
        for name, model in models.items():
            assert architectures.find(model.config) is TABLES[family], name

    def test_each_module_is_a_family(self) -> None:
        folder = TESTS / "architectures" / "families"
        assert {path.stem for path in folder.glob("*.py")} == {*FAMILIES, "__init__"}

    def test_no_name_is_used_twice(self) -> None:
        names = [name for models in tiny.OF_FAMILY.values() for name in models] + [*tiny.PACKED_NAMES]
        assert sorted(names) == sorted(tiny.MODELS)


class TestModulesOfTests:
    def test_none_is_imported_by_another(self) -> None:
        assert list(imported_tests(TESTS)) == []

    @pytest.mark.parametrize(
        "line",
        [
            "from tests.a.test_b import c",
            "from tests.a import test_b",
            "from .test_b import c",
            "from . import test_b",
            "import tests.a.test_b as b",
            "def f():\n    from .test_b import c",
            "CODE = 'import os; from tests.a.test_b import c'",
            "CODE = f'{x}\\nfrom tests.a.test_b import c'",
        ],
    )
    def test_the_test_sees(self, tmp_path: Path, line: str) -> None:
        folder = tmp_path / "tests" / "a"
        folder.mkdir(parents=True)
        (folder / "test_b.py").write_text("CODE = 'from tests.a.test_b import c'")  # its own names
        (folder / "other.py").write_text(line)
        assert len(list(imported_tests(tmp_path / "tests"))) == 1


def imported_tests(root: Path) -> Iterator[str]:
    """Where a module imports one of tests, also in code that it runs in another process."""
    modules = modules_of(root)
    tests = {name for name in modules if name.rpartition(".")[2].startswith("test_")}
    for name, path in modules.items():
        code = path.read_text(encoding="utf-8")
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = {*imported_modules(code, package, modules), *_in_strings(code)}
        yield from (f"{name}:{line} imports {other}" for line, other in found if other in tests - {name})


def _in_strings(code: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for match in re.finditer(r"\b(?:from|import) +(tests\.[\w.]+)", node.value):
                yield node.lineno, match[1]


class TestNamesOfArchitectures:
    def test_stand_with_the_families_only(self) -> None:
        found = {
            (path.relative_to(PACKAGE).as_posix(), value): line
            for path in sorted(PACKAGE.rglob("*.py"))
            if path.parent != PACKAGE / "architectures" / "families"
            for line, value in named_in(path.read_text(encoding="utf-8"))
        }
        stray = {place for place in found if not _is_of_the_format(*place)}
        assert stray == set(OTHER_VALUES), "a trait of the family should say what depends on it"

    def test_the_test_sees(self) -> None:
        code = "__all__ = ['qwen3']\ndef f(x):\n    return x in ('qwen3', 'clip') or x == 'Qwen3'"
        assert list(named_in(code)) == [(3, "qwen3")]


def named_in(code: str) -> Iterator[tuple[int, str]]:
    """Line and value of each string that is an architecture's name, those in ``__all__`` aside."""
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
                yield node.lineno, node.value


def _is_of_the_format(path: str, value: str) -> bool:
    return any(
        value in values and (path == place or path.startswith(f"{place}/"))
        for place, values in FORMAT_VALUES.items()
    )


def test_most_families_are_short(measured: Callable[[str], None]) -> None:
    sizes = [
        len((PACKAGE / "architectures" / "families" / f"{name}.py").read_text(encoding="utf-8").splitlines())
        for name in FAMILIES
    ]
    measured(f"a family's module has {statistics.median(sizes):g} lines in the median, {max(sizes)} at most")
    assert statistics.median(sizes) <= MEDIAN_LINES


def test_modules_that_import_each_other_are_known() -> None:
    found = {tuple(sorted(group)) for group in circles(imports_by_module(PACKAGE))}
    assert found == set(CIRCLES)


def test_circles_are_found_in_functions_and_for_type_checking(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("from .a import x")
    (package / "inner" / "a.py").write_text("if TYPE_CHECKING:\n    from ..b import x")
    (package / "b.py").write_text("def f():\n    from . import c")
    (package / "c.py").write_text("import package.inner.a")
    (package / "d.py").write_text("from package import c, e")
    (package / "e.py").write_text("from .inner import x")
    assert circles(imports_by_module(package)) == [{"package.b", "package.c", "package.inner.a"}]
