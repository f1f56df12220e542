"""Rounding to three values: by the mean of the absolute values, once and not again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gguf_tools.architectures.config import HFConfig
from gguf_tools.architectures.families.bitnet import ARCHITECTURE
from gguf_tools.architectures.ternary import Ternary
from gguf_tools.errors import ArchitectureError
from gguf_tools.source import ArraySource, row_count
from tests import tiny
from tests.architectures.sources import stored, values

CONFIG = HFConfig({})
WEIGHTS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 9)),
    elements=st.floats(-4, 4, width=32, allow_subnormal=False),
)
BITNET = tiny.MODELS["bitnet"]


def rounded(array: np.ndarray, dtype: str = "F32") -> np.ndarray:
    (source,) = Ternary().forward([stored(array, dtype)], CONFIG)
    return values(source)


@given(array=WEIGHTS)
def test_weights_become_the_nearest_of_three_values(array: np.ndarray) -> None:
    sizes = np.unique(np.abs(array[array != 0]))
    found = rounded(array)
    if len(sizes) < 2:
        np.testing.assert_array_equal(found, array)
        return
    scale = max(float(np.abs(array).mean(dtype=np.float64)), 1e-5)
    for size in np.unique(np.abs(found[found != 0])):  # none where all are small beside the least scale
        np.testing.assert_allclose(size, scale, rtol=3e-7)
    far = np.abs(np.abs(array) / scale - 0.5) > 1e-6  # not where rounding decides
    np.testing.assert_array_equal((found != 0)[far], (np.abs(array) / scale > 0.5)[far])
    np.testing.assert_array_equal(np.sign(found)[found != 0], np.sign(array)[found != 0])


@given(array=WEIGHTS, dtype=st.sampled_from(["F32", "F16", "BF16"]))
def test_rounded_weights_stay_what_they_are(array: np.ndarray, dtype: str) -> None:
    once = rounded(array, dtype)
    np.testing.assert_array_equal(rounded(once), once)
    (back,) = Ternary().inverse([ArraySource(once)], CONFIG)
    np.testing.assert_array_equal(values(back), once)


def test_any_rows_are_part_of_the_whole() -> None:
    (source,) = Ternary().forward([ArraySource(tiny.normal("w", (13, 8), 0.1))], CONFIG)
    whole = source.rows(0, row_count(source.shape))
    np.testing.assert_array_equal(source.rows(4, 9), whole[4:9])


def test_what_llama_cpp_computes_otherwise_is_noted() -> None:
    sources = {name: ArraySource(array) for name, array in BITNET.tensors(BITNET.config).items()}
    assert ARCHITECTURE.to_gguf(BITNET.config, sources).notes == []
    (note,) = ARCHITECTURE.to_gguf(BITNET.config | {"hidden_act": "relu2"}, sources).notes
    assert "hidden_act" in note


def test_a_head_that_is_not_the_embedding_has_no_place() -> None:
    sources = {name: ArraySource(array) for name, array in BITNET.tensors(BITNET.config).items()}
    sources["lm_head.weight"] = sources["model.embed_tokens.weight"]
    side = ARCHITECTURE.to_gguf(BITNET.config, sources)
    assert [name for name, _ in side.dropped] == ["lm_head.weight"]
    with pytest.raises(ArchitectureError, match=r"lm_head\.weight"):
        ARCHITECTURE.to_gguf(BITNET.config | {"tie_word_embeddings": False}, sources)
