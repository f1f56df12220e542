"""``--force`` never replaces an input, whatever writes, whatever it reads, and however that is named."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import gguf_tools
from gguf_tools.cli import COMMANDS, main
from gguf_tools.editing.changes import Changes
from gguf_tools.errors import OutputError
from gguf_tools.io.temp_names import hidden_sibling
from gguf_tools.recipes import Overrides, read_overrides_file
from tests import tiny
from tests.adapters import adapt
from tests.goldens.record_recipes import write_imatrix

PACKAGE = Path(gguf_tools.__file__).parent

FIRST, SECOND = "part-00001-of-00002.gguf", "part-00002-of-00002.gguf"
CHECKPOINT, MODEL, SAFETENSORS = "tiny-llama", "model.gguf", "single/model.safetensors"


@dataclass(frozen=True)
class Job:
    """Something that writes, over the command line and as a function.

    Attributes:
        words: the command; ``OUT`` stands for the output, and names of `reads` for their paths.
        call: the function; takes the directory of what is read, and the output.
        reads: files and directories.
        makes: what is made: a file, or a directory.
        suffix: of the output, where that says what is made.
    """

    words: list[str]
    call: Callable[[Path, Path], Any]
    reads: list[str] = field(default_factory=list)
    makes: str = "file"
    suffix: str = ""


def _convert(source: Path, out: Path) -> None:
    gguf_tools.convert(
        *(source / CHECKPOINT, out),
        type="F16",
        imatrix=source / "imatrix.dat",
        overrides=read_overrides_file(source / "recipe.toml")[1],
        merge_lora=[source / "lora"],
        force=True,
    )


def _quantize(source: Path, out: Path) -> None:
    gguf_tools.requantize(
        *(source / FIRST, out),
        type="F16",
        imatrix=source / "imatrix.dat",
        overrides=read_overrides_file(source / "recipe.toml")[1],
        force=True,
    )


def _edit(source: Path, out: Path) -> None:
    values = {"tokenizer.chat_template": (source / "chat.jinja").read_bytes()}
    changes = Changes(set=values, files=[source / "chat.jinja", source / "name.txt"])
    gguf_tools.edit(source / FIRST, changes, output=out, force=True)


JOBS = {
    "convert": Job(
        [
            *("convert", CHECKPOINT, "OUT", "-t", "F16", "--imatrix", "imatrix.dat"),
            *("--overrides", "recipe.toml", "--merge-lora", "lora"),
        ],
        _convert,
        [CHECKPOINT, "imatrix.dat", "recipe.toml", "lora"],
    ),
    "convert-lora": Job(
        ["convert-lora", "lora", "OUT", "--base", CHECKPOINT],
        lambda source, out: gguf_tools.convert_lora(
            source / "lora", out, base=source / CHECKPOINT, force=True
        ),
        ["lora", CHECKPOINT],
    ),
    "quantize": Job(
        ["quantize", FIRST, "OUT", "-t", "F16", "--imatrix", "imatrix.dat", "--overrides", "recipe.toml"],
        _quantize,
        [FIRST, SECOND, "imatrix.dat", "recipe.toml"],
    ),
    "export": Job(
        ["export", FIRST, "OUT"],
        lambda source, out: gguf_tools.export(source / FIRST, out, force=True),
        [FIRST, SECOND],
        makes="directory",
    ),
    "extract": Job(
        ["extract", MODEL, "OUT", "-t", "output_norm.weight"],
        lambda source, out: gguf_tools.extract(source / MODEL, out, ["output_norm.weight"], force=True),
        [MODEL],
        suffix=".safetensors",
    ),
    "extract an array": Job(
        ["extract", FIRST, "OUT", "-t", "output_norm.weight"],
        lambda source, out: gguf_tools.extract(source / FIRST, out, ["output_norm.weight"], force=True),
        [FIRST, SECOND],
        suffix=".npy",
    ),
    "extract arrays": Job(
        ["extract", FIRST, "OUT", "-t", "blk.0.*"],
        lambda source, out: gguf_tools.extract(source / FIRST, out, ["blk.0.*"], force=True),
        [FIRST, SECOND],
        makes="directory",
    ),
    "inspect a file": Job(
        ["inspect", FIRST, "--html", "OUT"],
        lambda source, out: gguf_tools.report(source / FIRST, out, force=True),
        [FIRST, SECOND],
    ),
    "inspect a checkpoint": Job(
        ["inspect", CHECKPOINT, "--html", "OUT"],
        lambda source, out: gguf_tools.report(source / CHECKPOINT, out, force=True),
        [CHECKPOINT],
    ),
    "inspect safetensors": Job(
        ["inspect", SAFETENSORS, "--html", "OUT"],
        lambda source, out: gguf_tools.report(source / SAFETENSORS, out, force=True),
        [SAFETENSORS, "single/config.json"],
    ),
    "edit": Job(
        [
            *("edit", FIRST, "-o", "OUT", "--set-template", "chat.jinja"),
            *("--set-from-file", "general.name=name.txt"),
        ],
        _edit,
        [FIRST, SECOND, "chat.jinja", "name.txt"],
    ),
    "merge": Job(
        ["merge", FIRST, "OUT"],
        lambda source, out: gguf_tools.merge(source / FIRST, out, force=True),
        [FIRST, SECOND],
    ),
}
"""All that takes the name of an output; `split`, which makes names of its own, has a test of its own."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the jobs read."""
    folder = tmp_path_factory.mktemp("originals")
    checkpoint = tiny.build("llama", folder)
    (checkpoint / "README.md").write_text("---\nlicense: mit\n---\n")
    (checkpoint / "notes").mkdir()
    (checkpoint / "notes" / "config.json").write_text("{}")
    gguf_tools.convert(checkpoint, folder / MODEL, type="Q8_0")
    gguf_tools.split(folder / MODEL, folder / "part", max_tensors=15)
    adapt(checkpoint, folder / "lora", r".*[qv]_proj\.weight")
    with gguf_tools.open(folder / MODEL) as file:
        write_imatrix(folder / "imatrix.dat", {name: t.shape for name, t in file.tensors.items()})
    (folder / "recipe.toml").write_text("pure = true\n")
    (folder / "chat.jinja").write_text("{{ messages }}")
    (folder / "name.txt").write_text("A name")
    gguf_tools.extract(folder / MODEL, folder / "x.safetensors", ["blk.0.*"])
    (folder / "single").mkdir()
    (folder / "x.safetensors").rename(folder / SAFETENSORS)
    shutil.copy(checkpoint / "config.json", folder / "single" / "config.json")
    return folder


@pytest.fixture
def source(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "source"))


def contents(folder: Path) -> dict[str, Any]:
    """All names below a directory with what they lead to."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def files_of(job: Job, source: Path) -> Iterator[Path]:
    for name in job.reads:
        path = source / name
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def command(job: Job, source: Path, out: object) -> Result:
    words = []
    for word in job.words:
        key, equals, name = word.rpartition("=")
        if name == "OUT":
            name = str(out)
        elif (source / name).exists():
            name = str(source / name)
        words.append(key + equals + name)
    return CliRunner().invoke(main, [*words, "--force"])


def _itself(path: Path, links: Path, suffix: str) -> str:
    return str(path)


def _relative(path: Path, links: Path, suffix: str) -> str:
    return f"./{os.path.relpath(path.parent)}/../{path.parent.name}/{path.name}"


def _linked(path: Path, links: Path, suffix: str) -> str:
    link = links / f"{path.name}.{len(os.listdir(links))}{suffix}"
    link.symlink_to(path)
    return str(link)


def _hard_linked(path: Path, links: Path, suffix: str) -> str:
    link = links / f"{path.name}.{len(os.listdir(links))}{suffix}"
    os.link(path, link)
    return str(link)


def _below_a_link(path: Path, links: Path, suffix: str) -> str:
    link = links / str(len(os.listdir(links)))
    link.symlink_to(path.parent)
    return str(link / path.name)


NAMINGS = (_itself, _relative, _linked, _hard_linked, _below_a_link)


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.__name__[1:])
@pytest.mark.parametrize("name", JOBS)
def test_no_input_is_replaced(
    name: str,
    naming: Callable[[Path, Path, str], str],
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    job = JOBS[name]
    (tmp_path / "links").mkdir()
    outputs = [naming(path, tmp_path / "links", job.suffix) for path in files_of(job, source)]
    before = contents(tmp_path)
    wrong = {}
    for out in outputs:
        done = command(job, source, out)
        if done.exit_code != 1 or "is an input" not in done.stderr or done.stderr.count("\n") != 1:
            wrong[out] = (done.exit_code, done.output, done.stderr)
        if naming is _itself:
            with pytest.raises(OutputError, match="is an input"):
                job.call(source, Path(out))
    assert wrong == {}
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if job.makes == "directory"])
def test_no_directory_with_an_input_in_it_is_replaced(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = JOBS[name]
    (tmp_path / "link").symlink_to(source)
    outputs = ["source", "./source", "source/../source", str(source), "link", str(source / "..")]
    for number, path in enumerate(files_of(job, source)):
        for kind, link in (("soft", os.symlink), ("hard", os.link)):
            (tmp_path / f"{kind}{number}" / "deep").mkdir(parents=True)
            link(path, tmp_path / f"{kind}{number}" / "deep" / "x")
            outputs.append(f"{kind}{number}")
    before = contents(tmp_path)
    for out in outputs:
        monkeypatch.chdir("/" if out == str(source / "..") else tmp_path)
        done = command(job, source, out)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), (out, done.output, done.stderr)
        assert any(said in done.stderr for said in ("input in it", "not a usable output name")), done.stderr
        with pytest.raises(OutputError):
            job.call(source, Path(out))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("hidden", [".partial", ".journal"])
@pytest.mark.parametrize("name", JOBS)
def test_no_input_is_replaced_by_what_is_written_on_the_way(
    name: str, hidden: str, source: Path, tmp_path: Path
) -> None:
    """Partial files and journals have names that can be foreseen, and an input may have one of them."""
    job = JOBS[name]
    if name.startswith("inspect"):
        return  # a page is written to a sibling with a name that nobody can foresee
    out = tmp_path / f"out{job.suffix}"
    for path in files_of(job, source):
        taken = hidden_sibling(out, hidden)
        os.link(path, taken)
        before = contents(tmp_path)
        done = command(job, source, out)
        assert (done.exit_code, "is an input" in done.stderr) == (1, True), (path, done.output, done.stderr)
        assert contents(tmp_path) == before
        taken.unlink()


def test_a_directory_under_the_hidden_name_is_no_leftover_where_an_input_is_in_it(
    source: Path, tmp_path: Path
) -> None:
    hidden = hidden_sibling(tmp_path / "out", ".partial")
    hidden.mkdir()
    shutil.copy(source / MODEL, hidden / MODEL)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="with an input in it"):
        gguf_tools.export(hidden / MODEL, tmp_path / "out", force=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("link", [None, os.symlink, os.link], ids=["itself", "linked", "hard linked"])
@pytest.mark.parametrize("number", [1, 2])
def test_splitting_anew_replaces_no_shard(
    number: int, link: Callable[[Path, Path], None] | None, source: Path, tmp_path: Path
) -> None:
    stem, shard = source / "part", source / f"part-{number:05}-of-00002.gguf"
    if link is not None:
        stem = tmp_path / "other"
        link(shard, tmp_path / f"other-{number:05}-of-00002.gguf")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is an input"):
        gguf_tools.split(source / FIRST, stem, max_tensors=16, force=True)
    done = CliRunner().invoke(
        main, ["split", str(source / FIRST), str(stem), "--max-tensors", "16", "--force"]
    )
    assert (done.exit_code, "is an input" in done.stderr, done.stderr.count("\n")) == (1, True, 1)
    with pytest.raises(OutputError, match="is an input"):
        gguf_tools.convert(
            *(source / CHECKPOINT, stem.with_suffix(".gguf")),
            type="Q8_0",
            overrides=Overrides(file=str(shard)),
            split_max_size=1_200_000,
            force=True,
        )
    assert contents(tmp_path) == before


def test_what_is_no_input_is_replaced_as_before(source: Path, tmp_path: Path) -> None:
    """Also in the directory of a checkpoint, where GGUF files and pages often lie."""
    checkpoint = source / CHECKPOINT
    for name in ("old.gguf", "old.html"):
        (checkpoint / name).write_bytes(b"old")
    gguf_tools.convert(checkpoint, checkpoint / "old.gguf", type="F16", force=True)
    gguf_tools.report(checkpoint, checkpoint / "old.html", force=True)
    assert (checkpoint / "old.gguf").read_bytes()[:4] == b"GGUF"
    assert (checkpoint / "old.html").stat().st_size > 1000
    for _ in range(2):
        gguf_tools.export(source / MODEL, tmp_path / "out", force=True)
        gguf_tools.merge(source / FIRST, source / MODEL, force=True)
        gguf_tools.split(source / MODEL, source / "part", max_tensors=15, force=True)
    gguf_tools.edit(source / MODEL, Changes(set={"general.name": "x" * 5000}))  # that is what editing is
    with gguf_tools.open(source / MODEL) as file:
        assert file.metadata["general.name"] == "x" * 5000


def test_a_tensor_to_be_written_is_not_in_what_it_replaces(source: Path) -> None:
    before = (source / MODEL).read_bytes()
    with gguf_tools.open(source / MODEL) as file, pytest.raises(OutputError, match="is an input"):
        gguf_tools.write(source / MODEL, file.metadata, list(file.tensors.items()), force=True)
    assert (source / MODEL).read_bytes() == before


def test_letters_a_file_system_does_not_tell_apart(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a file system gives one file under two spellings; what counts is that it is the same file."""
    stat = os.stat

    def insensitive(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        spelled = os.fspath(path).replace("MODEL.GGUF", "model.gguf") if isinstance(path, Path) else path
        return stat(spelled, *arguments, **options)

    monkeypatch.setattr(os, "stat", insensitive)
    with pytest.raises(OutputError, match="is an input"):
        gguf_tools.requantize(source / MODEL, source / "MODEL.GGUF", type="F16", force=True)


def test_every_command_that_replaces_is_here() -> None:
    writers = set()
    context = click.Context(main)
    for name in COMMANDS:
        found = main.get_command(context, name)
        assert found is not None
        if any("--force" in parameter.opts for parameter in found.params):
            writers.add(name)
    assert writers == {job.words[0] for job in JOBS.values()} | {"split"}


def test_every_function_that_replaces_is_here() -> None:
    functions = {
        name
        for name in gguf_tools.__all__
        if inspect.isfunction(found := getattr(gguf_tools, name))
        and "force" in inspect.signature(found).parameters
    }
    this = Path(__file__).read_text()
    assert {name for name in functions if f"gguf_tools.{name}(" not in this} == set()


WRITERS = {"AtomicFile", "AtomicDirectory", "check_target"}
TELLERS = {"Plan": "reads", **dict.fromkeys(WRITERS, "inputs")}


def test_whatever_writes_says_what_it_reads() -> None:
    """No call leaves to its default what must not be replaced."""
    silent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in TELLERS and TELLERS[name] not in {word.arg for word in node.keywords}:
                silent.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {name}")
    assert silent == []


LOW_LEVEL = {
    *("io/atomic_files.py", "conversion/output.py", "conversion/journal.py", "system.py"),
    *("editing/in_place.py", "io/remote/local_copies.py", "compute/kernel_cache.py"),
}
"""Where files are written: whole ones, the journal of a run, an edit in place, a temporary copy, kernels."""


def writes(node: ast.AST) -> bool:
    """Whether a node opens, or writes, a file of a name of its own."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"write_bytes", "write_text", "O_RDWR", "O_WRONLY", "O_CREAT", "rmtree"}
    if not isinstance(node, ast.Call) or getattr(node.func, "id", getattr(node.func, "attr", "")) != "open":
        return False
    given = [*node.args, *(word.value for word in node.keywords)]
    modes = [value.value for value in given if isinstance(value, ast.Constant)]
    return any(isinstance(mode, str) and len(mode) < 4 and set(mode) & set("wax+") for mode in modes)


def test_nothing_else_opens_files_for_writing() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if any(map(writes, ast.walk(ast.parse(path.read_text()))))
    }
    assert found == LOW_LEVEL
