"""RoPE: spellings, scaling kinds, and the way from Llama 3's factors back to its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gguf_tools.architectures.config import GGUFFacts, HFConfig
from gguf_tools.architectures.rope import Llama3Factors, Rope, fit_llama3, llama3_factors
from gguf_tools.errors import ArchitectureError, FormatError
from gguf_tools.source import ArraySource

ALL = Rope(kinds=("linear", "yarn", "llama3"), local="rope_local_base_freq")


def keys(rope: Rope = ALL, **config: Any) -> dict[str, Any]:
    return {key: value for key, _, value in rope.forward(HFConfig(config))}


def f32(value: float) -> float:
    return float(np.float32(value))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"rope_theta": 500000}, {"rope.freq_base": 500000.0}, id="plain"),
        pytest.param({}, {"rope.freq_base": 10000.0}, id="nothing said"),
        pytest.param(
            {"rope_theta": 10000.0, "rope_parameters": {"rope_theta": 250000.0, "rope_type": "default"}},
            {"rope.freq_base": 250000.0},
            id="rope_parameters",
        ),
        pytest.param(
            {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4}},
            {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0, "rope.freq_base": 10000.0},
            id="linear, old spelling",
        ),
        pytest.param(
            {
                "rope_theta": 1e6,
                "rope_scaling": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "attention_factor": 0.7,
                    "beta_fast": 33,
                    "beta_slow": 0,
                    "extrapolation_factor": None,
                },
                "original_max_position_embeddings": 128,
            },
            {
                "rope.scaling.type": "yarn",
                "rope.scaling.factor": 4.0,
                "rope.scaling.original_context_length": 128,
                "rope.scaling.yarn_attn_factor": f32(0.7),
                "rope.scaling.yarn_beta_fast": 33.0,
                "rope.scaling.yarn_beta_slow": 0.0,
                "rope.freq_base": 1e6,
            },
            id="yarn",
        ),
        pytest.param(
            {"rope_theta": 1e6, "rope_local_base_freq": 12345.0, "rope_scaling": None},
            {"rope.freq_base": 1e6, "rope.freq_base_swa": 12345.0},
            id="two bases",
        ),
        pytest.param(
            {
                "rope_local_base_freq": 10000.0,
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
                    "sliding_attention": {"rope_theta": 12345.0, "rope_type": "default"},
                },
            },
            {
                "rope.scaling.type": "linear",
                "rope.scaling.factor": 8.0,
                "rope.freq_base": 1e6,
                "rope.freq_base_swa": 12345.0,
            },
            id="split rope_parameters",
        ),
        pytest.param(
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            {"rope.freq_base": 5e5},
            id="llama3 is a tensor, not keys",
        ),
    ],
)
def test_all_spellings_become_the_same_keys(config: dict[str, Any], expected: dict[str, Any]) -> None:
    found = keys(**config)
    assert found == expected
    back: dict[str, Any] = {}
    ALL.inverse(GGUFFacts("x", {f"x.{key}": value for key, value in found.items()}, {}), back)
    expected.setdefault("rope.freq_base_swa", 10000.0)
    assert keys(**back) == expected


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_scaling"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rope_scaling"),
        ({"rope_scaling": {"rope_type": ["linear"]}}, "rope_scaling"),
        ({"rope_scaling": [1]}, "rope_scaling"),
        ({"rope_parameters": {"full_attention": 3}}, "rope_parameters"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling.factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": -1}}, "rope_scaling.factor"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
            "rope_scaling.original_max_position_embeddings",
        ),
        ({"rope_theta": 0}, "rope_theta"),
        ({"rope_theta": "10000"}, "rope_theta"),
        ({"rope_theta": float("nan")}, "rope_theta"),
        ({"rope_theta": 1e39}, "rope_theta"),
        ({"rope_theta": 10**400}, "rope_theta"),
    ],
)
def test_what_cannot_be_expressed_is_an_error_that_names_the_key(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        keys(**config)
    assert (caught.value.path, caught.value.key) == ("config.json", key)


def test_a_scaling_type_without_counterpart_is_an_error() -> None:
    with pytest.raises(FormatError, match=r"llama\.rope\.scaling\.type"):
        Rope().inverse(GGUFFacts("llama", {"llama.rope.scaling.type": "longrope"}, {}), {})


LLAMA_31 = (500000.0, 128, 8.0, 1.0, 4.0, 8192)


def test_the_factors_of_llama_3_1_are_those_torch_gives_the_converter() -> None:
    factors = llama3_factors(*LLAMA_31)
    assert factors.dtype == np.float32
    smooth = ["1.351daa", "1.8dac94", "2.06bc74", "2.b1ccb8", "3.af2b38", "5.41e03"]
    expected = [1.0] * 29 + [float.fromhex(digits) for digits in smooth] + [8.0] * 29
    assert factors.tolist() == expected


@pytest.mark.parametrize(
    ("base", "size", "factor", "low", "high", "original"),
    [
        LLAMA_31,
        (500000.0, 64, 32.0, 1.0, 4.0, 8192),
        (500000.0, 64, 8.0, 1.0, 4.0, 128),
        (10000.0, 16, 8.0, 1.0, 4.0, 8192),
        (1e6, 128, 3.5, 1.5, 7.0, 1000),
        (250000.0, 80, 16.0, 1.0, 3.0, 6000),
        (500000.0, 128, 16.0, 1.0, 1.0, 8192),  # Llama 4
    ],
)
def test_parameters_come_back_from_the_factors(
    base: float, size: int, factor: float, low: float, high: float, original: int
) -> None:
    assert fit_llama3(llama3_factors(base, size, factor, low, high, original), base, size) == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }


@given(
    base=st.sampled_from([10000.0, 500000.0, 1e6]),
    size=st.sampled_from([64, 96, 128]),
    factor=st.sampled_from([2.0, 8.0, 10.5, 32.0]),
    high=st.sampled_from([2.0, 3.0, 4.0, 8.0]),
    original=st.integers(1024, 65536),
)
def test_what_comes_back_gives_the_same_factors(
    base: float, size: int, factor: float, high: float, original: int
) -> None:
    factors = llama3_factors(base, size, factor, 1.0, high, original)
    assume(np.count_nonzero((factors > 1) & (factors < factor)) >= 2)  # enough of the smooth part to tell
    assume(factors.max() == factor)  # and a frequency low enough to show the factor
    found = fit_llama3(factors, base, size)
    again = llama3_factors(
        base,
        size,
        found["factor"],
        found["low_freq_factor"],
        found["high_freq_factor"],
        found["original_max_position_embeddings"],
    )
    np.testing.assert_allclose(again, factors, rtol=4e-6)


def test_factors_of_another_library_are_recognised_though_their_last_bits_differ() -> None:
    factors = llama3_factors(*LLAMA_31)
    factors[30] = np.nextafter(factors[30], np.float32(9))
    assert fit_llama3(factors, 500000.0, 128)["original_max_position_embeddings"] == 8192


@pytest.mark.parametrize(
    "factors",
    [
        np.linspace(1, 8, 64, dtype=np.float32),
        np.full(64, np.nan, np.float32),
        np.full(64, np.inf, np.float32),
        np.zeros(64, np.float32),
        np.full(64, 3, np.float32),
    ],
)
def test_other_factors_are_refused_not_guessed(factors: Any) -> None:
    with pytest.raises(ArchitectureError, match=r"rope_freqs\.weight"):
        fit_llama3(factors, 500000.0, 128)


def test_a_tensor_of_ones_is_left_out_with_a_note() -> None:
    config: dict[str, Any] = {"head_dim": 8, "rope_theta": 10000.0, "rope_scaling": None}
    notes: list[str] = []
    Llama3Factors().inverse(ArraySource(np.ones(4, np.float32)), config, notes)
    assert config["rope_scaling"] is None
    assert len(notes) == 1


def test_a_tensor_of_the_wrong_size_is_an_error() -> None:
    with pytest.raises(ArchitectureError, match="rope_freqs"):
        Llama3Factors().inverse(
            ArraySource(np.ones((4, 1), np.float32)), {"head_dim": 8, "rope_theta": 10000.0}, []
        )
