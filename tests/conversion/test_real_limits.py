"""Limits that are the system's own: a small disk, a read-only one, no memory, a directory that vanishes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.errors import OutputError
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
COMMAND = (sys.executable, "-c", "from gguf_tools.cli import main; main()")

Mounted = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build("llama", tmp_path_factory.mktemp("limits"))


@pytest.fixture
def on_tmpfs(tmp_path: Path) -> Mounted:
    """Run a script in a mount namespace with a small tmpfs at ``$there``; ``$@`` is our command."""
    if subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount anything in a namespace of its own")

    def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        head = 'mount -t tmpfs -o size=256k none "$1"; cd "$2"; there=$1; shift 2\n'
        command = [*NAMESPACE, "sh", "-c", head + script, "sh", tmp_path, ROOT, *COMMAND, *arguments]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True)

    return run


def test_a_full_disk(on_tmpfs: Mounted, checkpoint: Path) -> None:
    done = on_tmpfs('"$@" "$there/a.gguf"; echo "exit $?"; ls -A "$there"', "convert", checkpoint)
    assert done.stdout == "exit 1\n"
    assert "disk full: needs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_read_only_disk(on_tmpfs: Mounted, checkpoint: Path) -> None:
    script = 'mount -o remount,ro "$there"; "$@" "$there/a.gguf"; echo "exit $?"; ls -A "$there"'
    done = on_tmpfs(script, "convert", checkpoint)
    assert done.stdout == "exit 1\n"
    assert "error:" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_directory_that_vanishes(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()

    def remove(*_: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(OutputError, match=r"a\.gguf: cannot"):
        gguf_tools.convert(checkpoint, folder / "a.gguf", type="Q8_0", progress=remove)
    assert not folder.exists()


@pytest.mark.parametrize("left", [0, 1, 9])
def test_no_memory(checkpoint: Path, tmp_path: Path, left: int) -> None:
    """However many megabytes are left, the command ends in one line and leaves nothing."""
    code = """
    import resource, sys
    import gguf_tools
    from gguf_tools.cli import main
    from tests.conversion.plans import plan_of
    gguf_tools.convert(sys.argv[1], sys.argv[2] + "/first.gguf", type="Q8_0")
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (int(sys.argv[3]) << 20)
    sys.argv[1:] = ["convert", sys.argv[1], sys.argv[2] + "/a.gguf", "--type", "F32"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    main()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(checkpoint), str(tmp_path), str(left)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    if done.returncode == 0:  # it was enough after all
        assert names == ["a.gguf", "first.gguf"]
        return
    assert names == ["first.gguf"]
    assert "Traceback" not in done.stderr, done.stderr
    assert "memory" in done.stderr
