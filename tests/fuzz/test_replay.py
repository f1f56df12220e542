"""Fuzzing in brief: every seed and every kept input again, each damaged in a few ways that never change."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import builders as gguf
from tests.checkpoint import build as safetensors
from tests.fuzz.damage import damaged
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, fuzz_config, fuzz_gguf, fuzz_imatrix, fuzz_safetensors
from tests.hostile.importance_files import entry, old

DAMAGED = 40
"""Damaged copies of seeds a target gets."""


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_their_damaged_copies(target: str) -> None:
    dice = random.Random(target)
    known = seeds(target)
    assert known
    for data in known:
        TARGETS[target](data)
    for _ in range(DAMAGED):
        TARGETS[target](damaged(dice.choice(known), dice))


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=25)
@given(data=st.binary(max_size=300))
def test_any_bytes(target: str, data: bytes) -> None:
    TARGETS[target](data)


# What chance finds sooner when it knows the format.

NUMBERS = st.one_of(
    st.integers(0, 300), st.sampled_from([2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63, 2**64 - 1])
)
TEXTS = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"general.alignment", b"split.count", b"llama.block_count"])
)


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> tuple[int, object]:
    """A type and a value of it, as `tests.builders` takes them."""
    kind = draw(st.sampled_from([gguf.U8, gguf.U32, gguf.U64, gguf.F64, gguf.STRING, gguf.ARRAY]))
    if kind == gguf.STRING:
        return kind, draw(TEXTS)
    if kind == gguf.F64:
        return kind, draw(st.floats())
    if kind == gguf.ARRAY:
        if depth > 2:
            return kind, (gguf.U8, [])
        element, first = draw(values(depth + 1))
        return kind, (element, [first] * draw(st.integers(0, 3)))
    return kind, draw(NUMBERS) % (1 << {gguf.U8: 8, gguf.U32: 32, gguf.U64: 64}[kind])


@st.composite
def gguf_files(draw: st.DrawFn) -> bytes:
    """Headers of any keys, and tensors of any shape, type and place."""
    pairs = [gguf.ARCHITECTURE, *((draw(TEXTS), *draw(values())) for _ in range(draw(st.integers(0, 4))))]
    tensors = [
        gguf.Tensor(
            draw(TEXTS),
            tuple(draw(st.lists(NUMBERS, max_size=5))),
            draw(st.integers(0, 45)),
            draw(st.binary(max_size=300)),
            draw(st.none() | NUMBERS),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    order = draw(st.sampled_from(["little", "big"]))
    return gguf.build(pairs, tensors, order=order, alignment=draw(st.sampled_from([1, 8, 32])))


@settings(max_examples=150)
@given(gguf_files())
def test_any_gguf_file(data: bytes) -> None:
    fuzz_gguf(data)


EXTENTS = st.lists(NUMBERS | st.integers(-2, 3), max_size=4)
DESCRIPTIONS = st.builds(
    safetensors.described,
    st.sampled_from(
        ["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64", "X"]
    ),
    EXTENTS,
    NUMBERS,
    NUMBERS,
)


@settings(max_examples=150)
@given(st.dictionaries(st.text(max_size=8), DESCRIPTIONS, max_size=3), st.binary(max_size=200))
def test_any_safetensors_file(header: dict[str, object], data: bytes) -> None:
    fuzz_safetensors(safetensors.file_of(header, data))


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.integers(-3, 3) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.data())
def test_any_value_in_a_config(data: st.DataObject) -> None:
    config = json.loads(data.draw(st.sampled_from(seeds("config"))))
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=2)):
        config[key] = data.draw(JSON)
    fuzz_config(json.dumps(config).encode())


ENTRIES = st.builds(
    entry,
    st.binary(max_size=8),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.lists(st.floats(width=32), max_size=4).map(tuple),
    st.none() | st.integers(-2, 5),
)


@settings(max_examples=150)
@given(st.lists(ENTRIES, max_size=3), st.binary(max_size=20))
def test_any_importance_matrix(entries: list[bytes], tail: bytes) -> None:
    fuzz_imatrix(old(*entries, tail=tail))
