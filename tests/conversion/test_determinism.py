"""The bytes of every output are those recorded: whatever the threads, chunks, interruptions and processes.

A part of what ``make torture`` goes through. The goldens, ``fixtures/outputs.json``, were recorded by
``make goldens``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.conversion import engine
from tests.goldens.outputs import CHUNKS, EDITS, JOBS, THREADS, digests, inputs, interrupted, plainly
from tests.goldens.record_outputs import load

ROOT = Path(__file__).resolve().parents[2]

GOLDEN = load()

SOME = (
    "convert llama Q4_K_M",
    "convert llama IQ4_XS weighted",
    "convert mixtral MXFP4_MOE",
    "convert, adapter merged",
    "convert, in shards",
    "export bf16",
    "extract to npy",
)


@pytest.fixture(scope="module")
def _inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with inputs(tmp_path_factory.mktemp("inputs")):
        yield


def test_there_is_a_golden_for_each_job_and_no_other() -> None:
    assert list(GOLDEN) == [*JOBS, *EDITS]
    assert all(files for files in GOLDEN.values())


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.usefixtures("_inputs")
def test_each_job_makes_what_was_recorded(name: str, tmp_path: Path) -> None:
    plainly(JOBS[name], tmp_path / JOBS[name].target)
    assert digests(tmp_path) == GOLDEN[name]


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.usefixtures("_inputs")
def test_each_edit_makes_what_was_recorded(name: str, tmp_path: Path) -> None:
    EDITS[name](tmp_path)
    assert digests(tmp_path) == GOLDEN[name]


@pytest.mark.parametrize("recipe", ["F16", "Q8_0", "Q5_1", "Q4_K_M", "Q6_K"])
def test_the_recorded_bytes_are_those_of_llama_cpp(recipe: str) -> None:
    from tests.goldens import record  # loads llama.cpp, which there is not where `tests.arm` runs

    theirs = record.load("llama")["files"][recipe]["sha256"]
    assert GOLDEN[f"convert llama {recipe}"] == {"out.gguf": theirs}


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.usefixtures("_inputs")
def test_neither_threads_nor_chunks_matter(name: str, threads: int, tmp_path: Path) -> None:
    for elements in CHUNKS:
        inside = tmp_path / str(elements)
        inside.mkdir()
        engine.execute(
            JOBS[name].plan(),
            inside / JOBS[name].target,
            engine.RunOptions(threads=threads),
            chunk_elements=elements,
        )
        assert digests(inside) == GOLDEN[name]


@pytest.mark.parametrize("after", [0, 7, 40])
@pytest.mark.parametrize("name", SOME)
@pytest.mark.usefixtures("_inputs")
def test_an_interruption_does_not_matter(name: str, after: int, tmp_path: Path) -> None:
    assert interrupted(JOBS[name], tmp_path / JOBS[name].target, after) == 1
    assert digests(tmp_path) == GOLDEN[name]


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_the_process_does_not_matter(seed: str, tmp_path: Path) -> None:
    """Another order of sets, another place for temporary files, another language and time."""
    settings = {"PYTHONHASHSEED": seed, "TMPDIR": str(tmp_path), "LC_ALL": "C", "TZ": "Asia/Kathmandu"}
    names = [*SOME, *EDITS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.goldens.record_outputs", "--print", *names],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {name: GOLDEN[name] for name in names}


@pytest.mark.usefixtures("_inputs")
def test_no_file_says_where_or_with_what_it_was_made(tmp_path: Path) -> None:
    words = [os.fsencode(tmp_path), os.fsencode(Path.cwd()), b"gguf-tools", b"gguf_tools"]
    for name in SOME:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        plainly(JOBS[name], folder / JOBS[name].target)
        for path in folder.rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            assert [word for word in words if word in data] == [], path


@pytest.mark.usefixtures("_inputs")
def test_the_path_of_an_importance_matrix_is_recorded_as_it_was_given(tmp_path: Path) -> None:
    """As llama-quantize does: who does not want to tell names it by a relative path."""
    plainly(JOBS["convert llama IQ4_XS weighted"], tmp_path / "out.gguf")
    with gguf_tools.open(tmp_path / "out.gguf") as file:
        assert file.metadata["quantize.imatrix.file"] == "imatrix.dat"
