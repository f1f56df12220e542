"""What only hybrids have: layers of several kinds, and multipliers that become part of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.config import HFConfig
from gguf_tools.architectures.per_layer_keys import periods
from gguf_tools.architectures.scaling import Scaled
from gguf_tools.architectures.table import GGUFParts
from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.errors import ArchitectureError, FormatError
from gguf_tools.source import ArraySource
from gguf_tools.spec import ValueType
from tests.architectures.sources import checkpoint, stored, values


def converted(name: str, **changes: Any) -> tuple[architectures.Architecture, GGUFParts]:
    config, tensors = checkpoint(name, **changes)
    family = architectures.find(config)
    return family, family.to_gguf(config, tensors)


def entries(family: architectures.Architecture, side: GGUFParts) -> Metadata:
    return Metadata([("general.architecture", ValueType.STRING, family.name), *side.metadata])


def test_folded_multipliers_stay_folded() -> None:
    """An export says that they are one, so the same file comes of it, and of that the same export."""
    family, side = converted("falcon-h1-multipliers")
    back = family.to_hf(entries(family, side), dict(side.tensors))
    again = family.to_gguf(back.config, dict(back.tensors))
    assert again.metadata == side.metadata
    for (name, made), (_, expected) in zip(again.tensors, side.tensors, strict=True):
        if name.endswith("ssm_a"):
            np.testing.assert_allclose(values(made), values(expected), rtol=2e-7)
        else:
            np.testing.assert_array_equal(values(made), values(expected), err_msg=name)
    assert any("multipliers" in note for note in back.notes)


def test_multipliers_round_as_often_as_the_converter_does() -> None:
    array = np.array([[0.1, 0.7], [0.3, 1.1], [1e-3, 3.0]], np.float32)
    transform = Scaled(lambda config: [(1, (0.3, 0.7)), (2, (0.3, 1.1))])
    for dtype, kind in (("F32", np.float32), ("F16", np.float16)):
        (made,) = transform.forward([stored(array, dtype)], HFConfig({}))
        rows = array.astype(kind)
        expected = [((row.astype(np.float32) * np.float32(0.3)).astype(kind)) for row in rows]
        factors = (0.7, 1.1, 1.1)
        expected = [
            (row.astype(np.float32) * np.float32(factor)).astype(kind)
            for row, factor in zip(expected, factors, strict=True)
        ]
        np.testing.assert_array_equal(values(made), np.array(expected, np.float32))
        assert made.storage is None


@pytest.mark.parametrize(
    ("multipliers", "key"),
    [
        ({"ssm_multipliers": [1.0] * 4}, "ssm_multipliers"),
        ({"mlp_multipliers": 2.0}, "mlp_multipliers"),
        ({"mlp_multipliers": [1.0, "2"]}, "mlp_multipliers"),
        ({"key_multiplier": 0}, "key_multiplier"),
        ({"embedding_multiplier": float("inf")}, "embedding_multiplier"),
    ],
)
def test_multipliers_that_are_none_are_errors(multipliers: dict[str, Any], key: str) -> None:
    with pytest.raises(ArchitectureError, match=key):
        converted("falcon-h1", **multipliers)


@pytest.mark.parametrize(
    ("layers", "usual", "expected"),
    [
        ([0, 0, 0, 0, 1, 0, 0, 0], (8, 4), (8, 4)),
        ([0, 0, 0, 0, 1, 0, 0, 0], (3, 2), (5, 4)),
        ([0, 1, 0, 1], (2, 1), (2, 1)),
        ([0, 1, 0, 0, 1], (2, 1), (3, 1)),
        ([1, 1, 1], (8, 4), (1, 0)),
        ([1, 0, 0], (8, 4), (3, 0)),
        ([0, 0], (8, 1), (3, 2)),
    ],
)
def test_layers_at_a_fixed_distance(
    layers: list[int], usual: tuple[int, int], expected: tuple[int, int]
) -> None:
    period, offset = periods([bool(there) for there in layers], usual)
    assert (period, offset) == expected
    assert [int(layer % period == offset) for layer in range(len(layers))] == layers
    assert offset < period


def test_layers_at_no_fixed_distance_cannot_be_exported() -> None:
    with pytest.raises(ArchitectureError, match="fixed distance"):
        periods([True, True, False, True], (2, 1))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("granite-hybrid", "layer_types", None),
        ("granite-hybrid", "layer_types", ["mamba"]),
        ("granite-hybrid", "layer_types", ["mamba", "moe"]),
        ("granite-hybrid", "mamba_n_heads", 7),
        ("granite-hybrid", "mamba_d_head", 32),
        ("granite-hybrid", "mamba_expand", 3),
        ("falcon-h1", "mamba_d_ssm", 200),
        ("jamba", "mamba_expand", 4),
        ("jamba", "attn_layer_period", 0),
    ],
)
def test_unusable_settings_name_their_key(name: str, key: str, value: Any) -> None:
    with pytest.raises(ArchitectureError) as caught:
        converted(name, **{key: value})
    assert caught.value.path == "config.json"
    assert caught.value.key in (key, "mamba_d_head")


@pytest.mark.parametrize("heads", [Array(ValueType.INT32, [0]), Array(ValueType.INT32, [2, 4]), "2", 2.0])
def test_heads_of_a_file_that_do_not_fit_its_layers_are_errors(heads: Any) -> None:
    family, side = converted("granite-hybrid")
    changed = [
        (key, kind, heads if key.endswith("head_count_kv") else value) for key, kind, value in side.metadata
    ]
    facts = {key: value for key, _, value in changed}
    with pytest.raises(FormatError, match="head_count_kv"):
        family.to_hf(facts, dict(side.tensors))


def test_a_hybrid_of_mixers_only_has_as_many_key_heads_as_heads() -> None:
    config, tensors = checkpoint("granite-hybrid-dense", layer_types=["mamba"] * 3)
    family = architectures.find(config)
    second = {name: source for name, source in tensors.items() if ".1." in name and ".mamba." in name}
    tensors = {name: source for name, source in tensors.items() if ".self_attn." not in name}
    tensors |= {name.replace(".1.", ".2."): source for name, source in second.items()}
    side = family.to_gguf(config, tensors)
    back = family.to_hf(entries(family, side), dict(side.tensors))
    assert back.config["num_key_value_heads"] == back.config["num_attention_heads"]
    assert back.config["layer_types"] == ["mamba"] * 3


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("granite-hybrid", {"position_embedding_type": "rope"}, "position_embedding_type"),
        ("granite-hybrid-dense", {"intermediate_size": 128}, "shared_intermediate_size"),
        ("jamba", {"sliding_window": 8}, "sliding_window"),
        ("falcon-h1", {"mamba_rms_norm": False, "mlp_bias": True}, "mlp_bias"),
        ("falcon-h1-multipliers", {"mamba_norm_before_gate": True}, "mamba_norm_before_gate"),
    ],
)
def test_settings_llama_cpp_does_not_honour_are_noted(name: str, settings: dict[str, Any], word: str) -> None:
    (note,) = converted(name, **settings)[1].notes
    assert word in note


def test_small_jambas_of_one_expert_are_dense_everywhere() -> None:
    config, tensors = checkpoint("jamba", num_experts=1, num_experts_per_tok=1)
    made = {}
    for name, source in tensors.items():
        if ".router." in name or any(f".experts.{expert}." in name for expert in (1, 2, 3)):
            continue
        made[name.replace(".experts.0.", ".")] = source
    family = architectures.find(config)
    side = family.to_gguf(config, made)
    assert "blk.1.ffn_gate.weight" in dict(side.tensors)
    back = family.to_hf(entries(family, side), dict(side.tensors))
    assert {name for name, _ in back.tensors} == set(made)


def test_a_kind_of_layer_may_be_a_letter_or_a_word() -> None:
    kinds = ["mamba", "mlp", "full_attention", "linear_attention"]
    changes = {"hybrid_override_pattern": None, "num_hidden_layers": None, "layers_block_type": kinds}
    family, side = converted("nemotron-h", **changes)
    assert side.metadata == converted("nemotron-h")[1].metadata
    back = family.to_hf(entries(family, side), dict(side.tensors))
    assert back.config["hybrid_override_pattern"] == "M-*M"
    assert back.config["num_hidden_layers"] == 4


@pytest.mark.parametrize("pattern", ["M-*", "M-*X", 7, ["mamba", "mlp", "attention", "other"], "ME*M"])
def test_unknown_kinds_of_layers_are_errors(pattern: Any) -> None:
    with pytest.raises(ArchitectureError):
        converted("nemotron-h", hybrid_override_pattern=pattern)


def test_configs_of_one_class_are_two_architectures() -> None:
    assert converted("nemotron-h")[0].name == "nemotron_h"
    assert converted("nemotron-h-moe")[0].name == "nemotron_h_moe"


def test_experts_behind_a_narrower_projection() -> None:
    config, tensors = checkpoint("nemotron-h-moe", moe_latent_size=64)
    for layer in (1, 3):
        for name, shape in (("fc1_latent_proj", (64, 256)), ("fc2_latent_proj", (256, 64))):
            made = ArraySource(np.ones(shape, np.float32))
            tensors[f"backbone.layers.{layer}.mixer.{name}.weight"] = made
    tensors["mtp.layers.0.norm.weight"] = ArraySource(np.ones(256, np.float32))
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    assert dict(side.tensors)["blk.3.ffn_latent_up.weight"].shape == (256, 64)
    assert [name for name, _ in side.dropped] == ["mtp.layers.0.norm.weight"]
    back = family.to_hf(entries(family, side), dict(side.tensors))
    assert back.config["moe_latent_size"] == 64
    assert "backbone.layers.1.mixer.fc1_latent_proj.weight" in dict(back.tensors)


def test_rwkv_6_halves_what_a_layer_adds_once_for_every_few_before_it() -> None:
    config, tensors = checkpoint("rwkv6")
    made = dict(architectures.find(config).to_gguf(config, tensors).tensors)
    for hf, gguf in (("attention.output", "time_mix_output"), ("feed_forward.value", "channel_mix_value")):
        for layer in range(2):
            expected = values(tensors[f"rwkv.blocks.{layer}.{hf}.weight"]) / 2**layer
            np.testing.assert_array_equal(values(made[f"blk.{layer}.{gguf}.weight"]), expected)
    config, tensors = checkpoint("rwkv6", rescale_every=0)
    made = dict(architectures.find(config).to_gguf(config, tensors).tensors)
    source = made["blk.1.time_mix_output.weight"]
    assert source.storage is tensors["rwkv.blocks.1.attention.output.weight"].storage


@pytest.mark.parametrize(
    ("name", "missing", "key", "value"),
    [
        ("rwkv6", "intermediate_size", "feed_forward_length", 896),
        ("rwkv7", "intermediate_size", "feed_forward_length", 1024),
        ("rwkv7", "decay_low_rank_dim", "attention.decay_lora_rank", 32),
        ("rwkv7", "gate_low_rank_dim", "attention.gate_lora_rank", 64),
    ],
)
def test_sizes_rwkv_computes(name: str, missing: str, key: str, value: int) -> None:
    family, side = converted(name, **{missing: None})
    assert entries(family, side)[f"{family.name}.{key}"] == value


def test_the_first_layers_values_of_rwkv_7_are_copies() -> None:
    """llama.cpp loads them, and uses none; what a checkpoint has there is left out."""
    config, tensors = checkpoint("rwkv7")
    dummy = "model.layers.0.attn.v_lora.lora.0.weight"
    tensors[dummy] = tensors["model.layers.1.attn.v_lora.lora.0.weight"]
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    made = dict(side.tensors)
    assert [name for name, _ in side.dropped] == [dummy]
    for part in "012":
        np.testing.assert_array_equal(
            values(made[f"blk.0.time_mix_v{part}.weight"]), values(made[f"blk.0.time_mix_a{part}.weight"])
        )
    back = family.to_hf(entries(family, side), made)
    assert {name for name, _ in back.tensors} == set(tensors) - {dummy}
