"""How the folder hangs together: no circles, and nothing of it is needed for local files."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from gguf_tools.io import remote
from tests.io.remote.files import model

FOLDER = Path(remote.__file__).parent


def imported(path: Path) -> set[str]:
    """Modules of the folder that one of them imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return {name for name in found if (FOLDER / f"{name}.py").exists()}


def test_no_module_needs_itself() -> None:
    graph = {path.stem: imported(path) for path in FOLDER.glob("*.py")}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)
    assert graph["location"] == set()


WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"urllib3", "fsspec", "huggingface_hub", "s3fs"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
import gguf_tools
from gguf_tools.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "url", ["https://h/m.gguf", "hf://org/name/m.gguf", "hf://org/name", "s3://b/m.gguf"]
)
def test_without_the_extra_a_url_says_how_to_get_it(url: str) -> None:
    command = [sys.executable, "-c", WITHOUT, "inspect", url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "pip install 'gguf-tools[remote]'" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_without_the_extra_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(model())
    command = [sys.executable, "-c", WITHOUT, "inspect", str(tmp_path / "m.gguf")]
    assert "toy" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
