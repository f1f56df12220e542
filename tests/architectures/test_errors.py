"""What is wrong with a checkpoint or a file is said with the place, before any weight is read."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.table import Architecture
from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.errors import ArchitectureError, FormatError, GGUFToolsError
from gguf_tools.source import ArraySource, Source
from gguf_tools.spec import ValueType
from tests.architectures.sources import checkpoint


def exported(name: str) -> tuple[Architecture, Metadata, dict[str, Source]]:
    config, tensors = checkpoint(name)
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    entries = Metadata([("general.architecture", ValueType.STRING, family.name), *side.metadata])
    return family, entries, dict(side.tensors)


def refused(
    config: dict[str, Any], tensors: dict[str, Source] | None = None, **more: Any
) -> ArchitectureError:
    family = architectures.find(config)
    with pytest.raises(ArchitectureError) as caught:
        family.to_gguf(config, {} if tensors is None else tensors, **more)
    return caught.value


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("LlamaForCausaLM", "LlamaForCausalLM"), ("Qwen2ForCausalLMs", "Qwen2ForCausalLM"), ("Zzz", None)],
)
def test_an_unsupported_class_lists_the_supported_ones(name: str, nearest: str | None) -> None:
    with pytest.raises(ArchitectureError) as caught:
        architectures.find({"architectures": [name]})
    text = str(caught.value)
    assert caught.value.found == name
    assert ("did you mean" in text) is (nearest is not None)
    assert nearest is None or f"did you mean {nearest}?" in text
    for family in architectures.ARCHITECTURES:
        for known in family.hf_classes:
            assert known in text


@pytest.mark.parametrize(
    "config", [{}, {"architectures": []}, {"architectures": "Llama"}, {"architectures": [1]}]
)
def test_a_config_that_names_no_class_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureError, match="architectures"):
        architectures.find(config)


@pytest.mark.parametrize(("name", "nearest"), [("lama", "llama"), ("qwen9", "qwen"), (7, None), (None, None)])
def test_an_unsupported_gguf_architecture_lists_the_supported_ones(name: object, nearest: str | None) -> None:
    with pytest.raises(ArchitectureError, match=r"supported: arcee, .*, gemma-embedding, .*qwen3") as caught:
        architectures.of_file({"general.architecture": name}, {})
    assert nearest is None or f"did you mean {nearest}" in str(caught.value)


SIZES = [
    "num_hidden_layers",
    "max_position_embeddings",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
]


@pytest.mark.parametrize("value", [0, -1, "8", 2.5, 8.0, True, [8], 2**32, {"a": 1}])
@pytest.mark.parametrize("key", SIZES)
def test_unusable_sizes_name_the_config_key(key: str, value: Any) -> None:
    error = refused(checkpoint("llama", **{key: value})[0])
    assert (error.path, error.key, error.found) == ("config.json", key, value)


@pytest.mark.parametrize("value", [0, -1e-5, "1e-5", float("inf"), float("nan"), True, 1e-60])
@pytest.mark.parametrize("key", ["rms_norm_eps", "rope_theta"])
def test_unusable_numbers_name_the_config_key(key: str, value: Any) -> None:
    error = refused(checkpoint("llama", **{key: value})[0])
    assert (error.path, error.key) == ("config.json", key)


@pytest.mark.parametrize(
    "key", ["num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads"]
)
@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "bert"])
def test_essential_sizes_are_never_guessed(name: str, key: str) -> None:
    error = refused(checkpoint(name, **{key: None})[0])
    assert (error.path, error.key) == ("config.json", key)
    assert "missing" in str(error)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("llama", "attention_bias", "yes"),
        ("llama", "tie_word_embeddings", 1),
        ("bert", "id2label", {"zero": "a"}),
        ("bert", "id2label", ["a"]),
        ("bert", "id2label", {"0": 1, "1": "a", "2": "b"}),
        ("bert", "num_labels", -1),
        ("mistral", "sliding_window", "all"),
        ("gemma3", "final_logit_softcapping", -1),
        ("qwen2", "num_attention_heads", 7),
    ],
)
def test_other_unusable_settings_name_the_config_key(name: str, key: str, value: Any) -> None:
    config, tensors = checkpoint(name, **{key: value})
    if name == "qwen2":  # there the head size matters to nothing; only Llama's families divide by the heads
        config["architectures"], config["num_key_value_heads"] = ["LlamaForCausalLM"], 1
    error = refused(config, tensors)
    assert (error.path, error.key) == ("config.json", key)


@pytest.mark.parametrize("layers", [513, 2**31, 2**32 - 1])
@pytest.mark.parametrize("name", ["llama", "gemma3", "bert"])
def test_absurd_layer_counts_are_refused_at_once(name: str, layers: int) -> None:
    config, tensors = checkpoint(name, num_hidden_layers=layers)
    start = time.process_time()
    error = refused(config, tensors)
    assert time.process_time() - start < 1
    assert (error.key, error.found) == ("num_hidden_layers", layers)
    assert "512" in str(error)
    family, entries, made = exported(name)
    entries.set(f"{family.name}.block_count", layers, ValueType.UINT32)
    with pytest.raises(FormatError, match="block_count"):
        family.to_hf(entries, made)


def test_unmapped_and_missing_tensors_are_all_counted_and_the_first_are_named() -> None:
    config, tensors = checkpoint("llama")
    for i in range(30):
        tensors[f"adapter.{i}"] = ArraySource(np.zeros(2, np.float32))
    del tensors["model.norm.weight"]
    del tensors["model.layers.1.mlp.up_proj.weight"]
    text = str(refused(config, tensors))
    assert "30 tensors without a rule: adapter.0, adapter.1" in text
    assert "and 10 more" in text
    assert "2 tensors missing: model.norm.weight, model.layers.1.mlp.up_proj.weight" in text
    assert len(text) < 2000


def test_a_packed_checkpoint_is_hinted_at() -> None:
    config, tensors = checkpoint("llama", quantization_config={"quant_method": "gptq"})
    tensors["model.layers.0.mlp.up_proj.qweight"] = ArraySource(np.zeros(2, np.float32))
    assert "'gptq'" in str(refused(config, tensors))


def test_fewer_layers_in_the_config_than_in_the_files_are_unmapped() -> None:
    config, tensors = checkpoint("llama", num_hidden_layers=2)
    text = str(refused(config, tensors))
    assert "9 tensors without a rule" in text
    assert "model.layers.2." in text


def test_an_untied_model_needs_its_output() -> None:
    config, tensors = checkpoint("llama")
    del tensors["lm_head.weight"]
    assert "1 tensor missing: lm_head.weight" in str(refused(config, tensors))
    config["tie_word_embeddings"] = True
    assert architectures.find(config).to_gguf(config, tensors).tensors


def test_a_flagged_bias_must_be_there_in_every_layer() -> None:
    config, tensors = checkpoint("llama", attention_bias=True)
    assert "12 tensors missing" in str(refused(config, tensors))


def test_the_same_tensor_under_two_names_is_an_error() -> None:
    config, tensors = checkpoint("bert")
    name = "embeddings.word_embeddings.weight"
    tensors["bert." + name] = tensors[name]
    error = refused(config, tensors)
    assert error.tensor == "bert." + name
    assert name in error.message


def test_a_shape_that_does_not_fit_names_the_tensor() -> None:
    config, tensors = checkpoint("llama", num_attention_heads=3, num_key_value_heads=2)
    error = refused(config, tensors)
    assert error.tensor == "model.layers.0.self_attn.q_proj.weight"
    assert error.found == (256, 256)


@pytest.mark.parametrize(
    "files",
    [
        {"modules.json": {"a": 1}},
        {"modules.json": ["x"]},
        {"modules.json": [{"type": "a.Pooling"}]},
        {"modules.json": [{"type": "a.Pooling", "path": "p"}]},
        {
            "modules.json": [{"type": "a.Pooling", "path": "p"}],
            "p/config.json": {"pooling_mode_max_tokens": True},
        },
        {"modules.json": [{"type": "a.Pooling", "path": "p"}], "p/config.json": []},
    ],
)
def test_pooling_that_cannot_be_read_is_an_error(files: dict[str, Any]) -> None:
    config, tensors = checkpoint("bert")
    assert refused(config, tensors, read_json=files.get).path is not None


@pytest.mark.parametrize("key", ["block_count", "context_length", "embedding_length", "attention.head_count"])
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_gguf_keys_that_are_missing_are_named(name: str, key: str) -> None:
    family, entries, tensors = exported(name)
    del entries[f"{family.name}.{key}"]
    with pytest.raises(FormatError) as caught:
        family.to_hf(entries, tensors)
    assert caught.value.key == f"{family.name}.{key}"


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("llama.block_count", ValueType.STRING, "3"),
        ("llama.block_count", ValueType.UINT32, 0),
        ("llama.attention.head_count", ValueType.ARRAY, Array(ValueType.INT32, [4, 4, 4])),
        ("llama.attention.head_count_kv", ValueType.INT32, -2),
        ("llama.attention.layer_norm_rms_epsilon", ValueType.FLOAT32, float("nan")),
        ("llama.attention.layer_norm_rms_epsilon", ValueType.STRING, "1e-5"),
        ("llama.rope.freq_base", ValueType.FLOAT32, -1.0),
        ("llama.rope.dimension_count", ValueType.UINT32, 32),
        ("llama.attention.value_length", ValueType.UINT32, 32),
        ("llama.vocab_size", ValueType.UINT32, 545),
        ("llama.rope.scaling.type", ValueType.STRING, "longrope"),
    ],
)
def test_gguf_values_config_json_cannot_say_are_errors(key: str, kind: ValueType, value: Any) -> None:
    family, entries, tensors = exported("llama")
    entries.set(key, value, kind)
    with pytest.raises(FormatError) as caught:
        family.to_hf(entries, tensors)
    assert caught.value.key == key


def test_gguf_tensors_without_a_rule_or_missing_are_named() -> None:
    family, entries, tensors = exported("llama")
    tensors["blk.0.ffn_gate_exps.weight"] = tensors.pop("blk.0.ffn_gate.weight")
    with pytest.raises(ArchitectureError) as caught:
        family.to_hf(entries, tensors)
    assert "1 tensor without a rule: blk.0.ffn_gate_exps.weight" in str(caught.value)
    assert "1 tensor missing: blk.0.ffn_gate.weight" in str(caught.value)


def test_a_pooling_without_a_name_is_an_error() -> None:
    family, entries, tensors = exported("bert")
    entries.set("bert.pooling_type", 4, ValueType.UINT32)
    with pytest.raises(GGUFToolsError, match="pooling_type"):
        family.to_hf(entries, tensors)
