"""A model in Mistral's own format becomes the file its Hugging Face form becomes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.errors import ArchitectureError, CheckpointError, UnsupportedError
from tests.conversion.mistral_layout import SCALED, as_mistral, scaling, write
from tests.goldens.describe import describe
from tests.references import newer_llama

ORIGINAL = "original_max_position_embeddings"


@pytest.mark.parametrize(("shards", "index"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("name", ["mistral", "mixtral", "ministral3"])
def test_it_is_the_file_of_the_hugging_face_form(
    name: str, shards: int, index: bool, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / tiny_checkpoints[name].name
    _, tensors = as_mistral(name, target)
    write(target, tensors, shards, index=index)
    for recipe in ("F32", "Q4_K_M"):
        ours, theirs = tmp_path / f"ours-{recipe}.gguf", tmp_path / f"theirs-{recipe}.gguf"
        gguf_tools.convert(target, ours, type=recipe)
        gguf_tools.convert(tiny_checkpoints[name], theirs, type=recipe)
        found, expected = describe(ours), describe(theirs)
        assert found.tensors == expected.tensors
        left = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}  # may come from config.json
        differing = {
            key
            for key in found.metadata.keys() | expected.metadata.keys()
            if found.metadata.get(key) != expected.metadata.get(key)
        }
        assert differing <= left


def test_the_hugging_face_form_comes_first_where_both_are_there(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    both = tmp_path / tiny_checkpoints["mistral"].name
    shutil.copytree(tiny_checkpoints["mistral"], both)
    (both / "consolidated.safetensors").write_bytes(b"not read")
    (both / "params.json").write_bytes(b"not read")
    gguf_tools.convert(both, tmp_path / "a.gguf", type="BF16")
    gguf_tools.convert(tiny_checkpoints["mistral"], tmp_path / "b.gguf", type="BF16")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral("mistral", target)
    write(target, tensors, 3, index=False)
    (target / "params.json").write_text(json.dumps({**params, "dim": None, "hidden_dim": None}))
    with pytest.raises(ArchitectureError, match="sizes are missing") as caught:
        gguf_tools.convert(target, tmp_path / "out.gguf")
    assert caught.value.key == "dim, hidden_dim"
    (target / "params.json").unlink()
    with pytest.raises(CheckpointError, match=r"params\.json is missing"):
        gguf_tools.convert(target, tmp_path / "out.gguf")
    (target / "consolidated-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"missing 1 file .*consolidated-00002-of-00003"):
        gguf_tools.convert(target, tmp_path / "out.gguf")


def test_a_context_that_is_assumed_is_said(tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral("mistral", target)
    write(target, tensors, 1, index=False)
    note = "params.json does not say the context length (max_position_embeddings): 128,000 is assumed"
    assert note not in gguf_tools.convert(target, tmp_path / "said.gguf", type="BF16").notes
    del params["max_seq_len"]
    (target / "params.json").write_text(json.dumps(params))
    assert note in gguf_tools.convert(target, tmp_path / "assumed.gguf", type="BF16").notes
    with gguf_tools.open(tmp_path / "assumed.gguf") as file:
        assert file.metadata["llama.context_length"] == 128_000


def changed(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The settings with another one of this dotted name; None takes it out."""
    section, _, rest = key.rpartition(".")
    found: dict[str, Any] = json.loads(json.dumps(params))
    place = found[section] if section else found
    place |= {rest: value}
    if value is None:
        del place[rest]
    return found


@pytest.mark.parametrize(
    ("name", "key", "value", "message", "at"),
    [
        ("mistral", "quantization", {"qformat_weight": "nvfp4"}, "packing", "quantization.qformat_weight"),
        ("mistral", "q_lora_rank", 8, "latent attention without experts", "kv_lora_rank"),
        ("mistral", "yarn", 4, "not an object", "yarn"),
        ("ministral3", "yarn", None, "missing, and llama_4_scaling takes it", "yarn"),
        ("ministral3", "yarn.beta", None, "settings are missing", "yarn.beta"),
        ("ministral3", "yarn.factor", "4", "not a usable number", "rope_scaling.factor"),
        ("ministral3", "llama_4_scaling.beta", None, "settings are missing", "llama_4_scaling.beta"),
        (
            "ministral3",
            f"llama_4_scaling.{ORIGINAL}",
            1,
            "from another length",
            f"llama_4_scaling.{ORIGINAL}",
        ),
        ("ministral3", "moe", {"num_experts": 4}, "experts and attention that", "moe, llama_4_scaling"),
        ("deepseek-v2", "kv_lora_rank", None, "sizes are missing", "kv_lora_rank"),
        ("deepseek-v2", "qk_rope_head_dim", None, "sizes are missing", "qk_rope_head_dim"),
        ("deepseek-v2", "moe.expert_hidden_dim", None, "settings are missing", "moe.expert_hidden_dim"),
        ("deepseek-v2", "moe.num_experts", "4", "not a usable size", "n_routed_experts"),
        ("deepseek-v2", "moe.route_every_n", 2, "experts in some layers only", "moe.route_every_n"),
    ],
)
def test_settings_that_are_unusable(
    name: str, key: str, value: Any, message: str, at: str, tmp_path: Path
) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral(name, target)
    write(target, tensors, 1, index=False)
    (target / "params.json").write_text(json.dumps(changed(params, key, value)))
    with pytest.raises((ArchitectureError, UnsupportedError), match=message) as caught:
        gguf_tools.convert(target, tmp_path / "out.gguf")
    assert caught.value.key == at


def test_latent_attention_without_yarn(tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral("deepseek-v2", target)
    write(target, tensors, 1, index=False)
    for key in ("yarn", "llama_4_scaling"):
        del params[key]
    (target / "params.json").write_text(json.dumps(params))
    with pytest.raises(UnsupportedError, match="latent attention without YaRN") as caught:
        gguf_tools.convert(target, tmp_path / "out.gguf")
    assert caught.value.key == "yarn"


def test_latent_attention_and_experts_are_those_of_a_deepseek(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """The tensors; and the keys but for what the router does, YaRN and how attention cools."""
    target = tmp_path / tiny_checkpoints["deepseek-v2"].name
    _, tensors = as_mistral("deepseek-v2", target)
    write(target, tensors, 1, index=False)
    gguf_tools.convert(target, tmp_path / "ours.gguf", type="BF16")
    gguf_tools.convert(tiny_checkpoints["deepseek-v2"], tmp_path / "theirs.gguf", type="BF16")
    found, expected = describe(tmp_path / "ours.gguf"), describe(tmp_path / "theirs.gguf")
    assert found.tensors == expected.tensors
    differing = {
        key.removeprefix("deepseek2.")
        for key in found.metadata.keys() | expected.metadata.keys()
        if found.metadata.get(key) != expected.metadata.get(key)
    }
    assert {key for key in differing if not key.startswith(("rope.scaling.", "tokenizer."))} == {
        "attention.temperature_length",
        "attention.temperature_scale",
        "expert_weights_norm",
    }


@pytest.mark.parametrize("name", SCALED)
def test_llama_cpp_computes_with_them(name: str, tmp_path: Path) -> None:
    """And says something else where attention does not cool, beyond the length it does from."""
    prompts = [list(np.arange(40) % 90 + 1)]
    found = []
    for beta in (0.0, 0.125, 2.0):
        target = tmp_path / f"tiny-{beta}"
        params, tensors = as_mistral(name, target)
        write(target, tensors, 1, index=False)
        params |= scaling(16, beta=beta)
        (target / "params.json").write_text(json.dumps(params))
        gguf_tools.convert(target, tmp_path / f"{beta}.gguf", type="F32")
        found.append(newer_llama.next_log_probabilities(tmp_path / f"{beta}.gguf", prompts))
    flat, cooling, cold = found
    assert np.all(np.isfinite(flat))
    assert 0 < np.abs(cooling - flat).max() < np.abs(cold - flat).max()


def test_what_leads_from_images_is_left_out(tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral("ministral3", target)
    write(target, tensors, 1, index=False)
    gguf_tools.convert(target, tmp_path / "text.gguf", type="BF16")
    seeing = {
        f"{name}.weight": np.ones((4, 4), np.float32)
        for name in (
            "vision_encoder.patch_conv",
            "vision_encoder.transformer.layers.0.attention.wq",
            "vision_language_adapter.w_in",
            "pre_mm_projector_norm",
            "patch_merger.merging_layer",
        )
    }
    write(target, tensors | seeing, 1, index=False)
    (target / "params.json").write_text(json.dumps(params | {"vision_encoder": {"hidden_size": 4}}))
    plan = gguf_tools.convert(target, tmp_path / "seeing.gguf", type="BF16")
    assert {name for name, _ in plan.dropped} == set(seeing)
    assert (tmp_path / "seeing.gguf").read_bytes() == (tmp_path / "text.gguf").read_bytes()


@pytest.mark.parametrize("apply_scale", [False, True])
def test_yarn_alone_goes_into_a_llama(apply_scale: bool, tmp_path: Path) -> None:
    """Which llama.cpp always scales attention in; and back into a config that says what was said."""
    target = tmp_path / "mistral"
    params, tensors = as_mistral("mistral", target)
    write(target, tensors, 1, index=False)
    yarn = scaling(64, apply_scale=apply_scale)["yarn"]
    (target / "params.json").write_text(json.dumps(params | {"yarn": yarn}))
    plan = gguf_tools.convert(target, tmp_path / "a.gguf", type="BF16")
    assert any("YaRN without a scale of attention" in note for note in plan.notes) is not apply_scale
    with gguf_tools.open(tmp_path / "a.gguf") as file:
        assert file.metadata["llama.rope.scaling.yarn_log_multiplier"] == (0.0 if apply_scale else 1.0)
    gguf_tools.export(tmp_path / "a.gguf", tmp_path / "back")
    scaled = json.loads((tmp_path / "back" / "config.json").read_text())["rope_scaling"]
    assert scaled["apply_yarn_scaling"] is apply_scale
    assert (scaled["factor"], scaled["beta_fast"], scaled["beta_slow"]) == (4.0, 32.0, 1.0)
    gguf_tools.convert(tmp_path / "back", tmp_path / "again.gguf", type="BF16")
    found, expected = describe(tmp_path / "again.gguf"), describe(tmp_path / "a.gguf")
    rope = {key: value for key, value in expected.metadata.items() if ".rope." in key}
    assert rope == {key: value for key, value in found.metadata.items() if ".rope." in key}
    assert found.tensors == expected.tensors
