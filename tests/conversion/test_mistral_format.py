"""A model in Mistral's own format becomes the file its Hugging Face form becomes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.errors import ArchitectureError, CheckpointError, UnsupportedError
from tests import tiny
from tests.goldens.describe import describe
from tests.tiny.base import Tensors

PARAMS = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "intermediate_size": "hidden_dim",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "head_dim": "head_dim",
    "rms_norm_eps": "norm_eps",
    "rope_theta": "rope_theta",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_seq_len",
}
NAMES = (
    (r"model\.embed_tokens", "tok_embeddings"),
    (r"lm_head", "output"),
    (r"model\.norm", "norm"),
    (r"self_attn\.([qkvo])_proj", r"attention.w\1"),
    (r"input_layernorm", "attention_norm"),
    (r"post_attention_layernorm", "ffn_norm"),
    (r"mlp\.gate_proj", "feed_forward.w1"),
    (r"mlp\.up_proj", "feed_forward.w3"),
    (r"mlp\.down_proj", "feed_forward.w2"),
    (r"block_sparse_moe\.", "feed_forward."),
    (r"^model\.", ""),
)


def as_mistral(name: str, target: Path) -> tuple[dict[str, Any], Tensors]:
    """params.json and tensors of a tiny model; its tokenizer is written to ``target``."""
    model = tiny.MODELS[name]
    config = model.config
    params = {theirs: config[ours] for ours, theirs in PARAMS.items() if ours in config}
    if "num_local_experts" in config:
        params["moe"] = {
            "num_experts": config["num_local_experts"],
            "num_experts_per_tok": config["num_experts_per_tok"],
        }
    tensors = {}
    for given, values in model.tensors(config).items():
        heads = {"q": "num_attention_heads", "k": "num_key_value_heads"}
        found = re.search(r"self_attn\.([qk])_proj", given)
        if found:  # transformers has the halves of a head one after the other, Mistral side by side
            count = config[heads[found[1]]]
            halves = values.reshape(count, 2, values.shape[0] // count // 2, -1)
            values = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
        renamed = given
        for pattern, replacement in NAMES:
            renamed = re.sub(pattern, replacement, renamed)
        tensors[renamed] = values
    target.mkdir()
    for file in (tiny.TOKENIZERS / model.tokenizer).iterdir():
        shutil.copyfile(file, target / file.name)
    (target / "params.json").write_text(json.dumps(params))
    return params, tensors


def write(target: Path, tensors: Tensors, shards: int, *, index: bool) -> None:
    if shards == 1:
        tiny.write_safetensors(target / "consolidated.safetensors", tensors, "BF16")
        return
    names = list(tensors)
    weight_map = {}
    for i in range(shards):
        file = f"consolidated-{i + 1:05}-of-{shards:05}.safetensors"
        part = names[i * len(names) // shards : (i + 1) * len(names) // shards]
        tiny.write_safetensors(target / file, {name: tensors[name] for name in part}, "BF16")
        weight_map |= dict.fromkeys(part, file)
    if index:
        text = json.dumps({"weight_map": weight_map})
        (target / "consolidated.safetensors.index.json").write_text(text)


@pytest.mark.parametrize(("shards", "index"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("name", ["mistral", "mixtral"])
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


@pytest.mark.parametrize(
    "changes",
    [
        {"yarn": {"factor": 4}},
        {"vision_encoder": {"hidden_size": 1}},
        {"quantization": {"qformat_weight": "nvfp4"}},
    ],
)
def test_what_is_not_supported_is_said(changes: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = as_mistral("mistral", target)
    write(target, tensors, 1, index=False)
    (target / "params.json").write_text(json.dumps(params | changes))
    with pytest.raises(UnsupportedError, match=r"not supported|unsupported packing"):
        gguf_tools.convert(target, tmp_path / "out.gguf")
