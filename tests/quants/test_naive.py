"""Kernels against the formats written down plainly in ``tests/naive.py``."""

from __future__ import annotations

import numpy as np
import pytest

from gguf_tools import quants
from gguf_tools.quants.table import MODULES
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests import naive
from tests.floats import assert_same_floats
from tests.quants.common import encode
from tests.quants.inputs import INPUTS, make

BEYOND_C = ("random bits", "tiniest", "denormal", "huge", "largest of both signs")
"""Scales or their inverses overflow here."""

BEYOND_GRIDS = ("squares overflow",)
"""No neighbour is nearer than any other here: ggml aborts."""


@pytest.mark.parametrize("type_", MODULES, ids=lambda type_: type_.name)
def test_decoders_are_equal(type_: GGMLType) -> None:
    block = BLOCK_SIZES[type_]
    data = np.random.default_rng(11).integers(0, 256, (300, block.bytes), np.uint8)
    kernel = quants.dequantize(data, type_, (300, block.elements)).reshape(-1)
    plain = naive.decode(data, type_)
    assert_same_floats(kernel, plain)


ENCODED = [
    (type_, name)
    for name in INPUTS
    for type_ in naive.ENCODERS
    if name not in BEYOND_C and not (type_ in naive.SLOW and name in BEYOND_GRIDS)
]


@pytest.mark.parametrize(("type_", "name"), ENCODED, ids=[f"{type_.name}-{name}" for type_, name in ENCODED])
def test_encoders_are_equal(type_: GGMLType, name: str) -> None:
    x = make(name)[:1, :256].copy() if type_ in naive.SLOW else make(name)[:2]
    np.testing.assert_array_equal(encode(x, type_).reshape(-1), naive.encode(x, type_))


def test_every_type_has_a_naive_decoder() -> None:
    assert naive.DECODERS.keys() == MODULES.keys()
