"""Documents of strangers: whatever stands in a JSON file beside a model is taken, or refused in a line."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gguf_tools
from gguf_tools.checkpoint.json_files import MAX_DIGITS, parse_json, parse_object
from gguf_tools.cli import main
from gguf_tools.container.journal import journal_path
from gguf_tools.conversion.lora import plan_lora
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.editing.changes import Changes
from gguf_tools.editing.edit import recover
from gguf_tools.errors import CheckpointError, GGUFToolsError
from gguf_tools.recipes import read_overrides_file
from gguf_tools.verification.hashing import load_manifest
from tests import tiny
from tests.adapters import adapt

PACKAGE = Path(gguf_tools.__file__).parent

DEEP = "[" * 100_000
DIGITS = "7" * 5000

RAW: dict[str, str] = {
    "a number of 5,000 digits": DIGITS,
    "a negative one": f"-{DIGITS}",
    "deep lists": DEEP,
    "deep objects": '{"a":' * 100_000,
    "closed deep lists": "[" * 5000 + "]" * 5000,
}
"""Values no reader should take."""

VALUES: tuple[Any, ...] = (
    *(10 ** (MAX_DIGITS - 1), -(10**98), float("inf"), float("nan"), 1e308, "\ud800", {"\udfff": 1}),
    ["\ud83d", 10**90],
)
"""Values that can be read, and that not all know what to do with."""


def document(name: str, value: str) -> bytes:
    return f'{{"{name}": {value}}}'.encode()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("value", RAW.values(), ids=RAW)
def test_the_reader_refuses(value: str, strict: bool) -> None:
    with pytest.raises(CheckpointError, match=r"is not usable JSON: (nested too deeply|too long a number)"):
        parse_object(document("x", value), "x.json", strict=strict)


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", '1, "x": 2'])
def test_where_bytes_lie_is_read_strictly(value: str) -> None:
    with pytest.raises(CheckpointError):
        parse_json(document("x", value), "x.json", strict=True)
    parse_json(document("x", value), "x.json", strict=False)  # as transformers does


def test_numbers_of_real_files() -> None:
    longest = 1000000000000000019884624838656  # model_max_length of many tokenizers
    assert parse_json(str(longest).encode(), "", strict=True) == longest
    assert parse_json(b"9" * MAX_DIGITS, "", strict=True) == 10**MAX_DIGITS - 1
    assert float(10**MAX_DIGITS) < float("inf")


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to values: all of an object's, the first of a list's; not too deep."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1] if at else value[:0])
    for number, (key, item) in enumerate(inner):
        if number < (40 if not at else 3):
            yield (*at, key)
            if isinstance(item, dict | list) and len(at) < 3:
                yield from places(item, (*at, key))


def put(original: Any, at: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(original))
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


GENERATION = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1}

FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json"),
    *("generation_config.json", "adapter_config.json"),
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    checkpoint = tiny.build("qwen3", folder)
    (checkpoint / "generation_config.json").write_text(json.dumps(GENERATION))
    adapt(checkpoint, folder / "lora", r".*[qv]_proj\.weight")
    return folder


@pytest.fixture
def folder(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "model"))


def job_of(folder: Path, name: str) -> tuple[Path, Callable[[], object]]:
    """A file, and what reads it."""
    checkpoint, lora = folder / "tiny-qwen3", folder / "lora"
    if name == "adapter_config.json":
        return lora / name, lambda: plan_lora(lora, base=checkpoint)
    return checkpoint / name, lambda: (
        gguf_tools.inspect(checkpoint),
        plan_conversion(checkpoint, recipe="F16"),
    )


@pytest.mark.parametrize("name", FILES)
def test_a_value_anywhere(name: str, folder: Path) -> None:
    path, job = job_of(folder, name)
    original = json.loads(path.read_text())
    leaks = {}
    for at in places(original):
        for value in VALUES:
            path.write_text(json.dumps(put(original, at, value)))
            try:
                job()
            except GGUFToolsError as error:
                str(error)
            except Exception as error:
                leaks[f"{at} = {value!r}"[:200]] = repr(error)[:300]
    assert leaks == {}


@pytest.mark.parametrize("value", RAW.values(), ids=RAW)
@pytest.mark.parametrize("name", FILES)
def test_documents_nobody_reads(name: str, value: str, folder: Path, tmp_path: Path) -> None:
    path, _ = job_of(folder, name)
    path.write_bytes(document("model_type", value))
    words = ["convert", str(folder / "tiny-qwen3"), str(tmp_path / "a.gguf"), "--dry-run", "-t", "F16"]
    if name == "adapter_config.json":
        words += ["--merge-lora", str(folder / "lora")]
    done = CliRunner().invoke(main, words)
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert len(done.stderr) < 1000


@pytest.mark.parametrize("value", RAW.values(), ids=RAW)
def test_other_documents(value: str, tmp_path: Path) -> None:
    """A manifest, a recipe, a value for an array, and the journal of an edit."""
    path, model = tmp_path / "x", tmp_path / "model.gguf"
    path.write_bytes(document("hashes", value))
    with pytest.raises(GGUFToolsError):
        load_manifest(path)
    path.write_bytes(b"x = " + value.replace('{"a":', "{a=").encode())
    with pytest.raises(GGUFToolsError):
        read_overrides_file(path)
    gguf_tools.write(model, gguf_tools.Metadata(), [])
    with pytest.raises(GGUFToolsError):
        gguf_tools.edit(model, Changes(set={"x": f"[{value}]"}, type="int32[]"))
    with pytest.raises(GGUFToolsError):
        gguf_tools.edit(model, Changes(set={"x": value}, type="int32"))
    journal_path(model).write_bytes(document("inode", value) + b"\n")
    gguf_tools.open(model).close()  # it is no journal of ours
    with pytest.raises(GGUFToolsError, match="damaged"):
        recover(model)


@pytest.mark.parametrize("value", ["1e999", "NaN", '"x"', "[]", "null"])
def test_a_journal_of_no_file(value: str, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    gguf_tools.write(model, gguf_tools.Metadata(), [])
    journal_path(model).write_bytes(document("inode", value) + b"\n")
    gguf_tools.open(model).close()


READERS = {
    "checkpoint/json_files.py",
    "container/journal.py",  # a bounded first line; what is not as expected is no journal of ours
    "architectures/hf_defaults.py",  # the package's own data
    "tokenizers/special_tokens_hf.py",  # the same
    "compute/jit.py",  # machine code of files nobody else can have written
}


def test_json_has_one_reader() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"loads", "load", "JSONDecoder"}
        and getattr(node.value, "id", "") in {"json", "simplejson", "orjson", "marshal", "pickle"}
    }
    assert found == READERS
