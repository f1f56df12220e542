"""How plans are carried out, from the command line: shards, memory, interruption and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.editing.splitting import merge, split
from tests import tiny
from tests.cli.invoking import invoke, said
from tests.references.llama import Llama

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build("llama", tmp_path_factory.mktemp("checkpoint"))


def test_shards_are_those_of_the_file_cut_afterwards(checkpoint: Path, tmp_path: Path) -> None:
    said("convert", checkpoint, tmp_path / "whole.gguf", "-q")
    expected = split(tmp_path / "whole.gguf", tmp_path / "cut", max_size=300_000)
    document = json.loads(
        said("convert", checkpoint, tmp_path / "m.gguf", "--split-max-size", "300K", "--json")
    )
    names = [file["name"] for file in document["files"]]
    assert names == [path.path.name.replace("cut", "m") for path in expected]
    assert len(names) > 1
    for name, one in zip(names, expected, strict=True):
        assert (tmp_path / name).read_bytes() == one.path.read_bytes()
    merge(tmp_path / names[0], tmp_path / "merged.gguf")
    assert (tmp_path / "merged.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    with Llama(tmp_path / names[0]) as model:
        assert len(model.tokenize("one two")) > 1
    assert not (tmp_path / "m.gguf").exists()


def test_quantizing_into_shards(checkpoint: Path, tmp_path: Path) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "f16.gguf", type="F16")
    gguf_tools.requantize(tmp_path / "f16.gguf", tmp_path / "whole.gguf", type="Q8_0")
    plan = gguf_tools.requantize(
        tmp_path / "f16.gguf", tmp_path / "m.gguf", type="Q8_0", split_max_size=200_000
    )
    merge(tmp_path / plan.files[-1].name, tmp_path / "merged.gguf")
    assert (tmp_path / "merged.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_memory_and_threads_change_no_byte(checkpoint: Path, tmp_path: Path) -> None:
    said("convert", checkpoint, tmp_path / "a.gguf", "-q")
    said("convert", checkpoint, tmp_path / "b.gguf", "-q", "--max-memory", "1M", "--threads", "3")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


@pytest.mark.parametrize("size", ["0", "x", "-1G", "1Q"])
@pytest.mark.parametrize("option", ["--max-memory", "--split-max-size"])
def test_sizes_that_are_none(checkpoint: Path, tmp_path: Path, option: str, size: str) -> None:
    result = invoke("convert", checkpoint, tmp_path / "a", option, size)
    assert result.exit_code == 2
    assert "size" in result.stderr


SLOW = """
import sys, time
from gguf_tools.conversion import engine
write = engine._write

def slow(*arguments):
    print("working", flush=True)
    time.sleep(0.1)
    return write(*arguments)

engine._write = slow
from gguf_tools.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("resume", [False, True])
def test_a_signal_takes_back_what_was_begun_or_leaves_it_to_go_on_with(
    checkpoint: Path, tmp_path: Path, number: signal.Signals, status: int, resume: bool
) -> None:
    command = ["convert", str(checkpoint), str(tmp_path / "a.gguf"), "--type", "F32"]
    command += ["--resume"] if resume else []
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.3)
        child.send_signal(number)
        child.communicate()
    assert child.returncode == status
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ([".a.gguf.journal", ".a.gguf.partial"] if resume else [])
    if resume:
        said(*command, "-q")
        gguf_tools.convert(checkpoint, tmp_path / "b.gguf", type="F32")
        assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "b.gguf"]
