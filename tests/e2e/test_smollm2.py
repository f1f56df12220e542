"""SmolLM2-135M-Instruct, a real Llama: GGUF → checkpoint → GGUF gives the same weights and vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from tests.goldens.describe import Description, describe
from tests.references import oracles
from tests.references.llama import Llama

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF as a Hugging Face directory in F16."""
    directory = tmp_path_factory.mktemp("smollm2") / "SmolLM2-135M-Instruct"
    gguf_tools.export(oracles.smollm2(), directory, dtype="f16")
    return directory


@pytest.fixture(scope="module")
def again(exported: Path) -> Path:
    """That directory as an F16 GGUF."""
    path = exported.parent / "again-f16.gguf"
    gguf_tools.convert(exported, path, type="F16")
    return path


def dequantized(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every tensor as float32 by the gguf package's decoders."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    return {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in GGUFReader(path).tensors}


def tokenizer_keys(description: Description) -> dict[str, object]:
    return {key: value for key, value in description.metadata.items() if key.startswith("tokenizer.")}


def test_tensors_come_back_as_the_source_rounded_to_f16(again: Path) -> None:
    source, found = dequantized(oracles.smollm2()), dequantized(again)
    assert set(found) == set(source)
    for name, values in source.items():
        np.testing.assert_array_equal(found[name], values.astype(np.float16).astype(np.float32), err_msg=name)


def test_tensor_types_are_f16_for_matrices_and_f32_for_norms(again: Path) -> None:
    for name, facts in describe(again).tensors.items():
        assert facts.type == ("F32" if len(facts.shape) == 1 else "F16"), name


def test_the_vocabulary_comes_back_key_for_key(again: Path) -> None:
    assert tokenizer_keys(describe(again)) == tokenizer_keys(describe(oracles.smollm2()))


def test_the_shape_of_the_model_comes_back(again: Path) -> None:
    source, found = describe(oracles.smollm2()).metadata, describe(again).metadata
    shared = [key for key in source if key.startswith("llama.")]
    assert len(shared) > 8
    assert {key: found.get(key) for key in shared} == {key: source[key] for key in shared}


def test_llama_cpp_knows_the_capital_of_france_from_our_q4_k_m(
    exported: Path, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    path = tmp_path / "q4_k_m.gguf"
    gguf_tools.convert(exported, path, type="Q4_K_M")
    with Llama(path) as model:
        text = model.generate(PROMPT, 12)
    measured(f"SmolLM2 Q4_K_M, {path.stat().st_size / 1e6:.1f} MB: {PROMPT}{text!r}")
    assert text.strip().startswith("Paris")


def test_requantizing_the_gguf_itself_gives_the_same_answer(tmp_path: Path) -> None:
    path = tmp_path / "q5_k_m.gguf"
    gguf_tools.requantize(oracles.smollm2(), path, type="Q5_K_M")
    with Llama(path) as model:
        assert model.generate(PROMPT, 4).strip().startswith("Paris")
