"""What is fuzzed. A target returns, or raises what is not the package's own: that is a finding.

Each reads what it is given as far as its users do, beyond opening: metadata are decoded and written again,
small tensors dequantized, vocabularies exported.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Final

from gguf_tools import architectures
from gguf_tools.checkpoint import SafetensorsFile, open_checkpoint
from gguf_tools.checkpoint.json_files import parse_object
from gguf_tools.container import open_gguf
from gguf_tools.container.reader import GGUFFile
from gguf_tools.conversion.to_hf import plan_export
from gguf_tools.errors import GGUFToolsError
from gguf_tools.inspection.config_facts import config_facts
from gguf_tools.inspection.opening import describe, inspect
from gguf_tools.inspection.type_map import type_maps
from gguf_tools.recipes.imatrix import load_importance
from gguf_tools.source import row_count
from gguf_tools.tokenizers import export
from gguf_tools.verification.verify import verify
from tests.architectures.sources import checkpoint
from tests.checkpoint import build as safetensors
from tests.fuzz.checkpoints import NAMES, Case, Checkpoints
from tests.fuzz.differential import compare
from tests.references.ggml_gguf import CReader
from tests.tokenizers.tekken import Tekken
from tests.tokenizers.variants import ARCHITECTURE, Draft, loaded

__all__ = ["TARGETS", "edited_checkpoint"]

MOST_ELEMENTS = 1 << 16
"""Larger tensors are legal, and only slow here."""


CONVERTED = 4
"""One in so many checkpoints that are planned is converted, too: that takes longer than all before it."""

MOST_EDITS = 5
"""Of a checkpoint's files."""


@cache
def _folder() -> Path:
    """A directory for the files of this process; it goes with the process."""
    directory = tempfile.TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(directory)
    return Path(directory.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _look_through(file: GGUFFile) -> None:
    repr(list(file.metadata.items()))
    file.metadata.to_bytes()
    described = describe(file)
    described.summary.to_dict()
    type_maps(described.tensors)
    for tensor in file.tensors.values():
        if tensor.storage is not None and prod(tensor.shape) <= MOST_ELEMENTS:
            with suppress(GGUFToolsError):
                tensor.dequantize()


def fuzz_gguf(data: bytes) -> None:
    """A GGUF file: opened strictly and leniently, verified, its vocabulary and model exported."""
    path = _file("fuzz.gguf", data)
    with suppress(GGUFToolsError), open_gguf(path) as file:
        _look_through(file)
    with suppress(GGUFToolsError), open_gguf(path, check=False) as file:
        _look_through(file)
        export(file.metadata)
    with suppress(GGUFToolsError):
        plan_export(path)
    verify(path)


@cache
def _c_reader() -> CReader:
    return CReader()


def fuzz_differential(data: bytes) -> None:
    """A GGUF file that ggml reads, too: what both take is the same, what one takes has a reason."""
    compare(_file("both.gguf", data), data, _c_reader())


def fuzz_safetensors(data: bytes) -> None:
    """A safetensors file, and all values that can be read."""
    with suppress(GGUFToolsError), SafetensorsFile(_file("fuzz.safetensors", data)) as file:
        for tensor in file.tensors.values():
            if tensor.readable and prod(tensor.shape) <= MOST_ELEMENTS:
                tensor.rows(0, row_count(tensor.shape))
        type_maps(inspect(file.path).tensors)


def fuzz_index(data: bytes) -> None:
    """The index of a checkpoint of two files."""
    folder = _folder() / "indexed"
    if not folder.exists():
        files = {
            f"model-0000{i}-of-00002.safetensors": safetensors.tensors(**{n: [1.0]})
            for i, n in ((1, "x"), (2, "y"))
        }
        safetensors.directory(folder, files)
    (folder / "model.safetensors.index.json").write_bytes(data)
    with suppress(GGUFToolsError):
        open_checkpoint(folder).close()


def fuzz_config(data: bytes) -> None:
    """A config.json, with the tensors of a tiny model of the class it names, or of a Llama."""
    with suppress(GGUFToolsError):
        config = parse_object(data, "config.json", strict=False)
        config_facts(config, {}, lambda name: None)
        family = architectures.find(config)
        name = next((name for name, found in ARCHITECTURE.items() if found == family.name), "llama")
        family.to_gguf(config, checkpoint(name)[1])


@cache
def _checkpoints() -> Checkpoints:
    folder = _folder() / "checkpoints"
    folder.mkdir()
    return Checkpoints(folder)


def fuzz_checkpoint(data: bytes) -> None:
    """A tiny checkpoint and edits of its JSON files: planned, and some of them converted and verified."""
    if (case := Case.of(data)) is not None:
        _checkpoints().run(case, convert=len(data) % CONVERTED == 0)


def edited_checkpoint(data: bytes, dice: random.Random) -> bytes:
    """Another case: one with an edit more, an edit less, or other edits of another model."""
    pool, case = _checkpoints().pool, Case.of(data)
    if case is None or dice.random() < 0.2:
        model = dice.choice(NAMES)
        return Case(model, pool.edits(model, dice)).to_bytes()
    edits = list(case.edits)
    if edits and dice.random() < 0.5:
        del edits[dice.randrange(len(edits))]
    if len(edits) < MOST_EDITS:
        edits += pool.edits(case.model, dice)[:1]
    return Case(case.model, edits).to_bytes()


@cache
def _tokenizer(base: str) -> Path:
    return Draft(base, _folder() / base).save()


def _tokenizer_file(base: str, name: str, data: bytes) -> None:
    """A file of a tokenizer replaced; others stay."""
    directory = _tokenizer(base)
    original = directory.parent / f"{base}-{name}"
    if not original.exists():
        original.write_bytes((directory / name).read_bytes())
    (directory / name).write_bytes(data)
    try:
        with suppress(GGUFToolsError):
            export(loaded(directory, ARCHITECTURE[base]))
    finally:
        (directory / name).write_bytes(original.read_bytes())


def fuzz_tokenizer_json(data: bytes) -> None:
    """A tokenizer.json of a byte-level BPE."""
    _tokenizer_file("llama", "tokenizer.json", data)


def fuzz_tokenizer_config(data: bytes) -> None:
    """A tokenizer_config.json."""
    _tokenizer_file("llama", "tokenizer_config.json", data)


def fuzz_sentencepiece(data: bytes) -> None:
    """A tokenizer.model."""
    _tokenizer_file("mistral", "tokenizer.model", data)


@cache
def _tekken() -> Path:
    return Tekken().save(_folder() / "tekken")


def fuzz_tekken(data: bytes) -> None:
    """A tekken.json."""
    directory = _tekken()
    (directory / "tekken.json").write_bytes(data)
    with suppress(GGUFToolsError):
        export(loaded(directory, ARCHITECTURE["mistral"]))


def fuzz_imatrix(data: bytes) -> None:
    """An importance matrix of either format."""
    with suppress(GGUFToolsError):
        matrix = load_importance(_file("fuzz.imatrix", data))
        for name in matrix.entries:
            with suppress(GGUFToolsError):
                matrix.weights(name, (4, 4))


TARGETS: Final[dict[str, Callable[[bytes], Any]]] = {
    target.__name__.removeprefix("fuzz_"): target
    for target in (
        fuzz_gguf,
        fuzz_differential,
        fuzz_safetensors,
        fuzz_index,
        fuzz_config,
        fuzz_checkpoint,
        fuzz_tokenizer_json,
        fuzz_tokenizer_config,
        fuzz_sentencepiece,
        fuzz_tekken,
        fuzz_imatrix,
    )
}
