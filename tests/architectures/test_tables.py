"""Each family: the recorded results of llama.cpp's converter, the way back, and what config.json may say."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.config import GGUFFacts
from gguf_tools.architectures.multimodal_prefix import unwrapped
from gguf_tools.architectures.tensors import Rule
from gguf_tools.architectures.transforms import SplitRows, StackExperts
from gguf_tools.container.metadata import Array
from gguf_tools.errors import ArchitectureError
from gguf_tools.source import ArraySource, Source, row_count
from gguf_tools.spec import GGMLType, ValueType
from tests import tiny
from tests.architectures.parts.encoders import MODULES
from tests.architectures.sources import (
    checkpoint,
    converted,
    files_of,
    keys,
    metadata,
    reader,
    stored,
    values,
)
from tests.goldens.describe import ggml_shape
from tests.goldens.record import load

RESCALED = ("blocks.1.attention.output.weight", "blocks.1.feed_forward.value.weight")
"""Of RWKV 6: computed, and so without a stored form."""


def described(kind: ValueType, value: Any) -> list[Any]:
    if isinstance(value, Array):
        return ["ARRAY", value.element_type.name, len(value), list(value)]
    return [kind.name, value]


CORRECTED: dict[str, dict[str, list[Any]]] = {
    "exaone": {"exaone.attention.layer_norm_rms_epsilon": ["FLOAT32", float(np.float32(1e-5))]},
    "glm": {
        "chatglm.context_length": ["UINT32", 512],
        "chatglm.attention.layer_norm_rms_epsilon": ["FLOAT32", float(np.float32(1.5625e-07))],
    },
}
"""What config.json says of keys the converter gets wrong or leaves out, see test_goldens."""


@pytest.mark.parametrize("name", tiny.NAMES)
def test_keys_and_tensors_are_those_of_the_converter(name: str) -> None:
    family, _, _, side = converted(name)
    golden = load(name)
    starts = (family.name + ".", *(rule.gguf for rule in family.scalars))
    expected = {key: value for key, value in golden["metadata"].items() if key.startswith(starts)}
    expected |= CORRECTED.get(name, {})
    assert {key: described(kind, value) for key, kind, value in side.metadata} == expected
    found = {}
    for tensor, source in side.tensors:
        if name == "mamba" and tensor.endswith("ssm_a"):  # torch's exponential, see test_goldens
            found[tensor] = [list(source.shape), golden["tensors"][tensor]["sha256"]["F32"]]
            continue
        content = values(source)
        if name == "jina-bert-v2-code" and tensor.endswith("ffn_up.weight"):  # see test_goldens
            content = np.roll(content, len(content) // 2, axis=0)
        content = np.ascontiguousarray(content)
        found[tensor] = [list(ggml_shape(source.shape)), hashlib.sha256(content.tobytes()).hexdigest()]
    assert found == {
        tensor: [facts["shape"], facts["sha256"]["F32"]] for tensor, facts in golden["tensors"].items()
    }


RESTATED = {"architectures", "model_type", "torch_dtype", "tie_word_embeddings"}
RESTATED_BY = {
    "lfm2": {"block_auto_adjust_ff_dim", "intermediate_size"},  # the width as it is after adjusting
    "internlm2": {"rope_scaling"},  # dynamic: not in GGUF
    "internlm3": {"rope_scaling"},
    "minicpm-longrope": {"rope_scaling"},  # without the original context
    "minicpm3": {"rope_scaling"},
    "openelm": {"ffn_multipliers"},  # of widths as they are after rounding
    "glm4-moe-vision": {"rope_scaling"},
    "qwen2-vl": {"rope_scaling"},  # the axes are one in text
    "qwen3-vl": {"rope_scaling"},
    "qwen3-vl-moe": {"rope_scaling"},
}
"""Settings an export may say in another way; converting it again gives the same keys all the same."""


@pytest.mark.parametrize("name", tiny.NAMES)
def test_the_way_back_gives_the_same_tensors_and_config(name: str) -> None:
    family, config, tensors, side = converted(name)
    if "text_config" in config:  # comes back as the text model alone
        config = config | config["text_config"]
        tensors = {unwrapped(given, family.prefix): source for given, source in tensors.items()}
    back = family.to_hf(metadata(family, side), dict(side.tensors), dtype="bfloat16")
    left_out = dict(side.dropped)
    regrouped = tiny.MODELS[name].regrouped
    assert regrouped or {key for key, _ in back.tensors} == set(tensors) - set(left_out)
    for key, source in back.tensors:
        if regrouped and ".experts." in key:
            continue  # compared below
        if key.endswith("A_log"):
            np.testing.assert_allclose(values(source), values(tensors[key]), rtol=0, atol=2e-7)
            continue
        if key.endswith("position_embeddings.weight") and "roberta" in name:
            unused = config["pad_token_id"] + 1  # rows GGUF does not have
            np.testing.assert_array_equal(values(source)[unused:], values(tensors[key])[unused:])
            assert not values(source)[:unused].any()
            continue
        if tiny.MODELS[name].folded:
            continue  # see test_hybrids
        np.testing.assert_array_equal(values(source), values(tensors[key]), strict=True, err_msg=key)
        if (
            not re.search(r"norm[a-z_]*\.weight$", key)
            and not key.endswith(RESCALED)
            and ".act_fn." not in key
        ):
            assert source.storage is tensors[key].storage
            whole = row_count(source.shape)
            np.testing.assert_array_equal(source.raw(0, whole), tensors[key].raw(0, whole), strict=True)
    same = set(config) & set(back.config) - RESTATED - RESTATED_BY.get(name, set())
    if tiny.MODELS[name].folded:
        same = {key for key in same if "multiplier" not in key}
    assert {key: back.config[key] for key in same} == {key: config[key] for key in same}
    assert back.config["torch_dtype"] == "bfloat16"
    again = architectures.find(back.config).to_gguf(
        back.config, dict(back.tensors), read_json=reader(back.files)
    )
    # A text model that comes back under its own name leaves out what only the wrapper asks for, and says so.
    uncarried = {note.split()[0] for note in back.notes if "has no counterpart" in note}
    kept = {key.partition(".")[2]: value for key, _, value in side.metadata if key not in uncarried}
    assert keys(again) == kept
    if regrouped:
        made = {key: values(source) for key, source in again.tensors}
        assert made.keys() == {key for key, _ in side.tensors}
        for key, source in side.tensors:
            np.testing.assert_array_equal(made[key], values(source), strict=True, err_msg=key)
        return
    assert [key for key, _ in again.tensors] == [key for key, _ in side.tensors]


@pytest.mark.parametrize("name", tiny.NAMES)
def test_exports_say_what_transformers_needs(name: str) -> None:
    family, _, _, side = converted(name)
    entries, tensors = metadata(family, side), dict(side.tensors)
    config = family.to_hf(entries, tensors).config
    choose = family.choose or (lambda facts: family.classes[0].name)
    name = choose(GGUFFacts(family.name, entries, tensors))
    (expected,) = (entry for entry in family.classes if entry.name == name)
    assert config["architectures"] == [expected.name]
    assert config["model_type"] == expected.model_type
    assert json.loads(json.dumps(config, allow_nan=False)) == config
    assert "torch_dtype" not in config


def test_float32_keys_come_back_as_short_decimals() -> None:
    family, _, _, side = converted("llama", rms_norm_eps=1e-05, rope_theta=500000.1)
    config = family.to_hf(metadata(family, side), dict(side.tensors)).config
    assert repr(config["rms_norm_eps"]) == "1e-05"
    assert np.float32(config["rope_theta"]) == np.float32(500000.1)
    assert len(repr(config["rope_theta"])) <= len("500000.09375")


def test_token_ids_are_taken_from_the_tokenizers_keys() -> None:
    family, _, _, side = converted("llama")
    entries = metadata(family, side)
    entries.set("tokenizer.ggml.bos_token_id", 1, ValueType.UINT32)
    entries.set("tokenizer.ggml.padding_token_id", 7, ValueType.UINT32)
    config = family.to_hf(entries, dict(side.tensors)).config
    assert (config["bos_token_id"], config["pad_token_id"]) == (1, 7)
    assert "eos_token_id" not in config


def test_defaults_are_those_of_transformers() -> None:
    left_out = dict.fromkeys(
        ["rope_theta", "rms_norm_eps", "max_position_embeddings", "head_dim", "hidden_act"]
    )
    found = keys(converted("llama", **left_out)[3])
    assert found["context_length"] == 2048
    assert found["rope.freq_base"] == 10000.0
    assert found["attention.layer_norm_rms_epsilon"] == float(np.float32(1e-6))
    assert found["attention.key_length"] == found["rope.dimension_count"] == 64
    mistral = keys(converted("mistral", **left_out)[3])
    assert mistral["context_length"] == 131072
    assert mistral["rope.dimension_count"] == 32
    assert "attention.key_length" not in mistral
    local = ["rope_local_base_freq", "rope_theta", "rope_scaling"]
    gemma = keys(converted("gemma3", **dict.fromkeys(local))[3])
    assert (gemma["rope.freq_base"], gemma["rope.freq_base_swa"]) == (1000000.0, 10000.0)


def bare(tensors: dict[str, Source], prefix: str) -> dict[str, Source]:
    return {name.removeprefix(prefix): source for name, source in tensors.items() if "lm_head" not in name}


@pytest.mark.parametrize(
    ("name", "hf_class"), [("llama", "LlamaModel"), ("qwen2", "Qwen2Model"), ("qwen3", "Qwen3Model")]
)
def test_a_model_without_head_needs_no_prefix(name: str, hf_class: str) -> None:
    config, tensors = checkpoint(name, architectures=[hf_class])
    family = architectures.find(config)
    side = family.to_gguf(config, bare(tensors, "model."))
    full = family.to_gguf(*checkpoint(name))
    assert [key for key, _ in side.tensors] == [key for key, _ in full.tensors if key != "output.weight"]
    assert family.to_hf(metadata(family, side), dict(side.tensors)).config["tie_word_embeddings"] is True


def test_embedding_gemma_is_gemma_3_with_pooling_and_no_prefix() -> None:
    config, tensors = checkpoint(
        "gemma3", architectures=["Gemma3TextModel"], use_bidirectional_attention=True
    )
    files = files_of("bert")
    family = architectures.find(config)
    side = family.to_gguf(config, bare(tensors, "model."), read_json=reader(files))
    assert family.name == "gemma-embedding"
    assert keys(side)["pooling_type"] == 1
    assert keys(side)["attention.sliding_window"] == 8
    back = family.to_hf(metadata(family, side), dict(side.tensors))
    assert {key for key, _ in back.tensors} == set(bare(tensors, "model."))
    assert back.files["1_Pooling/config.json"]["pooling_mode_mean_tokens"] is True


def test_a_padded_embedding_is_cut_to_the_vocabulary() -> None:
    config, tensors = checkpoint("gemma3")
    side = architectures.find(config).to_gguf(config, tensors, token_count=500)
    embedding = dict(side.tensors)["token_embd.weight"]
    assert embedding.shape == (500, 256)
    np.testing.assert_array_equal(values(embedding), values(tensors["model.embed_tokens.weight"])[:500])


def test_an_all_global_gemma_has_no_window() -> None:
    family, _, _, side = converted("gemma3", sliding_window_pattern=1, layer_types=None)
    assert "attention.sliding_window" not in keys(side)
    assert side.notes == []
    back = family.to_hf(metadata(family, side), dict(side.tensors))
    assert back.config["sliding_window_pattern"] == 1


def biases(config: dict[str, Any], modules: str) -> dict[str, Source]:
    made: dict[str, Source] = {}
    for layer in range(config["num_hidden_layers"]):
        for module in modules.split():
            rows = 128 if module.endswith(("k_proj", "v_proj")) else 256
            name = f"model.layers.{layer}.{module}.bias"
            made[name] = stored(tiny.normal(name, (rows,), 1), "BF16")
    return made


ATTENTION = "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj"


@pytest.mark.parametrize(
    ("flag", "modules"),
    [("attention_bias", ATTENTION), ("mlp_bias", "mlp.gate_proj mlp.up_proj mlp.down_proj")],
)
def test_biases_set_their_flag_and_come_back(flag: str, modules: str) -> None:
    config, tensors = checkpoint("llama", **{flag: True})
    tensors |= biases(config, modules)
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    back = family.to_hf(metadata(family, side), dict(side.tensors))
    assert back.config[flag] is True
    assert {name for name, _ in back.tensors} == set(tensors)
    for name, source in back.tensors:
        np.testing.assert_array_equal(values(source), values(tensors[name]))


def test_bert_names_from_tensorflow_and_with_prefix_are_the_same_model() -> None:
    config, tensors = checkpoint("bert")
    family = architectures.find(config)
    expected = {name: values(source).tobytes() for name, source in family.to_gguf(config, tensors).tensors}
    old = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): source
        for name, source in tensors.items()
    }
    old["cls.predictions.bias"] = old["cls.seq_relationship.weight"] = ArraySource(np.zeros(2, np.float32))
    config["architectures"] = ["BertForMaskedLM"]
    side = family.to_gguf(config, old)
    assert {name: values(source).tobytes() for name, source in side.tensors} == expected
    assert {name for name, _ in side.dropped} == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "cls.predictions.bias",
        "cls.seq_relationship.weight",
    }
    assert all(reason for _, reason in side.dropped)


@pytest.mark.parametrize(
    ("settings", "labels", "tensor", "classes"),
    [
        ({"id2label": {"0": "no", "10": "maybe", "9": "yes"}}, ["no", "yes", "maybe"], "cls.output", 3),
        ({"id2label": {"0": "no", "1": "yes"}}, ["no", "yes"], "cls.output", 2),
        ({"id2label": {"0": "LABEL_0"}}, ["LABEL_0"], "cls.output", 1),
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"], "cls.output", 3),
        ({}, None, "cls", 2),
    ],
)
def test_bert_classifiers(
    settings: dict[str, Any], labels: list[str] | None, tensor: str, classes: int
) -> None:
    config, tensors = checkpoint("bert", architectures=["BertForSequenceClassification"], **settings)
    tensors = {"bert." + name: source for name, source in tensors.items()}
    tensors["classifier.weight"] = ArraySource(tiny.normal("w", (classes, 256), 1))
    tensors["classifier.bias"] = ArraySource(tiny.normal("b", (classes,), 1))
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    found = keys(side).get("classifier.output_labels")
    assert (found if found is None else list(found)) == labels
    assert {f"{tensor}.weight", f"{tensor}.bias"} <= {name for name, _ in side.tensors}
    back = family.to_hf(metadata(family, side), dict(side.tensors))
    assert back.config["architectures"] == ["BertForSequenceClassification"]
    assert {name for name, _ in back.tensors} == {name for name in tensors if "pooler" not in name}
    assert any("pooler" in note for note in back.notes)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, 1),
        ({"pooling_mode_cls_token": True}, 2),
        ({"pooling_mode_lasttoken": True}, 3),
        ({"pooling_mode": "cls"}, 2),
    ],
)
@pytest.mark.parametrize("name", ["bert", "qwen2", "qwen3"])
def test_pooling_comes_from_sentence_transformers_and_goes_back(
    name: str, settings: dict[str, Any], value: int
) -> None:
    config, tensors = checkpoint(name)
    family = architectures.find(config)
    files = {"modules.json": MODULES, "1_Pooling/config.json": settings}
    side = family.to_gguf(config, tensors, read_json=reader(files))
    assert keys(side)["pooling_type"] == value
    back = family.to_hf(metadata(family, side), dict(side.tensors))
    assert family.to_gguf(config, tensors, read_json=reader(back.files)).metadata == side.metadata


def test_a_plain_model_has_no_pooling() -> None:
    config, tensors = checkpoint("bert")
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    assert "pooling_type" not in keys(side)
    assert family.to_hf(metadata(family, side), dict(side.tensors)).files == {}


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("mistral", {"sliding_window": 64}, "sliding window"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act"),
        ("gemma3", {"layer_types": ["full_attention"] * 7}, "layer_types"),
        ("gemma3", {"sliding_window_pattern": 2, "layer_types": None}, "sliding_window_pattern"),
        ("gemma3", {"query_pre_attn_scalar": 100}, "query_pre_attn_scalar"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ],
)
def test_settings_gguf_cannot_carry_are_noted(name: str, settings: dict[str, Any], word: str) -> None:
    (note,) = converted(name, **settings)[3].notes
    assert word in note


@pytest.mark.parametrize("window", [None, 512])
def test_a_window_as_long_as_the_context_is_none(window: int | None) -> None:
    config, tensors = checkpoint("mistral")
    config["sliding_window"] = window
    assert architectures.find(config).to_gguf(config, tensors).notes == []


def test_keys_without_counterpart_are_noted_on_the_way_back() -> None:
    family, _, _, side = converted("llama")
    entries = metadata(family, side)
    entries.set("llama.logit_scale", 0.5, ValueType.FLOAT32)
    notes = family.to_hf(entries, dict(side.tensors)).notes
    assert notes == ["llama.logit_scale has no counterpart in config.json and was left out"]


def test_settings_below_text_config_count() -> None:
    config, tensors = checkpoint("qwen3")
    family = architectures.find(config)
    nested = {"model_type": "wrapper", "architectures": ["Wrapper"], "text_config": config}
    assert architectures.find(nested) is family
    assert family.to_gguf(nested, tensors).metadata == family.to_gguf(config, tensors).metadata


@pytest.mark.parametrize("layout", ["language_model.", "model.language_model."])
@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        ("llama4", "Llama4ForConditionalGeneration"),
        ("gemma3n", "Gemma3nForConditionalGeneration"),
        ("llama", "LlavaForConditionalGeneration"),
        ("deepseek-v3", "KimiVLForConditionalGeneration"),
        ("qwen2", "Qwen2AudioForConditionalGeneration"),
    ],
)
def test_a_wrapped_text_model_is_the_text_model(name: str, wrapper: str, layout: str) -> None:
    config, tensors = checkpoint(name)
    family = architectures.find(config)
    expected = family.to_gguf(config, tensors)
    del config["architectures"]
    nested = {"architectures": [wrapper], "text_config": config, "vision_config": {"hidden_size": 8}}
    towers = ("vision_tower.norm.weight", "audio_tower.norm.weight", "multi_modal_projector.linear.bias")
    renamed = {
        layout + (given.removeprefix("model.") if layout.startswith("model.") else given): source
        for given, source in tensors.items()
        if not given.startswith("lm_head.")
    } | {given: source for given, source in tensors.items() if given.startswith("lm_head.")}
    sources = dict.fromkeys(towers, ArraySource(np.zeros(8, np.float32))) | renamed
    assert architectures.find(nested) is family
    side = family.to_gguf(nested, sources)
    assert side.metadata == expected.metadata
    assert {key for key, _ in side.tensors} == {key for key, _ in expected.tensors}
    assert len(side.dropped) == len(expected.dropped) + len(towers)
    reasons = dict(side.dropped)
    assert all("text model" in reasons[given] for given in towers)


def test_a_block_for_further_tokens_is_found_in_the_checkpoint() -> None:
    """Qwen3-Next's config does not tell of it; fine-tunes saved by transformers have lost it."""
    config, tensors = checkpoint("qwen3-next-mtp")
    family = architectures.find(config)
    assert keys(family.to_gguf(config, tensors))["nextn_predict_layers"] == 1
    export_notes = {given: source for given, source in tensors.items() if not given.startswith("mtp.")}
    side = family.to_gguf(config, export_notes)
    assert "nextn_predict_layers" not in keys(side)
    assert keys(side)["block_count"] == 2
    moved = {given.replace("mtp.", "model.mtp."): source for given, source in tensors.items()}
    assert len(family.to_gguf(config, moved).tensors) == len(family.to_gguf(config, tensors).tensors)


def test_layers_that_all_see_everything_have_a_window_of_zero_in_llama_4() -> None:
    full = ["full_attention"] * 4
    family, _, _, side = converted("llama4", layer_types=full, no_rope_layers=[1] * 4)
    assert keys(side)["attention.sliding_window"] == 0
    assert side.notes == []
    config = family.to_hf(metadata(family, side), dict(side.tensors)).config
    assert (config["layer_types"], config["no_rope_layers"]) == (full, [1] * 4)


def test_tokens_of_pictures_and_sounds_have_no_embeddings_of_layers_in_gemma_3n() -> None:
    config, tensors = checkpoint("gemma3n", vocab_size_per_layer_input=512)
    given = "model.embed_tokens_per_layer.weight"
    tensors[given] = ArraySource(values(tensors[given])[:512])
    side = architectures.find(config).to_gguf(config, tensors)
    made = values(dict(side.tensors)["per_layer_token_embd.weight"])
    np.testing.assert_array_equal(made[:512], values(tensors[given]))
    assert made.shape[0] == 528
    assert not made[512:].any()


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("gemma3n", "laurel_rank", 32),
        ("gemma3n", "activation_sparsity_pattern", [0.95]),
        ("gemma3n", "activation_sparsity_pattern", [1.0] * 5),
        ("glm", "head_dim", 32),
        ("chatglm", "kv_channels", 32),
        ("qwen3-next", "linear_value_head_dim", 16),
        ("qwen3-next", "layer_types", ["full_attention"]),
        ("qwen2-vl", "rope_scaling", {"type": "mrope", "mrope_section": [1, 2, 3, 4, 5]}),
    ],
)
def test_what_llama_cpp_cannot_hold_is_an_error(name: str, key: str, value: Any) -> None:
    config, tensors = checkpoint(name)
    if "text_config" in config:
        config = config | {"text_config": config["text_config"] | {key: value}}
    else:
        config[key] = value
    with pytest.raises(ArchitectureError) as caught:
        architectures.find(config).to_gguf(config, tensors)
    assert key in str(caught.value)


def test_code_named_by_the_config_is_ignored() -> None:
    auto_map = {"AutoModelForCausalLM": "modeling_evil.Evil"}
    assert converted("llama", auto_map=auto_map)[3].metadata == converted("llama")[3].metadata


def test_rules_can_stack_experts_and_split_fused_tensors() -> None:
    """What later families need: several tensors on either side of one rule."""
    layer = "model.layers.{i}"
    family = replace(
        architectures.of_file({"general.architecture": "llama"}, {}),
        name="toy",
        computed=(),
        tensors=(
            Rule((f"{layer}.experts.{{e}}.w1.weight",), ("blk.{i}.ffn_gate_exps.weight",), StackExperts()),
            Rule(
                (f"{layer}.qkv.weight",),
                ("blk.{i}.attn_q.weight", "blk.{i}.attn_k.weight"),
                SplitRows(lambda config: (4, 2)),
            ),
        ),
    )
    config = checkpoint("llama", num_local_experts=12)[0]
    arrays = {}
    for i in range(config["num_hidden_layers"]):
        arrays[f"model.layers.{i}.qkv.weight"] = tiny.normal(f"qkv{i}", (6, 8), 1)
        for e in range(12):
            arrays[f"model.layers.{i}.experts.{e}.w1.weight"] = tiny.normal(f"{i}.{e}", (5, 8), 1)
    tensors: dict[str, Source] = {name: ArraySource(array) for name, array in arrays.items()}
    side = family.to_gguf(config, tensors)
    made = dict(side.tensors)
    assert len(made) == 9
    np.testing.assert_array_equal(
        values(made["blk.1.ffn_gate_exps.weight"]),
        np.stack([arrays[f"model.layers.1.experts.{e}.w1.weight"] for e in range(12)]),
    )
    np.testing.assert_array_equal(
        values(made["blk.2.attn_k.weight"]), arrays["model.layers.2.qkv.weight"][4:]
    )
    assert made["blk.1.ffn_gate_exps.weight"].storage is GGMLType.F32


def test_families_are_short() -> None:
    """At most 130 lines for each architecture on average, and 300 for any."""
    lines = 0
    for module in Path(architectures.__file__).parent.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        if made := text.count("= Architecture("):
            assert len(text.splitlines()) <= 300 * made, module.name
            lines += len(text.splitlines())
    assert lines <= 130 * len(architectures.ARCHITECTURES)
