"""Checkpoints shaped like DeepSeek-V3's: FP8 with a scale for each 128 × 128, in shards with an index.

The real shapes make 688 GB, so the files can be written as headers followed by nothing: sparse files of the
real sizes, which read as zeros. Scaled down, weights and scales are random.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests import tiny
from tests.packing import fp8_codes

__all__ = ["SMALL", "V3", "V3_SHARDS", "build", "entries", "write_tokenizer"]

V3: Final[dict[str, Any]] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 3,
    "hidden_act": "silu",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "v_head_dim": 128,
    "vocab_size": 129280,
}
"""config.json of deepseek-ai/DeepSeek-V3, but for the token ids of the tokenizer used here."""

V3_SHARDS: Final = 163

SMALL: Final[dict[str, Any]] = V3 | {
    "hidden_size": 256,
    "intermediate_size": 640,  # rows of scales that end inside of a block, in the columns of down_proj
    "kv_lora_rank": 64,
    "max_position_embeddings": 4096,
    "moe_intermediate_size": 192,
    "n_routed_experts": 16,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 5,
    "num_key_value_heads": 4,
    "q_lora_rank": 96,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    "vocab_size": 1024,
}
"""The same structure with few and narrow layers."""

Entry = tuple[str, str, tuple[int, ...]]


def entries(config: dict[str, Any]) -> Iterator[Entry]:
    """Name, dtype and shape of every tensor, layer by layer."""
    width, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", "BF16", (vocabulary, width)
    layers = config["num_hidden_layers"]
    for layer in range(layers + config["num_nextn_predict_layers"]):
        at = f"model.layers.{layer}."
        yield from _layer(at, config, dense=layer < config["first_k_dense_replace"])
        if layer >= layers:
            for name in ("embed_tokens", "shared_head.head"):
                yield f"{at}{name}.weight", "BF16", (vocabulary, width)
            for name in ("enorm", "hnorm", "shared_head.norm"):
                yield f"{at}{name}.weight", "BF16", (width,)
            yield f"{at}eh_proj.weight", "BF16", (width, 2 * width)
    yield "model.norm.weight", "BF16", (width,)
    yield "lm_head.weight", "BF16", (vocabulary, width)


def _layer(at: str, config: dict[str, Any], *, dense: bool) -> Iterator[Entry]:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    rank, q_rank = config["kv_lora_rank"], config["q_lora_rank"]
    for name, size in (
        ("input_layernorm", width),
        ("post_attention_layernorm", width),
        ("self_attn.q_a_layernorm", q_rank),
        ("self_attn.kv_a_layernorm", rank),
    ):
        yield f"{at}{name}.weight", "BF16", (size,)
    yield from _linear(f"{at}self_attn.q_a_proj", q_rank, width)
    yield from _linear(f"{at}self_attn.q_b_proj", heads * (nope + rope), q_rank)
    yield from _linear(f"{at}self_attn.kv_a_proj_with_mqa", rank + rope, width)
    yield from _linear(f"{at}self_attn.kv_b_proj", heads * (nope + value), rank)
    yield from _linear(f"{at}self_attn.o_proj", width, heads * value)
    if dense:
        yield from _feed_forward(f"{at}mlp.", width, config["intermediate_size"])
        return
    experts, inner = config["n_routed_experts"], config["moe_intermediate_size"]
    yield f"{at}mlp.gate.weight", "BF16", (experts, width)
    yield f"{at}mlp.gate.e_score_correction_bias", "F32", (experts,)
    for expert in range(experts):
        yield from _feed_forward(f"{at}mlp.experts.{expert}.", width, inner)
    yield from _feed_forward(f"{at}mlp.shared_experts.", width, inner * config["n_shared_experts"])


def _feed_forward(at: str, width: int, inner: int) -> Iterator[Entry]:
    yield from _linear(f"{at}gate_proj", inner, width)
    yield from _linear(f"{at}up_proj", inner, width)
    yield from _linear(f"{at}down_proj", width, inner)


def _linear(name: str, rows: int, columns: int) -> Iterator[Entry]:
    yield f"{name}.weight", "F8_E4M3", (rows, columns)
    yield f"{name}.weight_scale_inv", "F32", (-(-rows // 128), -(-columns // 128))


_BYTES: Final = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


def build(directory: Path, config: dict[str, Any], shards: int, *, sparse: bool) -> Path:
    """Write such a checkpoint; returns its directory.

    Args:
        directory: to be made.
        config: config.json.
        shards: number of files.
        sparse: headers only, the rest being holes in the files.
    """
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    write_tokenizer(directory, config["vocab_size"])
    groups = _divided(list(entries(config)), shards)
    weight_map = {}
    rng = np.random.default_rng(0)
    for number, group in enumerate(groups, start=1):
        name = f"model-{number:05}-of-{shards:06}.safetensors"
        _write_file(directory / name, group, None if sparse else rng)
        weight_map |= {tensor: name for tensor, _, _ in group}
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def _size(entry: Entry) -> int:
    return prod(entry[2]) * _BYTES[entry[1]]


def _divided(tensors: list[Entry], shards: int) -> list[list[Entry]]:
    """Into files of about the same size, none of them empty."""
    total, done = sum(map(_size, tensors)), 0
    groups: list[list[Entry]] = [[] for _ in range(shards)]
    for entry in tensors:
        groups[min(done * shards // total, shards - 1)].append(entry)
        done += _size(entry)
    assert all(groups)
    return groups


def _write_file(path: Path, group: list[Entry], rng: np.random.Generator | None) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for entry in group:
        end = offset + _size(entry)
        header[entry[0]] = {"dtype": entry[1], "shape": list(entry[2]), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if rng is None:
            file.truncate(8 + len(text) + offset)
            return
        for entry in group:
            file.write(_random(entry, rng))


def _random(entry: Entry, rng: np.random.Generator) -> bytes:
    name, dtype, shape = entry
    if dtype == "F8_E4M3":
        return fp8_codes(rng, shape).astype(np.uint8).tobytes()
    if name.endswith("scale_inv"):
        return rng.uniform(2e-4, 4e-4, shape).astype("<f4").tobytes()
    values = rng.normal(1 if "norm" in name else 0, 0.02, shape).astype(np.float32)
    return values.tobytes() if dtype == "F32" else tiny.to_bf16(values).astype("<u2").tobytes()


def write_tokenizer(directory: Path, size: int) -> None:
    """That of the tiny Llama 3 checkpoints, grown by pairs of its tokens."""
    for file in (tiny.TOKENIZERS / "llama3").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    path = directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    pairs = product(list(vocabulary), repeat=2)
    while len(vocabulary) + len(added) < size:
        left, right = next(pairs)
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            tokenizer["model"]["merges"].append([left, right])
    for place, token in enumerate(added, start=len(vocabulary)):
        token["id"] = place
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
