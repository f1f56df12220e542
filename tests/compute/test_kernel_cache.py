"""Kernels on disk: taken only from the user's own files, and only whole."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gguf_tools.compute import kernel_cache
from tests.quants.interpreters import ENCODE, EXPECTED, ROOT, python

SOMEBODY = 12345
"""A user who is neither root nor us."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def compiled(cache: Path) -> Path:
    """A directory with the kernels of one format."""
    data, directory, files = python(ENCODE, {"NUMBA_CACHE_DIR": str(cache)})
    assert data == EXPECTED
    assert files
    return Path(directory)


@pytest.fixture(scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def cache(_kept: Path, tmp_path: Path) -> Path:
    """A place of its own for a cache that has been filled."""
    shutil.copytree(_kept, tmp_path / "cache" / _kept.name)
    return tmp_path / "cache"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory for kernels."""
    path = tmp_path / "kernels"
    path.mkdir(mode=0o700)
    return path


def kernels(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*"))


COUNT = """
import json, sys, numpy as np, gguf_tools.quants as q
data = q.quantize(np.linspace(-1, 1, 32, dtype=np.float32), "Q4_0")
stats = [
    kernel.stats for name, module in list(sys.modules.items()) if name.startswith("gguf_tools.")
    for kernel in {id(k): k for k in vars(module).values() if hasattr(k, "py_func")}.values()
]
misses = sum(len(s.cache_misses) for s in stats)
print(json.dumps([data.tolist(), sum(len(s.cache_hits) for s in stats), misses]))
"""


def used(cache: Path, **environment: str) -> tuple[int, int]:
    """How many kernels a process takes from the cache, and how many it compiles."""
    (cache.parent / "none").mkdir(exist_ok=True)
    other = {"XDG_CACHE_HOME": str(cache.parent / "none"), "NUMBA_CACHE_DIR": str(cache)}
    data, hits, misses = python(COUNT, other | environment)
    assert data == EXPECTED
    return hits, misses


class Payload:
    """A pickle that does something when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def planted(path: Path, marker: Path) -> None:
    """A file that would be believed, if it came from the right place."""
    kernel = pickle.dumps(Payload(marker))
    path.write_bytes(kernel_cache._MAGIC + hashlib.sha256(kernel).digest() + kernel)


def test_what_is_kept_is_used(cache: Path) -> None:
    hits, misses = used(cache)
    assert hits
    assert not misses


def test_the_users_own_is_believed(cache: Path, tmp_path: Path) -> None:
    """The trap works: what the tests below do not want to happen does, in a directory that is safe."""
    for path in kernels(cache):
        planted(path, tmp_path / "marker")
    used(cache)
    assert (tmp_path / "marker").exists()


def replaced_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").touch()


def replaced_by_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def grown(path: Path) -> None:
    os.truncate(path, 1 << 40)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"g"),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 16),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "cut in the head": lambda path: path.write_bytes(path.read_bytes()[:30]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit": flipped,
    "a terabyte": grown,
    "a bare pickle": lambda path: path.write_bytes(pickle.dumps(("x", ()))),
    "a directory": replaced_by_directory,
    "a link": replaced_by_link,
    "a dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "a pipe": replaced_by_pipe,
    "writable by others": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_none_and_makes_room(directory: Path, damage: Callable[[Path], object]) -> None:
    kernel = os.urandom(5000)
    kernel_cache.write_kernel(directory, "a", kernel)
    assert kernel_cache.read_kernel(directory, "a") == kernel
    damage(directory / "a")
    assert kernel_cache.read_kernel(directory, "a") is None
    assert list(directory.iterdir()) == []
    kernel_cache.write_kernel(directory, "a", kernel)
    assert kernel_cache.read_kernel(directory, "a") == kernel


def test_what_is_damaged_is_compiled_anew(cache: Path) -> None:
    """All kinds of damage at once, each to another file."""
    paths = kernels(cache)
    hits, _ = used(cache)
    kinds = list(DAMAGE.values())
    for first in range(0, len(kinds), len(paths)):
        for path, damage in zip(paths, itertools.islice(itertools.cycle(kinds), first, None), strict=False):
            damage(path)
        assert used(cache)[1] >= hits
        assert kernels(cache) == paths
        assert used(cache) == (hits, 0)


def test_another_kernel_under_its_name_is_not_taken_for_it(cache: Path) -> None:
    first, *rest = kernels(cache)
    for path in rest:
        shutil.copy(first, path)
    _, misses = used(cache)
    assert misses
    assert used(cache)[1] == 0


# Whom kernels are taken from


def make_foreign(directory: Path) -> None:
    os.chown(directory, SOMEBODY, SOMEBODY)


def make_foreign_with_files(directory: Path) -> None:
    for path in (directory, *directory.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)


def make_link(directory: Path) -> None:
    directory.rename(directory.parent.parent / "theirs")
    directory.symlink_to(directory.parent.parent / "theirs")


def open_above(directory: Path) -> None:
    directory.parent.chmod(0o777)


def open_above_link(directory: Path) -> None:
    """The place is open to all, which its own name does not show."""
    base = directory.parent
    (base.parent / "open").mkdir()
    (base.parent / "open").chmod(0o777)
    base.rename(base.parent / "open" / "real")
    base.symlink_to(base.parent / "open" / "real")


UNSAFE: dict[str, Callable[[Path], object]] = {
    "somebody's": make_foreign,
    "somebody's, with all files": make_foreign_with_files,
    "writable by the group": lambda directory: directory.chmod(0o770),
    "writable by all": lambda directory: directory.chmod(0o777),
    "writable by all, sticky": lambda directory: directory.chmod(0o1777),
    "a link": make_link,
    "below what is writable by all": open_above,
    "below a link to what is writable by all": open_above_link,
}


@as_root
@pytest.mark.parametrize("spoil", UNSAFE.values(), ids=UNSAFE)
def test_what_others_can_write_is_not_run(
    cache: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    (directory,) = cache.iterdir()
    for path in kernels(cache):
        planted(path, tmp_path / "marker")
    spoil(directory)
    before = {path.name: path.read_bytes() for path in kernels(cache)}
    hits, misses = used(cache)
    assert not (tmp_path / "marker").exists()
    assert hits == 0
    assert misses
    assert {path.name: path.read_bytes() for path in kernels(cache)} == before


@as_root
def test_somebodys_files_in_our_directory_are_not_run(cache: Path, tmp_path: Path) -> None:
    for path in kernels(cache):
        planted(path, tmp_path / "marker")
        os.chown(path, SOMEBODY, SOMEBODY)
    hits, _ = used(cache)
    assert hits == 0
    assert not (tmp_path / "marker").exists()
    assert {path.stat().st_uid for path in kernels(cache)} == {os.geteuid()}


def test_it_is_looked_at_at_every_use(tmp_path: Path) -> None:
    """A directory that was safe when it was found."""
    directory = tmp_path / "kernels"
    directory.mkdir(mode=0o700)
    kernel_cache.write_kernel(directory, "a", b"code")
    assert kernel_cache.read_kernel(directory, "a") == b"code"
    directory.chmod(0o777)
    assert kernel_cache.read_kernel(directory, "a") is None
    kernel_cache.write_kernel(directory, "b", b"code")
    assert [path.name for path in directory.iterdir()] == ["a"]


def test_it_is_made_for_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "a" / "b"))
    before = os.umask(0)
    try:
        directory = kernel_cache.find_directory("kernels-1")
        assert directory is not None
        kernel_cache.write_kernel(directory, "k", b"code")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (directory, directory.parent, directory.parent.parent)}
    assert modes == {0o700}
    assert (directory / "k").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("root", [os.geteuid(), SOMEBODY])
def test_what_root_has_made_serves_everybody(
    directory: Path, monkeypatch: pytest.MonkeyPatch, root: int
) -> None:
    """As in an image that is filled once; what a third user has made does not."""
    kernel_cache.write_kernel(directory, "a", b"code")
    monkeypatch.setattr(kernel_cache, "user", lambda: SOMEBODY + 1)
    monkeypatch.setattr(kernel_cache, "_ROOT", root)
    assert kernel_cache.read_kernel(directory, "a") == (b"code" if root == os.geteuid() else None)
    assert (directory / "a").exists()


def test_where_files_have_no_owners_the_place_has_to_do(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes say nothing there: they read as open to all."""
    monkeypatch.setattr(kernel_cache, "user", lambda: None)
    directory.chmod(0o777)
    kernel_cache.write_kernel(directory, "a", b"code")
    (directory / "a").chmod(0o666)
    assert kernel_cache.read_kernel(directory, "a") == b"code"


def test_one_that_can_be_written_to_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(first))
    monkeypatch.setenv("XDG_CACHE_HOME", str(second))
    assert kernel_cache.find_directory("k") == first / "k"
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(first))
    assert kernel_cache.find_directory("k") == second / "gguf-tools" / "k"
    (second / "gguf-tools" / "k").chmod(0o777)
    assert kernel_cache.find_directory("k") == first / "k"
    (first / "k").chmod(0o777)
    assert kernel_cache.find_directory("k") is None


# Disks


@pytest.mark.parametrize("call", ["open", "write", "replace", "close"])
def test_a_disk_that_fails_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)

    def full(*arguments: object, **named: object) -> object:
        if call == "close":
            real(*arguments, **named)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    kernel_cache.write_kernel(directory, "a", b"code")
    monkeypatch.undo()
    assert list(directory.iterdir()) == []


def test_a_full_disk_is_no_error(cache: Path) -> None:
    shutil.rmtree(cache)
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n{COUNT}"
    data, _, misses = python(code, {"NUMBA_CACHE_DIR": str(cache)})
    assert data == EXPECTED
    assert misses
    assert kernels(cache) == []


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Each compiles, or takes what another has made; what stays is whole."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COUNT]
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for child in children:
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0
        assert str(EXPECTED) in out
    hits, misses = used(tmp_path / "cache")
    assert hits
    assert misses == 0
