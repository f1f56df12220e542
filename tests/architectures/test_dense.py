"""What the newer dense families refuse, note, and derive on the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.config import simplest
from gguf_tools.container.metadata import Array
from gguf_tools.errors import ArchitectureError, FormatError
from gguf_tools.source import ArraySource
from gguf_tools.spec import ValueType
from tests import tiny
from tests.architectures.sources import checkpoint, converted, keys, metadata


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("hunyuan", {"max_position_embeddings": 4096}, "rope_scaling"),
        ("hunyuan", {"rope_theta": 5000.0}, "rope_scaling"),
        ("hunyuan", {"rope_scaling": {"type": "dynamic"}}, "rope_scaling.alpha"),
        ("hunyuan", {"rope_scaling": {"type": "dynamic", "alpha": 1e38}}, "rope_scaling.alpha"),
        ("hunyuan", {"head_dim": 2}, "head_dim"),
        ("lfm2", {"layer_types": ["conv"]}, "layer_types"),
        ("lfm2", {"layer_types": None}, "layer_types"),
        ("dots1", {"scoring_func": "entmax"}, "scoring_func"),
        ("openelm", {"num_kv_heads": [1]}, "num_kv_heads"),
        ("openelm", {"num_query_heads": [2, "4"]}, "num_query_heads"),
        ("openelm", {"ffn_multipliers": [0.5, "1"]}, "ffn_multipliers"),
        ("openelm", {"ffn_multipliers": [0.5, float("nan")]}, "ffn_multipliers"),
        ("openelm", {"ffn_multipliers": [0.5, 1e300]}, "ffn_multipliers"),
        ("minicpm", {"scale_depth": -1}, "scale_depth"),
    ],
)
def test_unusable_settings_are_named(name: str, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        converted(name, **changes)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("internlm2", {}, "dynamically"),
        ("internlm3", {}, "dynamically"),
        ("minicpm3", {"scale_depth": 2.0}, "scale_depth"),
        ("openelm", {"share_input_output_layers": False}, "share_input_output_layers"),
        ("apertus", {"hidden_act": "silu"}, "hidden_act"),
    ],
)
def test_settings_llama_cpp_does_not_heed_are_noted(name: str, changes: dict[str, Any], word: str) -> None:
    (note,) = converted(name, **changes)[3].notes
    assert word in note


def test_the_output_of_baichuan_2_is_noted() -> None:
    model = tiny.MODELS["baichuan"]
    sources = {name: ArraySource(array) for name, array in model.tensors(model.config).items()}
    family = architectures.find(model.config)
    assert family.to_gguf(model.config, sources).notes == []
    (note,) = family.to_gguf(model.config | {"vocab_size": 125696}, sources).notes
    assert "Baichuan 2" in note


def test_dots_calls_its_router_by_another_name() -> None:
    side = converted("dots1", scoring_func="noaux_tc")[3]
    assert side.metadata == converted("dots1", scoring_func="sigmoid")[3].metadata
    assert side.metadata == converted("dots1", scoring_func=None)[3].metadata


@pytest.mark.parametrize("alpha", [1000.0, 50.0, 3.7])
def test_alpha_comes_back_from_the_base(alpha: float) -> None:
    family, _, _, side = converted("hunyuan", rope_scaling={"type": "dynamic", "alpha": alpha})
    config = family.to_hf(metadata(family, side), dict(side.tensors)).config
    assert config["rope_scaling"]["alpha"] == alpha
    assert config["rope_theta"] == 10000.0


def test_hunyuan_without_scaling_keeps_its_context() -> None:
    side = converted("hunyuan", rope_scaling=None, max_position_embeddings=512)[3]
    assert keys(side)["context_length"] == 512
    assert "rope.scaling.type" not in keys(side)


def test_the_simplest_number_is_found() -> None:
    residual = float(np.float32(1.4 / 40**0.5))
    assert simplest(residual * 40**0.5, lambda depth: depth / 40**0.5, residual) == 1.4


def test_a_layer_without_its_activations_parameters_is_an_error() -> None:
    config, tensors = checkpoint("apertus")
    del tensors["model.layers.1.mlp.act_fn.beta"]
    with pytest.raises(ArchitectureError, match=r"1 tensor missing: model\.layers\.1\.mlp\.act_fn\.beta"):
        architectures.find(config).to_gguf(config, tensors)


def test_a_parameter_of_several_values_is_an_error() -> None:
    config, tensors = checkpoint("apertus")
    tensors["model.layers.0.mlp.act_fn.eps"] = ArraySource(np.zeros(2, np.float32))
    with pytest.raises(ArchitectureError, match="not a single value") as caught:
        architectures.find(config).to_gguf(config, tensors)
    assert caught.value.tensor == "model.layers.0.mlp.act_fn.eps"


@pytest.mark.parametrize(
    "value",
    [None, Array(ValueType.FLOAT32, [0.5]), Array(ValueType.STRING, ["a", "b"]), 0.5],
    ids=["missing", "short", "texts", "a number"],
)
def test_a_list_that_is_none_of_parameters_is_an_error(value: Any) -> None:
    family, _, _, side = converted("apertus")
    entries = dict(metadata(family, side))
    if value is None:
        del entries["xielu.beta"]
    else:
        entries["xielu.beta"] = value
    with pytest.raises(FormatError) as caught:
        family.to_hf(entries, dict(side.tensors))
    assert caught.value.key == "xielu.beta"


@pytest.mark.parametrize("value", [None, Array(ValueType.STRING, ["a", "b"]), Array(ValueType.INT32, []), 3])
def test_counts_that_are_no_list_are_an_error(value: Any) -> None:
    family, _, _, side = converted("openelm")
    entries = dict(metadata(family, side)) | {"openelm.attention.head_count": value}
    with pytest.raises(FormatError) as caught:
        family.to_hf(entries, dict(side.tensors))
    assert caught.value.key == "openelm.attention.head_count"
