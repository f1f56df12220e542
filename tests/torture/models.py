"""Checkpoints of any size in the layout of a Llama or Mixtral, written quickly: random numbers repeated, or
holes. The numbers of a tensor depend on its name only, not on the files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tests import deepseek, tiny
from tests.architectures.families.llama import llama_config

__all__ = ["Shape", "build"]

BLOCK = 1 << 24
"""Random BF16 numbers made once, 32 MB; every tensor begins elsewhere in them."""

Entry = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Shape:
    """How large a model is, in how many files.

    ``experts``: where there are some, each has its feed-forward weights in tensors of their own, as in a
    Mixtral. ``holes``: its weights are zeros that take no disk.
    """

    layers: int
    width: int = 2048
    inner: int = 8192
    heads: int = 32
    keys: int = 8
    tokens: int = 544
    shards: int = 1
    experts: int = 0
    holes: bool = False

    @property
    def config(self) -> dict[str, Any]:
        mixtral = {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "mlp_bias": None,
            "num_experts_per_tok": 2,
            "num_local_experts": self.experts,
        }
        return llama_config(
            hidden_size=self.width,
            intermediate_size=self.inner,
            head_dim=self.width // self.heads if self.width < 1 << 15 else 64,
            num_attention_heads=self.heads,
            num_key_value_heads=self.keys,
            num_hidden_layers=self.layers,
            vocab_size=self.tokens,
            tie_word_embeddings=True,
            **(mixtral if self.experts else {}),
        )

    def entries(self) -> Iterator[Entry]:
        """All tensors, layer after layer."""
        head = self.config["head_dim"]
        yield "model.embed_tokens.weight", (self.tokens, self.width)
        for layer in range(self.layers):
            at = f"model.layers.{layer}."
            yield at + "input_layernorm.weight", (self.width,)
            yield from self._feed_forward(at)
            yield at + "post_attention_layernorm.weight", (self.width,)
            yield at + "self_attn.k_proj.weight", (self.keys * head, self.width)
            yield at + "self_attn.o_proj.weight", (self.width, self.heads * head)
            yield at + "self_attn.q_proj.weight", (self.heads * head, self.width)
            yield at + "self_attn.v_proj.weight", (self.keys * head, self.width)
        yield "model.norm.weight", (self.width,)

    def _feed_forward(self, at: str) -> Iterator[Entry]:
        down, up = (self.width, self.inner), (self.inner, self.width)
        if not self.experts:
            yield at + "mlp.down_proj.weight", down
            yield at + "mlp.gate_proj.weight", up
            yield at + "mlp.up_proj.weight", up
            return
        yield at + "block_sparse_moe.gate.weight", (self.experts, self.width)
        for expert in range(self.experts):
            for name, shape in (("w1", up), ("w2", down), ("w3", up)):
                yield f"{at}block_sparse_moe.experts.{expert}.{name}.weight", shape

    @property
    def nbytes(self) -> int:
        return sum(2 * prod(shape) for _, shape in self.entries())


def build(directory: Path, model: Shape) -> Path:
    """Write the checkpoint; returns its directory."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(model.config))
    if model.tokens == model.__class__.tokens:
        for file in (tiny.TOKENIZERS / "llama3").iterdir():
            (directory / file.name).write_bytes(file.read_bytes())
    else:
        deepseek.write_tokenizer(directory, model.tokens)
    entries = list(model.entries())
    numbers = np.random.default_rng(7).standard_normal(1 << 20, np.float32) * 0.03
    block = np.resize(tiny.to_bf16(numbers).astype("<u2"), BLOCK)
    for shard in range(model.shards):
        part = entries[shard * len(entries) // model.shards : (shard + 1) * len(entries) // model.shards]
        name = f"model-{shard + 1:05}-of-{model.shards:05}.safetensors"
        with (directory / (name if model.shards > 1 else "model.safetensors")).open("wb") as file:
            _write(file, part, None if model.holes else block)
    return directory


def _write(file: BinaryIO, entries: list[Entry], block: np.ndarray[Any, Any] | None) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, shape in entries:
        start, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    if block is None:
        file.truncate(8 + len(text) + end)
        return
    for name, shape in entries:
        left, at = prod(shape), zlib.crc32(name.encode()) % BLOCK
        while left:
            piece = block[at : at + left]
            file.write(piece.data)
            left, at = left - len(piece), 0
