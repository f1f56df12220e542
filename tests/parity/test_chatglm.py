"""ChatGLM's code is in no release of transformers, but Glm there is the same model with its parts unfused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from tests import tiny
from tests.parity.reference import LARGEST_DIFFERENCE, TEXT, load_model, logits
from tests.references.llama import Llama

pytestmark = pytest.mark.parity

NAMES = {
    "transformer.embedding.word_embeddings": "model.embed_tokens",
    "transformer.encoder.final_layernorm": "model.norm",
    "transformer.output_layer": "lm_head",
    "transformer.encoder.layers": "model.layers",
    "self_attention.dense": "self_attn.o_proj",
    "mlp.dense_h_to_4h": "mlp.gate_up_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
}


def as_glm(directory: Path) -> Path:
    """The tiny ChatGLM as a checkpoint of GlmForCausalLM."""
    model = tiny.MODELS["chatglm"]
    given = model.config
    heads, groups, size = (
        given[key] for key in ("num_attention_heads", "multi_query_group_num", "kv_channels")
    )
    config = tiny.MODELS["glm"].config | {
        "rms_norm_eps": given["layernorm_epsilon"],
        "rope_theta": 10000.0 * given["rope_ratio"],
    }
    tensors = {}
    for name, values in model.tensors(given).items():
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        if "query_key_value" in name:
            parts = np.split(values, [heads * size, (heads + groups) * size])
            for letter, part in zip("qkv", parts, strict=True):
                tensors[name.replace("self_attention.query_key_value", f"self_attn.{letter}_proj")] = part
        elif "inv_freq" not in name:
            tensors[name] = values
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tiny.write_safetensors(directory / "model.safetensors", tensors, model.dtype)
    return directory


def test_logits_are_those_of_glm(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(tiny_checkpoints["chatglm"], path, type="F32")
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        ours = model.logits(tokens)
    theirs = logits(load_model(as_glm(tmp_path / "glm")), tokens)
    assert theirs.std() > 0.5
    assert np.abs(ours - theirs).max() < LARGEST_DIFFERENCE
