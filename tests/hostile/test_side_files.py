"""What lies beside a file of the user's under a name that can be foreseen.

Whatever somebody has put there, it is looked at before it is believed, costs no time and no memory, and is
never written through.

Commands run in processes of their own, with little memory and time: they must not wait, nor read for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.container.journal import InterruptedEditError, journal_path, read_journal
from gguf_tools.editing.in_place import recover
from gguf_tools.errors import FormatError, GGUFToolsError, OutputError
from gguf_tools.io.atomic_files import AtomicFile
from gguf_tools.io.temp_names import hidden_sibling, open_own
from tests import builders as b

MODEL = b.small()
MEMORY = 1 << 31
MAIN = "from gguf_tools.cli import main; main()"


def facts(path: Path, **changes: object) -> bytes:
    """The first line of a journal of a file, and one old byte."""
    old = b"G"
    status = path.stat()
    known: dict[str, object] = {
        "magic": "gguf-tools edit journal 1",
        "offset": 0,
        "bytes": len(old),
        "sha256": hashlib.sha256(old).hexdigest(),
        "size": status.st_size,
        "inode": status.st_ino,
    }
    return json.dumps(known | changes).encode() + b"\n" + old


def changed(**values: object) -> Callable[[Path, Path], None]:
    return lambda model, place: place.write_bytes(facts(model, **values)) and None


def sparse(model: Path, place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 40)


def linked(model: Path, place: Path) -> None:
    """Another name of a sound journal, which is somebody else's for all we know."""
    other = place.with_name("other")
    other.write_bytes(facts(model))
    os.link(other, place)


def raw(data: bytes) -> Callable[[Path, Path], None]:
    return lambda model, place: place.write_bytes(data) and None


PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "a named pipe": lambda model, place: os.mkfifo(place),
    "a directory": lambda model, place: place.mkdir(),
    "a link to an endless device": lambda model, place: place.symlink_to("/dev/zero"),
    "a link to a terminal": lambda model, place: place.symlink_to("/dev/tty"),
    "a link to nothing": lambda model, place: place.symlink_to("nothing"),
    "a link to itself": lambda model, place: place.symlink_to(place.name),
    "a terabyte of zeros": sparse,
    "a hard link": linked,
    "nothing in it": raw(b""),
    "no line": raw(b"x" * 10_000),
    "deep JSON": raw(b"[" * 4000 + b"\n"),
    "deep JSON without an end": raw(b'{"a":' * 2_000_000),
    "not UTF-8": raw(b"\xff\xfe\n"),
    "a list": raw(b"[1]\n"),
    "a number": raw(b"1e999\n"),
    "no facts": raw(b"{}\n"),
    "an infinite inode": raw(b'{"magic":"gguf-tools edit journal 1","inode":1e999}\n'),
    "a NaN for inode": raw(b'{"magic":"gguf-tools edit journal 1","inode":NaN}\n'),
    "an inode of 10,000 digits": raw(b'{"inode":' + b"1" * 10_000 + b"}\n"),
    "another magic": changed(magic="gguf-tools edit journal 2"),
    "an infinite offset": changed(offset=float("inf")),
    "a negative offset": changed(offset=-1),
    "an offset beyond the file": changed(offset=2**70),
    "a float for the inode": changed(inode=1.5),
    "a text for the inode": changed(inode="1"),
    "true for the size": changed(size=True),
    "a negative number of bytes": changed(bytes=-1),
    "more bytes than a header has": changed(bytes=1 << 40, size=1 << 41),
    "a number for the checksum": changed(sha256=1),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(MODEL)
    return path


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limited,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("what", PLANTED)
def test_no_journal_of_ours(model: Path, what: str) -> None:
    """The file is read as if nothing lay there, nothing is restored from it, and it stays."""
    place = journal_path(model)
    PLANTED[what](model, place)
    done = command("inspect", model)
    assert done.returncode == 0, done.stderr
    assert read_journal(model) is None
    with pytest.raises(FormatError, match="was not put there by this program"):
        recover(model)
    assert model.read_bytes() == MODEL
    assert os.path.lexists(place)


@pytest.mark.parametrize("arguments", [["verify"], ["estimate"], ["edit", "--recover"], ["diff", "FILE"]])
@pytest.mark.parametrize(
    "what", ["a named pipe", "a link to an endless device", "deep JSON", "a terabyte of zeros"]
)
def test_no_command_waits_or_gives_up(model: Path, what: str, arguments: list[str]) -> None:
    PLANTED[what](model, journal_path(model))
    done = command(arguments[0], model, *(model if word == "FILE" else word for word in arguments[1:]))
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_a_sound_one_is_believed(model: Path) -> None:
    """What the cases above lack nothing but soundness of."""
    journal_path(model).write_bytes(facts(model))
    with pytest.raises(InterruptedEditError):
        gguf_tools.open(model)
    model.write_bytes(b"x" + MODEL[1:])
    assert recover(model)
    assert model.read_bytes() == MODEL


def test_one_of_another_user_is_not_believed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's owner, the directory's, root and the user can begin an edit; others can plant things."""
    place = journal_path(model)
    place.write_bytes(facts(model))
    journal, stranger = place.stat().st_ino, os.geteuid() + 4321
    real_fstat, real_stat = os.fstat, os.stat

    def given_away(found: os.stat_result) -> os.stat_result:
        return os.stat_result((*found[:4], stranger, *found[5:]))

    def fstat(fd: int) -> os.stat_result:
        found = real_fstat(fd)
        return given_away(found) if found.st_ino == journal else found

    monkeypatch.setattr(os, "fstat", fstat)
    assert read_journal(model) is None
    monkeypatch.setattr(os, "stat", lambda path, **how: given_away(real_stat(path, **how)))
    assert read_journal(model) is not None


@pytest.mark.parametrize(
    "what", ["a link to an endless device", "a terabyte of zeros", "a hard link", "deep JSON"]
)
def test_an_edit_in_place_writes_through_nothing(model: Path, what: str, tmp_path: Path) -> None:
    """What can be replaced by a journal of ours is; a hard link's other name keeps its bytes."""
    PLANTED[what](model, journal_path(model))
    other = tmp_path / "other"
    before = other.read_bytes() if other.exists() else None
    changes = gguf_tools.Changes(set={"llama.rope.freq_base": 5.0, "flag": False})
    gguf_tools.edit(model, changes)
    with gguf_tools.open(model) as file:
        assert file.metadata["llama.rope.freq_base"] == 5.0
    assert before is None or other.read_bytes() == before


@pytest.mark.parametrize("suffix", [".journal", ".partial"])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "what", ["a hard link", "a named pipe", "a directory", "a link to an endless device", "a link to nothing"]
)
def test_a_conversion_writes_through_nothing(
    model: Path, tmp_path: Path, what: str, resume: bool, suffix: str
) -> None:
    """It refuses or, where that is of no use to anybody, removes what is there."""
    out = tmp_path / "out.gguf"
    PLANTED[what](model, hidden_sibling(out, suffix))
    other = tmp_path / "other"
    before = other.read_bytes() if other.exists() else None
    done = command("quantize", model, out, "--type", "F16", *(["--resume"] if resume else []))
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    if suffix == ".journal":
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
    assert out.is_file() == (done.returncode == 0)
    assert before is None or other.read_bytes() == before


def test_a_partial_file_with_another_name_is_not_gone_on_with(tmp_path: Path) -> None:
    victim, partial = tmp_path / "victim", tmp_path / ".a.partial"
    victim.write_bytes(b"precious")
    os.link(victim, partial)
    with (
        pytest.raises(OutputError, match="was not put there by this program"),
        AtomicFile(tmp_path / "a", size=3, partial=partial),
    ):
        pass
    assert victim.read_bytes() == b"precious"


def test_only_ones_own_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.write_bytes(b"x")
    fd = open_own(path, os.O_RDONLY)
    assert fd is not None
    os.close(fd)
    os.link(path, tmp_path / "other")
    assert open_own(path, os.O_RDONLY) is None
    with pytest.raises(FileNotFoundError):
        open_own(tmp_path / "none", os.O_RDONLY)


# JSON beside a checkpoint

BESIDE = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "model.safetensors.index.json",
    "quantize_config.json",
    "adapter_config.json",
]

CONTENTS = {
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "not UTF-8": b'{"a": "\xff"}',
    "a huge integer": b'{"a": ' + b"1" * 5000 + b"}",
    "a list": b"[]",
    "null": b"null",
    "empty": b"",
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("what", ["a named pipe", "a directory", "a link to an endless device", *CONTENTS])
def test_a_conversion_reads_no_more_than_it_may(
    name: str, what: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """In this process: what would wait or never end fails the test by its alarm."""
    source = tmp_path / "source"
    shutil.copytree(tiny_checkpoints["llama"], source)
    place = source / name
    place.unlink(missing_ok=True)
    if what in CONTENTS:
        place.write_bytes(CONTENTS[what])
    else:
        PLANTED[what](source, place)
    signal.alarm(60)
    try:
        with suppress(GGUFToolsError):  # whatever else is raised fails the test
            gguf_tools.convert(source, tmp_path / "out.gguf", type="F16")
    finally:
        signal.alarm(0)
