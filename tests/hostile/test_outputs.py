"""Outputs in a directory where others write too: what they may read, and what they may have put there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.conversion import engine
from gguf_tools.conversion.extract import plan_extraction
from gguf_tools.conversion.sharding import split_plan
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.conversion.to_hf import plan_export
from gguf_tools.editing import in_place
from gguf_tools.errors import OutputError
from gguf_tools.io import atomic_files as files
from gguf_tools.io.atomic_files import AtomicDirectory, AtomicFile
from gguf_tools.io.temp_names import hidden_sibling


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@contextmanager
def masked(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def model(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(tiny_checkpoints["llama"], path, type="Q8_0")
    return path


JOBS: dict[str, Callable[[Path, Path, Path], object]] = {
    "convert": lambda source, model, out: gguf_tools.convert(source, out / "a.gguf", type="F16"),
    "convert, in shards": lambda source, model, out: gguf_tools.convert(
        source, out / "a.gguf", type="F16", split_max_size=1_000_000
    ),
    "export": lambda source, model, out: gguf_tools.export(model, out / "a"),
    "extract": lambda source, model, out: gguf_tools.extract(model, out / "a", ["blk.0.*"]),
    "split": lambda source, model, out: gguf_tools.split(model, out / "a", max_tensors=9),
}


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027, 0])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_all_that_is_made_is_as_the_umask_says(
    job: Callable[[Path, Path, Path], object],
    mask: int,
    model: Path,
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    with masked(mask):
        job(tiny_checkpoints["llama"], model, tmp_path / "out")
    made = list((tmp_path / "out").rglob("*"))
    assert made
    for path in made:
        assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~mask, path


@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("kind", ["file", "shards", "directory"])
def test_what_an_interrupted_run_leaves_is_no_more_open(
    kind: str, mask: int, model: Path, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Partial file or directory, and journal."""

    def fail(done: int, total: int, tensor: str) -> None:
        raise InterruptedError

    target = tmp_path / "out" / "a"
    target.parent.mkdir()
    plan = plan_export(model) if kind == "directory" else plan_conversion(tiny_checkpoints["llama"])
    if kind == "shards":
        plan = split_plan(plan, target, 400_000)
    with masked(mask), pytest.raises(InterruptedError):
        engine.execute(plan, target, engine.RunOptions(resume=True, threads=1, progress=fail))
    left = list((tmp_path / "out").rglob("*"))
    assert any(path.name.endswith(".journal") for path in left)
    assert any(path.name.endswith(".partial") for path in left)
    for path in left:
        assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~mask, path


@pytest.mark.parametrize("keys", [{"general.name": "x"}, {"general.name": "x" * 5000}], ids=["fits", "moved"])
@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664])
def test_an_edited_file_is_as_open_as_it_was(permissions: int, keys: dict[str, str], model: Path) -> None:
    model.chmod(permissions)
    with masked(0):
        gguf_tools.edit(model, gguf_tools.Changes(set=keys))
    assert mode(model) == permissions
    with gguf_tools.open(model) as file:
        assert file.metadata["general.name"] == keys["general.name"]


def test_while_a_file_is_edited_its_copies_are_no_more_open(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hidden sibling it is rewritten to, and the journal of an edit in place."""
    model.chmod(0o600)
    seen = []
    write = AtomicFile.write_at

    def look(self: AtomicFile, offset: int, buffer: bytes) -> None:
        seen.append(stat.S_IMODE(os.fstat(self.fd).st_mode))
        write(self, offset, buffer)

    monkeypatch.setattr(AtomicFile, "write_at", look)
    with masked(0):
        gguf_tools.edit(model, gguf_tools.Changes(set={"general.name": "x" * 5000}))
        assert seen
        data = model.read_bytes()
        count = len(seen)
        in_place.overwrite(model, data[:5000], bytes(5000))
        assert len(seen) > count
    assert set(seen) == {0o600}


def test_a_group_that_cannot_be_given_is_given_no_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = tmp_path / "model", tmp_path / "other"
    model.touch()
    model.chmod(0o664)
    facts = model.stat()
    foreign = os.stat_result((*facts[:5], facts.st_gid + 1, *facts[6:]))

    def refuse(fd: int, uid: int, gid: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with AtomicFile(other, like=model):
        pass
    assert mode(other) == 0o664
    monkeypatch.setattr(Path, "stat", lambda path, **_: foreign if path == model else os.stat(path))
    with AtomicFile(other, like=model, force=True):
        pass
    assert mode(other) == 0o604


# What others have put there


def converting(tiny_checkpoints: dict[str, Path], target: Path, **options: bool) -> None:
    engine.execute(
        plan_conversion(tiny_checkpoints["llama"], recipe="F16"), target, engine.RunOptions(**options)
    )


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("suffix", [".partial", ".journal"])
@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "to nothing"])
def test_a_link_at_a_hidden_name_is_not_followed(
    suffix: str, resume: bool, exists: bool, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    victim, target = tmp_path / "victim", tmp_path / "a.gguf"
    if exists:
        victim.write_bytes(b"mine")
    hidden_sibling(target, suffix).symlink_to(victim)
    try:
        converting(tiny_checkpoints, target, resume=resume)
    except OutputError:
        assert not target.exists()
    else:  # the link was of no use to anybody, and has been removed
        assert suffix == ".partial"
        assert target.is_file()
        assert not target.is_symlink()
    assert victim.read_bytes() == b"mine" if exists else not victim.exists()


def begun(model: Path, target: Path) -> None:
    """An export that was interrupted and can be continued."""

    def fail(done: int, total: int, tensor: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.execute(plan_export(model), target, engine.RunOptions(resume=True, threads=1, progress=fail))


def test_a_link_in_place_of_a_partial_directory_is_not_followed(model: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    begun(model, target)
    partial = hidden_sibling(target, ".partial")
    partial.rename(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    partial.symlink_to(elsewhere)
    with pytest.raises(OutputError, match="was not put there by this program"):
        engine.execute(plan_export(model), target, engine.RunOptions(resume=True))
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before
    assert not target.exists()


def test_a_link_in_a_partial_directory_is_not_followed(model: Path, tmp_path: Path) -> None:
    target, victim = tmp_path / "out", tmp_path / "victim"
    begun(model, target)
    (weights,) = hidden_sibling(target, ".partial").glob("*.safetensors")
    weights.rename(victim)
    before = victim.read_bytes()
    weights.symlink_to(victim)
    with pytest.raises(OutputError, match="cannot create the output"):
        engine.execute(plan_export(model), target, engine.RunOptions(resume=True))
    assert victim.read_bytes() == before


@pytest.mark.parametrize("what", ["pipe", "directory"])
def test_something_else_at_a_hidden_name(what: str, tmp_path: Path) -> None:
    partial = tmp_path / ".a.partial"
    os.mkfifo(partial) if what == "pipe" else partial.mkdir()
    with pytest.raises(OutputError), AtomicFile(tmp_path / "a", partial=partial):
        pytest.fail("was entered")
    assert os.path.lexists(partial)


def test_what_somebody_else_has_put_there_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path.stat()
    others = os.stat_result((*ours[:4], ours.st_uid + 1, *ours[5:]))
    assert files._is_own(ours, stat.S_IFDIR, tmp_path / "a")
    assert not files._is_own(others, stat.S_IFDIR, tmp_path / "a")
    assert not files._is_own(ours, stat.S_IFREG, tmp_path / "a")
    monkeypatch.setattr(files, "_is_own", lambda *_: False)
    partial = tmp_path / ".a.partial"
    for output in (AtomicFile, AtomicDirectory):
        partial.touch() if output is AtomicFile else partial.mkdir()
        with (
            pytest.raises(OutputError, match=r"was not put there by this program.*\.a\.partial"),
            output(tmp_path / "a", partial=partial),
        ):
            pytest.fail("was entered")
        partial.unlink() if output is AtomicFile else partial.rmdir()


def test_what_cannot_be_removed_is_named(
    tiny_checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / ".a.gguf.partial"
    partial.touch()
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == partial:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=r"cannot remove what lies .*not permitted.*\.a\.gguf\.partial"):
        converting(tiny_checkpoints, tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


# A link under the final name


def test_force_replaces_a_link_and_not_what_it_leads_to(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    victim, target = tmp_path / "victim.gguf", tmp_path / "a.gguf"
    victim.write_bytes(b"mine")
    target.symlink_to(victim)
    with pytest.raises(OutputError, match="exists already"):
        converting(tiny_checkpoints, target)
    converting(tiny_checkpoints, target, force=True)
    assert not target.is_symlink()
    assert victim.read_bytes() == b"mine"


def test_force_replaces_a_link_to_a_directory(model: Path, tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (victim / "mine").touch()
    target.symlink_to(victim)
    with pytest.raises(OutputError, match="exists already"):
        engine.execute(plan_export(model), target)
    engine.execute(plan_export(model), target, engine.RunOptions(force=True))
    assert not target.is_symlink()
    assert list(victim.iterdir()) == [victim / "mine"]


def test_a_link_to_nothing_is_not_written_through(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    target.symlink_to(tmp_path / "elsewhere.gguf")
    with pytest.raises(OutputError, match="exists already"):
        converting(tiny_checkpoints, target)
    assert not (tmp_path / "elsewhere.gguf").exists()


def test_a_link_among_an_extractions_files(model: Path, tmp_path: Path) -> None:
    """A directory is made anew under another name: nothing in the old one is written to."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "output.weight.npy").symlink_to(tmp_path / "victim")
    engine.execute(plan_extraction(model, target, ["output.weight"]), target, engine.RunOptions(force=True))
    assert not (tmp_path / "victim").exists()
    assert not (target / "output.weight.npy").is_symlink()
