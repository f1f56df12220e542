"""Files that are served: a model with a vocabulary of any size, and shards of one."""

from __future__ import annotations

import struct
from pathlib import Path

from tests import builders
from tests.builders import ARRAY, F32, I32, STRING, U16, U32, Tensor

DEMO = Path(__file__).resolve().parents[3] / "fixtures" / "demo"


def model(tokens: int = 0, *, data: int = 64) -> bytes:
    """A GGUF file: some keys, a vocabulary with scores and types, more keys, two tensors."""
    pairs = [
        ("general.architecture", STRING, "toy"),
        ("toy.block_count", U32, 1),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [f"token{i * i}" for i in range(tokens)])),
        ("tokenizer.ggml.scores", ARRAY, (F32, [-float(i) for i in range(tokens)])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [1 + i % 5 for i in range(tokens)])),
        ("general.name", STRING, "after the vocabulary"),
    ]
    values = struct.pack(f"<{data}f", *range(data))
    return builders.build(
        pairs, [Tensor("a.weight", (data,), 0, values), Tensor("b.weight", (data,), 0, values[::-1])]
    )


def shards(count: int = 3) -> dict[str, bytes]:
    """A split model, by file name."""
    files = {}
    for number in range(count):
        pairs = [
            ("split.no", U16, number),
            ("split.count", U16, count),
            ("split.tensors.count", I32, count),
        ]
        if number == 0:
            pairs.insert(0, ("general.architecture", STRING, "toy"))
        tensor = Tensor(f"blk.{number}.weight", (8,), 0, struct.pack("<8f", *range(8)))
        files[f"toy model-{number + 1:05}-of-{count:05}.gguf"] = builders.build(pairs, [tensor])
    return files
