"""Models that transformers cannot run without foreign code, token by token in float64.

Written after the papers and the models' published code, from the names checkpoints have: Nemotron H
(Mamba 2, arXiv 2405.21060, and attention), RWKV 6 (arXiv 2404.05892) and RWKV 7 (arXiv 2503.14456).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = Mapping[str, F64]


def sigmoid(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


def silu(x: F64) -> F64:
    return x * sigmoid(x)


def relu2(x: F64) -> F64:
    return np.maximum(x, 0) ** 2


def rms_norm(x: F64, weight: F64, eps: float) -> F64:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight


def layer_norm(x: F64, weights: Weights, name: str, eps: float, groups: int = 1) -> F64:
    parts = x.reshape(*x.shape[:-1], groups, -1)
    centred = parts - parts.mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return normed.reshape(x.shape) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def shifted(x: F64) -> F64:
    """What changed since the token before; before the first there is zero."""
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]]) - x


def nemotron_h(config: Mapping[str, Any], weights: Weights, tokens: Sequence[int]) -> F64:
    """Logits after each token: (tokens, vocabulary)."""
    eps = config["layer_norm_epsilon"]
    x = weights["backbone.embeddings.weight"][list(tokens)]
    kinds = {"M": _mamba2, "*": _attention, "-": _feed_forward, "E": _experts}
    for layer, kind in enumerate(config["hybrid_override_pattern"]):
        at = f"backbone.layers.{layer}."
        normed = rms_norm(x, weights[at + "norm.weight"], eps)
        x = x + kinds[kind](config, lambda name, at=at: weights[f"{at}mixer.{name}"], normed)
    return rms_norm(x, weights["backbone.norm_f.weight"], eps) @ weights["lm_head.weight"].T


Part: TypeAlias = Callable[[str], F64]


def _mamba2(config: Mapping[str, Any], part: Part, x: F64) -> F64:
    heads, size = config["mamba_num_heads"], config["mamba_head_dim"]
    groups, state = config["n_groups"], config["ssm_state_size"]
    inner, kernel = heads * size, config["conv_kernel"]
    gate, mixed, steps = np.split(
        x @ part("in_proj.weight").T, [inner, 2 * inner + 2 * groups * state], axis=1
    )
    padded = np.concatenate([np.zeros((kernel - 1, mixed.shape[1])), mixed])
    filters = part("conv1d.weight")[:, 0]
    windows = [padded[t : t + kernel] for t in range(len(x))]
    mixed = silu(np.array([(w.T * filters).sum(axis=1) for w in windows]) + part("conv1d.bias"))
    values, b, c = np.split(mixed, [inner, inner + groups * state], axis=1)
    dt = np.log1p(np.exp(steps + part("dt_bias")))
    decay = np.exp(-np.exp(part("A_log")) * dt)
    memory = np.zeros((heads, size, state))
    out = np.empty((len(x), heads, size))
    for t in range(len(x)):
        value = values[t].reshape(heads, size)
        b_t = np.repeat(b[t].reshape(groups, state), heads // groups, axis=0)
        c_t = np.repeat(c[t].reshape(groups, state), heads // groups, axis=0)
        entering = (dt[t][:, None] * value)[:, :, None] * b_t[:, None]
        memory = memory * decay[t][:, None, None] + entering
        out[t] = (memory * c_t[:, None]).sum(axis=2) + part("D")[:, None] * value
    gated = (out.reshape(len(x), inner) * silu(gate)).reshape(len(x), groups, -1)
    normed = rms_norm(gated, part("norm.weight").reshape(groups, -1), config["layer_norm_epsilon"])
    return normed.reshape(len(x), inner) @ part("out_proj.weight").T


def _attention(config: Mapping[str, Any], part: Part, x: F64) -> F64:
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["head_dim"]

    def projected(name: str, count: int) -> F64:
        split = (x @ part(f"{name}_proj.weight").T).reshape(len(x), count, size).swapaxes(0, 1)
        return np.repeat(split, heads // count, axis=0)

    q, k, v = projected("q", heads), projected("k", kv_heads), projected("v", kv_heads)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(size)
    scores = np.where(np.tril(np.ones(scores.shape[1:])) > 0, scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares @ v).swapaxes(0, 1).reshape(len(x), -1) @ part("o_proj.weight").T


def _feed_forward(config: Mapping[str, Any], part: Part, x: F64, at: str = "") -> F64:
    return relu2(x @ part(f"{at}up_proj.weight").T) @ part(f"{at}down_proj.weight").T


def _experts(config: Mapping[str, Any], part: Part, x: F64) -> F64:
    scores = sigmoid(x @ part("gate.weight").T)
    ranked = np.argsort(-(scores + part("gate.e_score_correction_bias")), axis=1)
    used = ranked[:, : config["num_experts_per_tok"]]
    chosen = np.take_along_axis(scores, used, axis=1)
    chosen = chosen / chosen.sum(axis=1, keepdims=True) * config["routed_scaling_factor"]
    made = _feed_forward(config, part, x, "shared_experts.")
    for t, (experts, shares) in enumerate(zip(used, chosen, strict=True)):
        for expert, share in zip(experts, shares, strict=True):
            made[t] += share * _feed_forward(config, part, x[t : t + 1], f"experts.{expert}.")[0]
    return made


def rwkv6(config: Mapping[str, Any], weights: Weights, tokens: Sequence[int]) -> F64:
    """Logits after each token: (tokens, vocabulary)."""
    eps, every = config["layer_norm_epsilon"], config["rescale_every"]
    x = layer_norm(weights["rwkv.embeddings.weight"][list(tokens)], weights, "rwkv.blocks.0.pre_ln", eps)
    for layer in range(config["num_hidden_layers"]):
        at = f"rwkv.blocks.{layer}."
        # halved with all that is added to it, lest float16 overflow
        share = 0.5 ** (layer // every)
        x = x + share * _time_mix6(
            config, weights, at + "attention.", layer_norm(x, weights, at + "ln1", eps)
        )
        x = x + share * _channel_mix6(weights, at + "feed_forward.", layer_norm(x, weights, at + "ln2", eps))
        if (layer + 1) % every == 0:
            x = x / 2
    return layer_norm(x, weights, "rwkv.ln_out", eps) @ weights["head.weight"].T


def _time_mix6(config: Mapping[str, Any], weights: Weights, at: str, x: F64) -> F64:
    size = config["head_size"]
    heads = x.shape[1] // size
    change = shifted(x)
    low = np.tanh((x + change * weights[at + "time_maa_x"][0, 0]) @ weights[at + "time_maa_w1"])
    moved = np.einsum("tir,irc->itc", low.reshape(len(x), 5, -1), weights[at + "time_maa_w2"])
    xw, xk, xv, xr, xg = (
        x + change * (weights[f"{at}time_maa_{letter}"][0, 0] + shift)
        for letter, shift in zip("wkvrg", moved, strict=True)
    )
    r, k, v = (
        (mixed @ weights[f"{at}{name}.weight"].T).reshape(-1, heads, size)
        for mixed, name in ((xr, "receptance"), (xk, "key"), (xv, "value"))
    )
    raised = np.tanh(xw @ weights[at + "time_decay_w1"]) @ weights[at + "time_decay_w2"]
    decay = np.exp(-np.exp(weights[at + "time_decay"][0, 0] + raised)).reshape(-1, heads, size)
    bonus = weights[at + "time_faaaa"]
    memory = np.zeros((heads, size, size))
    out = np.empty_like(x)
    for t in range(len(x)):
        entering = k[t][:, :, None] * v[t][:, None, :]
        out[t] = np.einsum("hk,hkv->hv", r[t], bonus[:, :, None] * entering + memory).ravel()
        memory = entering + decay[t][:, :, None] * memory
    divisor = config["head_size_divisor"]
    normed = layer_norm(out, weights, at + "ln_x", 1e-5 * divisor**2, heads)
    return (normed * silu(xg @ weights[at + "gate.weight"].T)) @ weights[at + "output.weight"].T


def _channel_mix6(weights: Weights, at: str, x: F64) -> F64:
    change = shifted(x)
    xk, xr = (x + change * weights[f"{at}time_maa_{letter}"][0, 0] for letter in "kr")
    key = relu2(xk @ weights[at + "key.weight"].T)
    return sigmoid(xr @ weights[at + "receptance.weight"].T) * (key @ weights[at + "value.weight"].T)


def rwkv7(config: Mapping[str, Any], weights: Weights, tokens: Sequence[int]) -> F64:
    """Logits after each token: (tokens, vocabulary)."""
    eps = config["norm_eps"]
    x = layer_norm(weights["model.embeddings.weight"][list(tokens)], weights, "model.layers.0.pre_norm", eps)
    first: F64 | None = None
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        normed = layer_norm(x, weights, at + "attn_norm", eps)
        mixed, first = _time_mix7(config, weights, at + "attn.", normed, first)
        x = x + mixed
        normed = layer_norm(x, weights, at + "ffn_norm", eps)
        key = (normed + shifted(normed) * weights[at + "ffn.x_k"]) @ weights[at + "ffn.key.weight"].T
        x = x + relu2(key) @ weights[at + "ffn.value.weight"].T
    return layer_norm(x, weights, "model.norm", eps) @ weights["lm_head.weight"].T


def _time_mix7(
    config: Mapping[str, Any], weights: Weights, at: str, x: F64, first: F64 | None
) -> tuple[F64, F64]:
    """The output, and the first layer's values."""
    size = config["head_dim"]
    heads = x.shape[1] // size
    change = shifted(x)
    xr, xw, xk, xv, xa, xg = (x + change * weights[f"{at}x_{letter}"][0, 0] for letter in "rwkvag")

    def low_rank(letter: str, mixed: F64, inside: Callable[[F64], F64] = lambda x: x) -> F64:
        module = f"{at}{letter}_lora.lora"
        made = inside(mixed @ weights[f"{module}.0.weight"].T) @ weights[f"{module}.2.weight"].T
        return made + weights.get(f"{module}.2.bias", np.zeros(1))

    r, k, v = (
        mixed @ weights[f"{at}{letter}_proj.weight"].T for mixed, letter in ((xr, "r"), (xk, "k"), (xv, "v"))
    )
    decay = np.exp(-np.exp(-0.5) * sigmoid(low_rank("w", xw, np.tanh)))
    if first is None:
        first = v
    else:
        v = v + (first - v) * sigmoid(low_rank("v", xv))
    rate = sigmoid(low_rank("a", xa))
    removed = (k * weights[at + "k_k"]).reshape(-1, heads, size)
    removed /= np.linalg.norm(removed, axis=-1, keepdims=True)
    k = k + k * (rate - 1) * weights[at + "k_a"]
    r, k, v, decay, rate = (each.reshape(-1, heads, size) for each in (r, k, v, decay, rate))
    memory = np.zeros((heads, size, size))  # values by keys
    out = np.empty_like(x)
    for t in range(len(x)):
        recalled = np.einsum("hvk,hk->hv", memory, -removed[t])
        memory = (
            memory * decay[t][:, None, :]
            + recalled[:, :, None] * (removed[t] * rate[t])[:, None, :]
            + v[t][:, :, None] * k[t][:, None, :]
        )
        out[t] = np.einsum("hvk,hk->hv", memory, r[t]).ravel()
    normed = layer_norm(out, weights, at + "g_norm", size * config["norm_eps"], heads)
    bonus = (r * k * weights[at + "r_k"]).sum(axis=-1, keepdims=True) * v
    gate = low_rank("g", xg, sigmoid)
    return ((normed + bonus.reshape(x.shape)) * gate) @ weights[at + "o_proj.weight"].T, first


def world_tokens(lines: Sequence[str], text: str) -> list[int]:
    """Ids of a text in RWKV's World vocabulary: the longest token each time. ``lines`` are its file's."""
    ids = {}
    for line in lines:
        number, literal = line.split(" ", 1)
        token = ast.literal_eval(literal.rpartition(" ")[0])
        ids[token if isinstance(token, bytes) else token.encode()] = int(number)
    data, made = text.encode(), []
    while data:
        size = next(size for size in range(len(data), 0, -1) if data[:size] in ids)
        made.append(ids[data[:size]])
        data = data[size:]
    return made
