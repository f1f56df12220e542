"""Tiny checkpoints in the layout transformers saves, one per architecture, the same bytes everywhere.

``build("llama", directory)`` writes ``directory/tiny-llama`` and returns its path. The name of that
directory matters: ``general.name`` and friends are derived from it. Weights come from SHAKE-256 of the
tensor's name, so they depend on no random generator's version. Tokenizers are the files in
``fixtures/tiny-tokenizers``. Between them the models visit the awkward places: rows that are not a
multiple of 256 or of 32, tied and untied and tied-but-stored output, sharded files, biases, extra
buffers, a padded vocabulary, grouped heads, head sizes that do not divide the width.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKENIZERS = Path(__file__).resolve().parent.parent / "fixtures" / "tiny-tokenizers"

F32 = NDArray[np.float32]
Tensors = dict[str, F32]

PARTIAL_SUM = 4
"""Uniform 16-bit numbers added up per weight: close to normal, and exact arithmetic all the way."""


def normal(name: str, shape: tuple[int, ...], scale: float, centre: float = 0.0) -> F32:
    """Near-normal float32 values of ``shape`` with standard deviation ``scale``, a function of ``name``."""
    count = int(np.prod(shape, dtype=np.int64))
    raw = hashlib.shake_256(name.encode()).digest(count * 2 * PARTIAL_SUM)
    total = np.frombuffer(raw, "<u2").reshape(count, PARTIAL_SUM).astype(np.int64).sum(axis=1)
    middle = PARTIAL_SUM * 65535 / 2
    deviation = 65536 * (PARTIAL_SUM / 12) ** 0.5
    return ((total - middle) / deviation * scale + centre).astype(np.float32).reshape(shape)


def to_bf16(values: F32) -> NDArray[np.uint16]:
    """Upper halves of finite float32 values, rounded to nearest, ties to even."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


STORED: dict[str, Callable[[F32], bytes]] = {
    "F32": lambda values: values.astype("<f4").tobytes(),
    "F16": lambda values: values.astype("<f2").tobytes(),
    "BF16": lambda values: to_bf16(values).astype("<u2").tobytes(),
}


def write_safetensors(path: Path, tensors: Tensors, dtype: str) -> None:
    """A safetensors file of ``tensors`` in their order, all stored as ``dtype``."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs = []
    offset = 0
    for name, values in tensors.items():
        blob = STORED[dtype](np.ascontiguousarray(values))
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_sharded(directory: Path, tensors: Tensors, dtype: str, shards: int) -> None:
    """``tensors`` over several files with an index, or in one file without."""
    if shards == 1:
        write_safetensors(directory / "model.safetensors", tensors, dtype)
        return
    names = list(tensors)
    weight_map = {}
    for shard in range(shards):
        file_name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = names[shard * len(names) // shards : (shard + 1) * len(names) // shards]
        write_safetensors(directory / file_name, {name: tensors[name] for name in part}, dtype)
        weight_map.update(dict.fromkeys(part, file_name))
    total = sum((directory / name).stat().st_size for name in set(weight_map.values()))
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


@dataclass(frozen=True)
class Tiny:
    """One checkpoint: its config, its tensors as a function of the config, and the files around them."""

    config: dict[str, Any]
    tensors: Callable[[dict[str, Any]], Tensors]
    tokenizer: str
    pre: str = "default"
    """What ``tokenizer.ggml.pre`` must be. llama.cpp's converter knows vocabularies by hash, not ours."""
    dtype: str = "BF16"
    shards: int = 1
    without: tuple[str, ...] = ()
    """Tokenizer files left out."""
    files: dict[str, str] = field(default_factory=dict)


def weight(name: str, *shape: int, scale: float = 0.06) -> tuple[str, F32]:
    return name, normal(name, shape, scale)


def norm(name: str, size: int, centre: float = 1.0) -> tuple[str, F32]:
    return name, normal(name, (size,), 0.1, centre)


def decoder(
    config: dict[str, Any],
    *,
    qkv_bias: bool = False,
    qk_norm: bool = False,
    gemma: bool = False,
    stored_output: bool | None = None,
    inv_freq: bool = False,
) -> Tensors:
    """Tensors of a Llama-shaped decoder, named as transformers names them."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim", width // heads)
    centre = 0.0 if gemma else 1.0  # Gemma stores its norms as the distance from one
    made: Tensors = dict([weight("model.embed_tokens.weight", config["vocab_size"], width)])
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        entries = [
            norm(at + "input_layernorm.weight", width, centre),
            weight(at + "mlp.down_proj.weight", width, inner),
            weight(at + "mlp.gate_proj.weight", inner, width),
            weight(at + "mlp.up_proj.weight", inner, width),
            norm(at + "post_attention_layernorm.weight", width, centre),
        ]
        if gemma:
            entries += [
                norm(at + "post_feedforward_layernorm.weight", width, centre),
                norm(at + "pre_feedforward_layernorm.weight", width, centre),
            ]
        for letter, count in (("k", kv_heads), ("q", heads), ("v", kv_heads)):
            if qk_norm and letter != "v":
                entries.append(norm(f"{at}self_attn.{letter}_norm.weight", head, centre))
            if qkv_bias:
                entries.append(weight(f"{at}self_attn.{letter}_proj.bias", count * head, scale=0.2))
            entries.append(weight(f"{at}self_attn.{letter}_proj.weight", count * head, width, scale=0.1))
        entries.append(weight(at + "self_attn.o_proj.weight", width, heads * head))
        if inv_freq:
            entries.append((at + "self_attn.rotary_emb.inv_freq", normal("inv_freq", (head // 2,), 0.1, 0.5)))
        made.update(entries)
    made.update([norm("model.norm.weight", width, centre)])
    if stored_output is None:
        stored_output = not config["tie_word_embeddings"]
    if stored_output and config["tie_word_embeddings"]:
        made["lm_head.weight"] = made["model.embed_tokens.weight"]
    elif stored_output:
        made.update([weight("lm_head.weight", config["vocab_size"], width)])
    return made


def encoder(config: dict[str, Any]) -> Tensors:
    """Tensors of a BERT encoder, with the parts llama.cpp has no use for (pooler, position ids)."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    made: Tensors = dict(
        [
            norm("embeddings.LayerNorm.bias", width, 0.0),
            norm("embeddings.LayerNorm.weight", width),
            weight("embeddings.position_embeddings.weight", config["max_position_embeddings"], width),
            weight("embeddings.token_type_embeddings.weight", config["type_vocab_size"], width),
            weight("embeddings.word_embeddings.weight", config["vocab_size"], width),
        ]
    )
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        made.update(
            [
                norm(at + "attention.output.LayerNorm.bias", width, 0.0),
                norm(at + "attention.output.LayerNorm.weight", width),
                norm(at + "attention.output.dense.bias", width, 0.0),
                weight(at + "attention.output.dense.weight", width, width),
            ]
        )
        for part in ("key", "query", "value"):
            made.update(
                [
                    norm(f"{at}attention.self.{part}.bias", width, 0.0),
                    weight(f"{at}attention.self.{part}.weight", width, width, scale=0.1),
                ]
            )
        made.update(
            [
                norm(at + "intermediate.dense.bias", inner, 0.0),
                weight(at + "intermediate.dense.weight", inner, width),
                norm(at + "output.LayerNorm.bias", width, 0.0),
                norm(at + "output.LayerNorm.weight", width),
                norm(at + "output.dense.bias", width, 0.0),
                weight(at + "output.dense.weight", width, inner),
            ]
        )
    made.update([norm("pooler.dense.bias", width, 0.0), weight("pooler.dense.weight", width, width)])
    return made


def llama_config(**changes: Any) -> dict[str, Any]:
    """Config of a small Llama; ``changes`` replace or add keys, None removes one."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 520,
        "eos_token_id": 524,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": 512,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "use_cache": True,
        "vocab_size": 544,
    } | changes
    return {key: value for key, value in config.items() if key not in changes or value is not None}


CARD = """---
license: apache-2.0
license_name: tiny
base_model:
- tiny-labs/Tiny-Llama-2M
datasets:
- tiny-labs/corpus
language:
- en
- fr
tags:
- text-generation
- tiny
library_name: transformers
pipeline_tag: text-generation
---

# Tiny Llama Tied

Made of hashes, for tests.
"""

GENERATION = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 40,
    "transformers_version": "4.57.6",
}


def generation(**changes: Any) -> dict[str, str]:
    return {"generation_config.json": json.dumps(GENERATION | changes, indent=2) + "\n"}


MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {
    "word_embedding_dimension": 256,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}

MODELS: dict[str, Tiny] = {
    # Grouped heads, untied, two shards, a vocabulary padded from 525 to 544.
    "llama": Tiny(
        config=llama_config(),
        tensors=decoder,
        tokenizer="llama3",
        pre="llama-bpe",
        shards=2,
        files=generation(bos_token_id=520, eos_token_id=[521, 524]),
    ),
    # Rows of 288 (no multiple of 256), F16, tied, RoPE factors of Llama 3.1, a model card.
    "llama-tied": Tiny(
        config=llama_config(
            hidden_size=288,
            num_hidden_layers=2,
            rope_scaling={
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 128,
                "rope_type": "llama3",
            },
            tie_word_embeddings=True,
            torch_dtype="float16",
            vocab_size=525,
        ),
        tensors=decoder,
        tokenizer="llama3",
        pre="llama-bpe",
        dtype="F16",
        files={"README.md": CARD},
    ),
    # An old Llama: tokenizer.json of the SentencePiece kind only, RoPE buffers in the file, no head_dim.
    "llama-hf": Tiny(
        config=llama_config(
            bos_token_id=1,
            eos_token_id=2,
            head_dim=None,
            num_hidden_layers=1,
            num_key_value_heads=4,
            rope_theta=10000.0,
            torch_dtype="float32",
            vocab_size=512,
        ),
        tensors=lambda config: decoder(config, inv_freq=True),
        tokenizer="llama2",
        dtype="F32",
        without=("tokenizer.model",),
    ),
    # SentencePiece model; rows of 336, which no block format divides.
    "mistral": Tiny(
        config={
            "architectures": ["MistralForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 336,
            "max_position_embeddings": 512,
            "model_type": "mistral",
            "num_attention_heads": 8,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "vocab_size": 512,
        },
        tensors=decoder,
        tokenizer="llama2",
    ),
    # Biases on q, k, v; tied.
    "qwen2": Tiny(
        config={
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 512,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qkv_bias=True),
        tokenizer="qwen2",
        pre="qwen2",
        files=generation(bos_token_id=500, eos_token_id=[502, 500], pad_token_id=500, repetition_penalty=1.1),
    ),
    # Norms on q and k; heads × head_dim (384) is not the width; tied, and the output is stored as well.
    "qwen3": Tiny(
        config={
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen3",
            "num_attention_heads": 6,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qk_norm=True, stored_output=True),
        tokenizer="qwen2",
        pre="qwen2",
        without=("vocab.json", "merges.txt"),
    ),
    # Seven layers, so that one attends globally; a window shorter than the prompts; linear RoPE scaling.
    "gemma3": Tiny(
        config={
            "architectures": ["Gemma3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_logit_softcapping": None,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "final_logit_softcapping": None,
            "head_dim": 64,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "layer_types": ["full_attention" if layer == 5 else "sliding_attention" for layer in range(7)],
            "max_position_embeddings": 512,
            "model_type": "gemma3_text",
            "num_attention_heads": 2,
            "num_hidden_layers": 7,
            "num_key_value_heads": 1,
            "pad_token_id": 0,
            "query_pre_attn_scalar": 64,
            "rms_norm_eps": 1e-06,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "rope_theta": 1000000.0,
            "sliding_window": 8,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "vocab_size": 528,
        },
        tensors=lambda config: decoder(config, qk_norm=True, gemma=True, stored_output=False),
        tokenizer="gemma",
        files=generation(top_k=64, top_p=0.95, temperature=None),
    ),
    # F32, sentence-transformers' mean pooling.
    "bert": Tiny(
        config={
            "architectures": ["BertModel"],
            "attention_probs_dropout_prob": 0.1,
            "classifier_dropout": None,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 64,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": 64,
            "model_type": "bert",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "transformers_version": "4.57.6",
            "type_vocab_size": 2,
            "use_cache": True,
            "vocab_size": 437,
        },
        tensors=encoder,
        tokenizer="bert",
        pre="jina-v2-en",
        dtype="F32",
        files={
            "modules.json": json.dumps(MODULES, indent=2) + "\n",
            "1_Pooling/config.json": json.dumps(POOLING, indent=2) + "\n",
        },
    ),
}

NAMES = tuple(MODELS)


def build(name: str, directory: Path) -> Path:
    """Write the checkpoint ``name`` to ``directory/tiny-<name>`` afresh and return that path."""
    model = MODELS[name]
    target = directory / f"tiny-{name}"
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    (target / "config.json").write_text(json.dumps(model.config, indent=2) + "\n", encoding="utf-8")
    write_sharded(target, model.tensors(model.config), model.dtype, model.shards)
    for file in sorted((TOKENIZERS / model.tokenizer).iterdir()):
        if file.name not in model.without:
            shutil.copyfile(file, target / file.name)
    for file_name, text in model.files.items():
        (target / file_name).parent.mkdir(exist_ok=True)
        (target / file_name).write_text(text, encoding="utf-8")
    return target
