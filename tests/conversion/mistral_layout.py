"""Tiny checkpoints in the layout Mistral publishes: params.json and consolidated weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny
from tests.architectures.parts.base import Tensors

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
    **{size: size for size in ("q_lora_rank", "kv_lora_rank", "v_head_dim")},
    **{size: size for size in ("qk_nope_head_dim", "qk_rope_head_dim")},
}


MOE = {
    "num_local_experts": "num_experts",
    "n_routed_experts": "num_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "first_k_dense_replace": "first_k_dense_replace",
    "moe_intermediate_size": "expert_hidden_dim",
    "n_shared_experts": "num_shared_experts",
    "routed_scaling_factor": "routed_scale",
    "n_group": "num_expert_groups",
    "topk_group": "num_expert_groups_per_tok",
}


NAMES = (
    (r"model\.embed_tokens", "tok_embeddings"),
    (r"lm_head", "output"),
    (r"model\.norm", "norm"),
    (r"self_attn\.([qkvo])_proj", r"attention.w\1"),
    (r"self_attn\.(q|kv)_([ab])_proj(_with_mqa)?", r"attention.w\1_\2\3"),
    (r"self_attn\.(q|kv)_a_layernorm", r"attention.\1_a_norm"),
    (r"mlp\.(experts\.\d+|shared_experts)\.gate_proj", r"\1.w1"),
    (r"mlp\.(experts\.\d+|shared_experts)\.up_proj", r"\1.w3"),
    (r"mlp\.(experts\.\d+|shared_experts)\.down_proj", r"\1.w2"),
    (r"mlp\.gate\.", "gate."),
    (r"input_layernorm", "attention_norm"),
    (r"post_attention_layernorm", "ffn_norm"),
    (r"mlp\.gate_proj", "feed_forward.w1"),
    (r"mlp\.up_proj", "feed_forward.w3"),
    (r"mlp\.down_proj", "feed_forward.w2"),
    (r"block_sparse_moe\.", "feed_forward."),
    (r"^model\.", ""),
)


SCALED = ("ministral3", "deepseek-v2")


def scaling(original: int, *, apply_scale: bool = False, beta: float = 0.125) -> dict[str, Any]:
    """YaRN, and attention that cools with length, as params.json has them."""
    return {
        "yarn": {
            "factor": 4.0,
            "original_max_position_embeddings": original,
            "beta": 32.0,
            "alpha": 1.0,
            "apply_scale": apply_scale,
        },
        "llama_4_scaling": {"beta": beta, "original_max_position_embeddings": original},
    }


def as_mistral(name: str, target: Path) -> tuple[dict[str, Any], Tensors]:
    """params.json and tensors of a tiny model; its tokenizer is written to ``target``."""
    model = tiny.MODELS[name]
    config = model.config
    params = {theirs: config[ours] for ours, theirs in PARAMS.items() if ours in config}
    if "num_experts_per_tok" in config:
        params["moe"] = {theirs: config[ours] for ours, theirs in MOE.items() if ours in config}
    if name in SCALED:
        params |= scaling(config["max_position_embeddings"] // 4)
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
