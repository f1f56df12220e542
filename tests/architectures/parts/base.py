"""How tiny checkpoints are made: weights out of hashes, safetensors files, the shapes families share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKENIZERS = Path(__file__).resolve().parents[3] / "fixtures" / "tiny-tokenizers"

F32 = NDArray[np.float32]
Tensors = dict[str, F32]

ALL_KINDS = (
    "F32", "F16", "BF16", "converter-Q8_0", "quantizer-F16", "quantizer-BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
    "Q5_1", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K",
)  # fmt: skip

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
    "U8": lambda values: values.tobytes(),
}


def write_safetensors(path: Path, tensors: Tensors, dtype: str) -> None:
    """A safetensors file of ``tensors`` in their order, all but bytes stored as ``dtype``."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs = []
    offset = 0
    for name, values in tensors.items():
        kind = "U8" if values.dtype == np.uint8 else dtype
        blob = STORED[kind](np.ascontiguousarray(values))
        header[name] = {
            "dtype": kind,
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


_EXPERT_COUNTS = (
    "moe_num_experts",
    "n_routed_experts",
    "num_experts",
    "num_local_experts",
)


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
    kinds: tuple[str, ...] = ("F32", "BF16", "Q8_0", "Q4_K_M")
    """Kinds of files whose goldens are kept, see ``tests.goldens.record``."""
    gelu: bool = False
    """Whether GELU is involved, which ggml looks up in a table of float16 values."""
    encoder: bool = False
    """Whether what it computes are hidden states rather than logits."""
    foreign: bool = False
    """Whether its code is not in transformers but beside the published weights."""
    runs: bool = True
    """Whether both llama.cpp and transformers can run it."""
    known: bool = True
    """Whether transformers has its class and its tokenizer, without code that comes with a checkpoint."""
    folded: bool = False
    """Whether multipliers of the config go into the weights: an export has other weights, of equal effect."""
    difference: float = 0.0
    """How far a logit may be from transformers', where llama.cpp's own graphs of a model are as far apart."""
    regrouped: bool = False
    """Whether an export has the same values in other tensors: a matrix for each expert instead of a stack."""
    quantized_from: str = "F32"
    """The converter's file that its quantized goldens are made of: tensors that are never quantized keep its
    type."""
    alike: float = 0.995
    """Cosine of what its F32 and its Q8_0 file compute. Where tokens choose experts, some of them choose
    otherwise, and later ones look back at those: then it is asked of half the tokens."""
    options: tuple[str, ...] = ()
    """Options of llama.cpp's converter when its goldens are recorded."""
    apart: bool = False
    """Whether it has no golden and is not among those that most tests go through; why stands beside it."""
    newer: bool = False
    """Whether `references.llama` is too old for it, so that `references.newer_llama` judges it."""

    @property
    def routed(self) -> bool:
        """Whether tokens choose experts, so that a tiny change may send one of them elsewhere."""
        return any(key in self.config for key in _EXPERT_COUNTS)


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


def shaped(
    outside: Mapping[str, tuple[int, ...]], blocks: Sequence[Mapping[str, tuple[int, ...]]]
) -> Tensors:
    """Tensors by name and shape: those outside of blocks, and each block's with ``{i}`` for its number.

    What has one dimension is a norm, or a bias where its name says so.
    """
    named = dict(outside)
    for i, block in enumerate(blocks):
        named.update({name.replace("{i}", str(i)): shape for name, shape in block.items()})
    made: Tensors = {}
    for name, shape in named.items():
        if len(shape) == 1:
            made[name] = norm(name, shape[0], 0.0 if name.endswith("bias") else 1.0)[1]
        else:
            made[name] = normal(name, shape, 0.06)
    return made


def with_bias(
    modules: Mapping[str, tuple[int, ...]], *biased: str, out: int = 0
) -> dict[str, tuple[int, ...]]:
    """Weights by module, and a bias for those modules whose names end so; all where none is named."""
    made: dict[str, tuple[int, ...]] = {}
    for module, shape in modules.items():
        made[f"{module}.weight"] = shape
        if not biased or module.endswith(biased):
            made[f"{module}.bias"] = (shape[out],)
    return made
