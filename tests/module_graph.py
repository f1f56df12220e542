"""Which modules import which, read from their sources: anywhere in them, for type checking too."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Set
from pathlib import Path

__all__ = ["circles", "imported_modules", "imports_by_module", "modules_of"]


def modules_of(root: Path) -> dict[str, Path]:
    """Files under the package directory ``root`` by dotted name."""
    made = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        made[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return made


def imported_modules(code: str, package: str, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each module among ``known`` that code in ``package`` imports itself or a name from.

    That importing a module runs the packages around it first does not count.
    """
    parts = package.split(".")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            found = name if name in known else name.rpartition(".")[0]
            if found in known:
                yield node.lineno, found


def imports_by_module(root: Path) -> dict[str, set[str]]:
    """The other modules of the package at ``root`` that each module imports."""
    modules = modules_of(root)
    made = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        code = path.read_text(encoding="utf-8")
        made[name] = {found for _, found in imported_modules(code, package, modules)} - {name}
    return made


def circles(graph: Mapping[str, Set[str]]) -> list[frozenset[str]]:
    """Groups of nodes that all lead to each other: the strongly connected components of more than one."""
    reached = {node: _reached(graph, node) for node in graph}
    groups = {
        frozenset({node, *(other for other in reached[node] if node in reached[other])}) for node in graph
    }
    return sorted((group for group in groups if len(group) > 1), key=sorted)


def _reached(graph: Mapping[str, Set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - seen
        seen |= new
        todo += new
    return seen
