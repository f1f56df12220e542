"""BitNet: what llama.cpp's converter makes of it, and what transformers computes of an export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from tests import tiny
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.parity.reference import (
    LARGEST_DIFFERENCE,
    MEDIAN_DIVERGENCE,
    TEXT,
    divergence,
    load_model,
    load_tokenizer,
    logits,
)
from tests.references.llama import Llama

pytestmark = pytest.mark.parity

ROUNDED = ("attn_q.", "attn_k.", "attn_v.", "attn_output.", "ffn_gate.", "ffn_up.", "ffn_down.")


def tensors(path: Path) -> dict[str, NDArray[Any]]:
    from gguf import GGUFReader

    return {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}


def test_a_file_is_the_converters_but_for_the_last_bits_of_scales(tmp_path: Path) -> None:
    """torch adds up the absolute values in float32, in an order that depends on its threads."""
    checkpoint = tiny.write(tiny.MODELS["bitnet"], tmp_path / "tiny-bitnet")
    theirs, ours = tmp_path / "theirs.gguf", tmp_path / "ours.gguf"
    convert([Job(checkpoint, theirs, "f32")])
    gguf_tools.convert(checkpoint, ours, type="F32")
    assert list(describe(ours).metadata.items()) == list(describe(theirs).metadata.items())
    expected, found = tensors(theirs), tensors(ours)
    assert list(found) == list(expected)
    for name, values in expected.items():
        if any(part in name for part in ROUNDED):
            assert len(np.unique(found[name])) == 3
            np.testing.assert_array_equal(np.sign(found[name]), np.sign(values), err_msg=name)
            np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_an_export_computes_the_same_in_transformers_and_becomes_the_same_file(
    tmp_path: Path, measured: Callable[[str], None]
) -> None:
    checkpoint = tiny.write(tiny.MODELS["bitnet"], tmp_path / "tiny-bitnet")
    (tmp_path / "exported").mkdir()
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    exported = tmp_path / "exported" / "tiny-bitnet"
    gguf_tools.convert(checkpoint, first, type="F32")
    gguf_tools.export(first, exported, dtype="f32")
    gguf_tools.convert(exported, second, type="F32")
    assert second.read_bytes() == first.read_bytes()
    tokens = load_tokenizer(exported)(TEXT)["input_ids"]
    theirs = logits(load_model(exported), tokens)
    with Llama(first) as model:
        assert model.tokenize(TEXT) == tokens
        ours = model.logits(tokens)
    largest = float(np.abs(ours - theirs).max())
    median = float(np.median(divergence(ours, theirs)))
    measured(f"logits bitnet: largest difference {largest:.1e}, median divergence {median:.1e}")
    assert theirs.std() > 0.5
    assert median < MEDIAN_DIVERGENCE
    assert largest < LARGEST_DIFFERENCE
