"""Where fuzzing starts: valid files of each kind, and the hostile ones that are small."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import builders, tiny
from tests.checkpoint import build as safetensors
from tests.fuzz import gguf_structure
from tests.fuzz.checkpoints import ADAPTER, DEMO, SHARDED, Case
from tests.hostile import gguf_files, importance_files, odd_files, safetensors_files
from tests.hostile.importance_files import counts, entry, new, old, sums
from tests.tokenizers.tekken import Tekken

__all__ = ["CORPUS", "seeds"]

CORPUS = Path(__file__).resolve().parent / "corpus"
"""Inputs that once found a way no seed finds; a directory for each target."""

SMALL = 20_000
"""Bytes up to which a hostile file is a seed."""

GENERATED = 60
"""GGUF files of chance that are seeds."""

_HOSTILE = {
    "gguf": (*gguf_files.CASES, *odd_files.CASES),
    "differential": (*gguf_files.CASES, *odd_files.CASES),
    "safetensors": safetensors_files.CASES,
    "imatrix": importance_files.CASES,
}


def _valid(target: str) -> Iterator[bytes]:
    tokenizers = tiny.TOKENIZERS
    if target == "differential":
        yield from itertools.islice(gguf_structure.files("seeds"), GENERATED)
    if target in ("gguf", "differential"):
        yield builders.small()
        yield builders.build(builders.SMALL_PAIRS, builders.SMALL_TENSORS, order="big")
        yield builders.build(builders.SMALL_PAIRS, version=1)
    elif target == "safetensors":
        yield safetensors.small()
    elif target == "index":
        yield safetensors.index(
            {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}
        )
    elif target == "config":
        for model in tiny.MODELS.values():
            yield json.dumps(model.config).encode()
    elif target == "checkpoint":
        # few: each is built, and from these the mutator goes to all models
        yield from (Case(name, []).to_bytes() for name in ("llama", ADAPTER, SHARDED, DEMO))
    elif target == "tokenizer_json":
        yield (tokenizers / "llama3" / "tokenizer.json").read_bytes()
        yield (tokenizers / "qwen2" / "tokenizer.json").read_bytes()
    elif target == "tokenizer_config":
        yield (tokenizers / "llama3" / "tokenizer_config.json").read_bytes()
    elif target == "sentencepiece":
        yield (tokenizers / "llama2" / "tokenizer.model").read_bytes()
    elif target == "tekken":
        yield json.dumps(Tekken().document).encode()
    elif target == "imatrix":
        yield old(entry(b"blk.0.ffn_up.weight", 4, (2.0, 4.0)), entry(), tail=b"\7\0\0\0\4\0\0\0wiki")
        yield new(sums(4), counts(1))


def seeds(target: str) -> list[bytes]:
    """All inputs for a target: valid files, small hostile ones, and its corpus; always in the same order."""
    found = list(_valid(target))
    for case in _HOSTILE.get(target, ()):
        with tempfile.TemporaryDirectory() as folder:
            path = case.make(Path(folder))
            if path.stat().st_size <= SMALL:
                found.append(path.read_bytes())
    found += [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    return found
