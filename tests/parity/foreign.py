"""Nomic's and Jina's BERTs, whose code is not in transformers, written down in torch.

They follow the papers and the published models' descriptions: what tensors of a tiny checkpoint, under their
Hugging Face names, make of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Model:
    """Tensors by name in float32, with the parts both families have."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        from safetensors.torch import load_file

        self.tensors = {
            name: tensor.float() for name, tensor in load_file(directory / "model.safetensors").items()
        }
        self.config = config

    def linear(self, x: Any, module: str) -> Any:
        bias = self.tensors.get(f"{module}.bias")
        made = x @ self.tensors[f"{module}.weight"].T
        return made if bias is None else made + bias

    def norm(self, x: Any, module: str) -> Any:
        from torch.nn.functional import layer_norm

        weight, bias = self.tensors[f"{module}.weight"], self.tensors[f"{module}.bias"]
        eps = self.config.get("layer_norm_eps", self.config.get("layer_norm_epsilon"))
        return layer_norm(x, weight.shape, weight, bias, eps)

    def embedded(self, tokens: Sequence[int], norm: str) -> Any:
        words = self.tensors["embeddings.word_embeddings.weight"][list(tokens)]
        return self.norm(words + self.tensors["embeddings.token_type_embeddings.weight"][0], norm)


def _attention(query: Any, key: Any, value: Any, bias: Any = 0.0) -> Any:
    """Softmax attention; all are (heads, tokens, size of a head), the result is (tokens, width)."""
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5 + bias
    return (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)


def _heads(x: Any, count: int) -> Any:
    return x.reshape(len(x), count, -1).transpose(0, 1)


def _rotated(x: Any, base: float) -> Any:
    """Rotary positions: the first half of each head turns against the second."""
    import torch

    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[1])[:, None] * base ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)


def nomic(directory: Path, config: Mapping[str, Any], tokens: Sequence[int]) -> NDArray[np.float32]:
    """Last hidden states, (tokens, width). Without the bias after the experts, which GGUF does not have."""
    from torch.nn.functional import gelu, silu

    model = _Model(directory, config)
    x = model.embedded(tokens, "emb_ln")
    every = config.get("moe_every_n_layers")
    for i in range(config["n_layer"]):
        at = f"encoder.layers.{i}."
        parts = model.linear(x, at + "attn.Wqkv").chunk(3, -1)
        query, key, value = (_heads(part, config["n_head"]) for part in parts)
        base = config["rotary_emb_base"]
        attended = _attention(_rotated(query, base), _rotated(key, base), value)
        x = model.norm(x + model.linear(attended, at + "attn.out_proj"), at + "norm1")
        if every and i % every == 1:
            made = _experts(model, x, at + "mlp.")
        elif every:
            made = model.linear(gelu(model.linear(x, at + "mlp.fc1")), at + "mlp.fc2")
        else:
            gate = silu(model.linear(x, at + "mlp.fc12"))
            made = model.linear(model.linear(x, at + "mlp.fc11") * gate, at + "mlp.fc2")
        x = model.norm(x + made, at + "norm2")
    states: NDArray[np.float32] = x.numpy()
    return states


def _experts(model: _Model, x: Any, at: str) -> Any:
    """The best experts of each token, weighted by their share of all experts' probability."""
    import torch
    from torch.nn.functional import gelu

    count, width = model.config["num_experts"], x.shape[-1]
    up, down = (model.tensors[f"{at}experts.mlp.{name}"].reshape(count, -1, width) for name in ("w1", "w2"))
    shares = model.linear(x, at + "router.layer").softmax(-1)
    rows = []
    for row, share in zip(x, shares, strict=True):
        best = share.topk(model.config["moe_top_k"]).indices.tolist()
        rows.append(sum(share[e] * (gelu(row @ up[e].T) @ down[e]) for e in best))
    return torch.stack(rows)


def jina(directory: Path, config: Mapping[str, Any], tokens: Sequence[int]) -> NDArray[np.float32]:
    """Last hidden states, (tokens, width), of a model whose number of heads is a power of two."""
    import torch
    from torch.nn.functional import gelu

    model = _Model(directory, config)
    x = model.embedded(tokens, "embeddings.LayerNorm")
    count = config["num_attention_heads"]
    places = torch.arange(len(tokens))
    slopes = 2.0 ** (-8 / count * (torch.arange(count) + 1))
    bias = -slopes[:, None, None] * (places[:, None] - places).abs()
    code = "encoder.layer.0.layer_norm_1.weight" in model.tensors
    up, down, last = (
        ("mlp.up_gated_layer", "mlp.down_layer", "layer_norm_2")
        if code
        else ("mlp.gated_layers", "mlp.wo", "mlp.layernorm")
    )
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}."
        query, key, value = (model.linear(x, f"{at}attention.self.{p}") for p in ("query", "key", "value"))
        if code:
            query = model.norm(query, at + "attention.self.layer_norm_q")
            key = model.norm(key, at + "attention.self.layer_norm_k")
        attended = _attention(_heads(query, count), _heads(key, count), _heads(value, count), bias)
        made = model.linear(attended, at + "attention.output.dense")
        inner = model.norm(x + made, at + "attention.output.LayerNorm")
        if code:
            inner = model.norm(x + inner, at + "layer_norm_1")
        gate, rest = model.linear(inner, at + up).chunk(2, -1)
        if code:
            gate, rest = rest, gate
        x = model.norm(inner + model.linear(gelu(gate) * rest, at + down), at + last)
    states: NDArray[np.float32] = x.numpy()
    return states
