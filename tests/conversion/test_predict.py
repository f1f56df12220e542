"""Predicted sizes against planned and written ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.conversion.predict import predict_draft, predict_sizes
from gguf_tools.conversion.requantize import draft_requantization, plan_requantization
from gguf_tools.conversion.to_gguf import draft_conversion, plan_conversion
from gguf_tools.errors import QuantizationError
from gguf_tools.recipes import RECIPES, Overrides, combine
from gguf_tools.recipes.imatrix import load_importance
from tests import tiny
from tests.goldens.record_recipes import write_imatrix

MODELS = ("llama", "qwen3-moe", "falcon-h1", "bert", "t5", "gpt-oss-mxfp4", "deepseek-v3", "mamba2")
WRITTEN = ("F16", "Q8_0", "Q4_0", "Q4_K_M", "Q6_K", "IQ4_XS", "TQ2_0", "MXFP4_MOE")


@pytest.mark.parametrize("model", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_predictions_are_what_each_plan_says(model: str, tiny_checkpoints: dict[str, Path]) -> None:
    found = {prediction.recipe: prediction for prediction in predict_sizes(tiny_checkpoints[model])}
    assert list(found) == list(RECIPES)
    for name, prediction in found.items():
        if prediction.needs_imatrix:
            with pytest.raises(QuantizationError, match="importance matrix"):
                plan_conversion(tiny_checkpoints[model], recipe=name)
            continue
        plan = plan_conversion(tiny_checkpoints[model], recipe=name)
        assert prediction.size == plan.size, name
        assert prediction.bits_per_weight == plan.bits_per_weight
        assert prediction.parameters == plan.parameters
        assert prediction.fallback_tensors == len(plan.fallbacks)
        assert prediction.fallback_parameters == sum(tensor.parameters for tensor in plan.fallbacks)


@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_what_is_written(
    model: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    found = {prediction.recipe: prediction for prediction in predict_sizes(tiny_checkpoints[model])}
    for name in WRITTEN:
        gguf_tools.convert(tiny_checkpoints[model], tmp_path / f"{name}.gguf", type=name)
        assert (tmp_path / f"{name}.gguf").stat().st_size == found[name].size, name


@pytest.mark.parametrize("first", ["BF16", "Q4_K_M"])
def test_predictions_for_a_file_that_is_quantized_again(
    first: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / "source.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3-moe"], source, type=first)
    found = {prediction.recipe: prediction for prediction in predict_sizes(source)}
    for name in WRITTEN:
        assert plan_requantization(source, recipe=name).size == found[name].size
        gguf_tools.requantize(source, tmp_path / f"{name}.gguf", type=name)
        assert (tmp_path / f"{name}.gguf").stat().st_size == found[name].size, name


def test_an_importance_matrix_and_wishes_count(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "source.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3"], source, type="BF16")
    with gguf_tools.open(source) as file:
        write_imatrix(tmp_path / "imatrix.dat", {name: t.shape for name, t in file.tensors.items()})
    overrides = combine(Overrides(), tensor_types=["attn_v=Q8_0"], output="Q5_1")
    matrix = load_importance(tmp_path / "imatrix.dat")
    for prediction in predict_draft(draft_requantization(source), matrix, overrides):
        plan = plan_requantization(
            source, recipe=prediction.recipe, imatrix=tmp_path / "imatrix.dat", overrides=overrides
        )
        assert prediction.size == plan.size
        assert not prediction.needs_imatrix
    for prediction in predict_draft(draft_conversion(tiny_checkpoints["qwen3"]), matrix, overrides):
        plan = plan_conversion(
            tiny_checkpoints["qwen3"],
            recipe=prediction.recipe,
            imatrix=tmp_path / "imatrix.dat",
            overrides=overrides,
        )
        assert prediction.size == plan.size


def test_what_cannot_be_followed_says_why(tmp_path: Path) -> None:
    """Rules count layers; a file that does not say how many has no answer under recipes with rules."""
    metadata = gguf_tools.Metadata([("general.architecture", gguf_tools.ValueType.STRING, "llama")])
    gguf_tools.write(tmp_path / "a.gguf", metadata, [("blk.0.attn_v.weight", np.zeros((4, 256), np.float32))])
    found = {prediction.recipe: prediction for prediction in predict_sizes(tmp_path / "a.gguf")}
    assert found["Q4_K_M"].size is None
    assert found["Q4_K_M"].problem == "the key is missing"
    assert found["Q8_0"].size == plan_requantization(tmp_path / "a.gguf", recipe="Q8_0").size
