"""Gemma 3n as a graph: several hidden states side by side, of which each layer computes one."""

from __future__ import annotations

from typing import Final

from .attention import AttentionInputs, attention
from .graph import HOST, Value
from .graph_builder import BEFORE, Builder

__all__ = ["gemma3n"]

_FIRST: Final = 0
"""The weights that belong to no layer are where this one's are."""


def gemma3n(build: Builder, hidden: Value, inputs: AttentionInputs, chosen: Value) -> Value:
    """All layers, from the embeddings to the one hidden state that is left."""
    model, tokens, width = build.model, build.tokens, build.model.width
    count = model.hparams.number("altup.num_inputs", least=2, most=64)
    extra = _per_layer(build, hidden)
    repeated = build.fresh("repeat", (width, tokens, count - 1), hidden)
    others = _as_long_as(build, build.multiplied(width, _FIRST, repeated), _length(build, hidden))
    states = build.fresh("concat", (width, tokens, count), hidden, others)
    for index in range(len(model.layers)):
        states = _layer(build, index, states, inputs, extra, count)
    length = _length(build, build.part(states, width, tokens))
    others = build.multiplied(width, _FIRST, build.part(states, width, tokens, count - 1))
    others = _as_long_as(build, others, length)
    total = build.part(states, width, tokens)
    for _ in range(count - 1):
        total = build.elementwise("add", total, build.part(others, width, tokens))
    return build.rows(build.elementwise("scale", total), chosen)


def _length(build: Builder, value: Value) -> Value:
    squared = build.elementwise("unary", value)
    return build.elementwise("unary", build.fresh("sum_rows", (1, *value.shape[1:]), squared))


def _as_long_as(build: Builder, value: Value, length: Value) -> Value:
    own = _length(build, value)
    return build.elementwise("div", build.elementwise("mul", value, length), own)


def _per_layer(build: Builder, hidden: Value) -> Value:
    """What each layer is given of each token besides, all layers' at once."""
    model, tokens = build.model, build.tokens
    each, layers = model.hparams.number("embedding_length_per_layer_input"), len(model.layers)
    weight = build.weight(BEFORE)
    found = Value((each * layers, tokens), "get_rows", (weight, build.input(tokens)), place=HOST)
    looked_up = build.elementwise("scale", build.reshaped(found, each, layers, tokens))
    build.graph.expand(looked_up)
    made = build.elementwise("scale", build.multiplied(each * layers, _FIRST, hidden))
    made = build.elementwise("rms_norm", build.reshaped(made, each, layers, tokens))
    made = build.weighed("mul", _FIRST, made)
    made = build.elementwise("scale", build.elementwise("add", made, looked_up))
    return build.packed(build.turned(made, each, tokens, layers))


def _layer(
    build: Builder, index: int, states: Value, inputs: AttentionInputs, extra: Value, count: int
) -> Value:
    tokens, width = build.tokens, build.model.width
    predicted = _predicted(build, index, states, count)
    active = build.part(predicted, width, tokens)
    normed = build.norm("attn_norm", index, active)
    narrow = build.matmul("laurel_r", index, build.matmul("laurel_l", index, normed))
    shortcut = build.elementwise("add", build.norm("laurel_post_norm", index, narrow), normed)
    made = build.norm("post_attention_norm", index, attention(build, index, normed, inputs))
    made = build.elementwise("add", made, active)
    middle = build.elementwise("scale", build.elementwise("add", made, shortcut))
    made = build.norm("post_ffw_norm", index, _network(build, index, build.norm("ffn_norm", index, middle)))
    made = build.elementwise("add", made, middle)
    corrected = _corrected(build, index, predicted, made, count)
    first = build.weighed("mul", index, build.part(corrected, width, tokens))
    small = build.elementwise("unary", build.matmul("inp_gate", index, first))
    small = build.elementwise("mul", small, build.part(extra, small.shape[0], tokens))
    first = build.norm("post_norm", index, build.matmul("proj", index, small))
    rest = build.elementwise("add", build.part(corrected, width, tokens, count - 1), first)
    return build.fresh("concat", states.shape, build.part(corrected, width, tokens), rest)


def _network(build: Builder, index: int, value: Value) -> Value:
    """The network, of whose gates the sparse layers keep only the largest."""
    up, gate = build.matmul("ffn_up", index, value), build.matmul("ffn_gate", index, value)
    if index < min(_SPARSE_LAYERS, len(build.model.layers)):
        mean = build.fresh("mean", (1, *gate.shape[1:]), gate)
        apart = build.elementwise("unary", build.elementwise("sub", gate, mean))
        spread = build.fresh("sum_rows", (1, *gate.shape[1:]), apart)
        for operation in ("scale", "unary", "scale"):
            spread = build.elementwise(operation, spread)
        gate = build.elementwise(
            "unary", build.elementwise("sub", gate, build.elementwise("add", mean, spread))
        )
    return build.matmul("ffn_down", index, build.elementwise("mul", up, build.elementwise("unary", gate)))


_SPARSE_LAYERS: Final = 10
"""The first so many, whatever the file says of their sparsity."""


def _routed(build: Builder, index: int, value: Value, count: int) -> Value:
    made = build.elementwise("scale", build.norm("altup_router_norm", index, value))
    return build.elementwise("unary", build.multiplied(count, index, made))


def _predicted(build: Builder, index: int, states: Value, count: int) -> Value:
    """The states a layer is expected to leave, as mixtures of those before it."""
    tokens, width = build.tokens, build.model.width
    routed = _routed(build, index, build.part(states, width, tokens), count)
    weights = build.reshaped(build.matmul("altup_predict_coef", index, routed), count, count, tokens)
    turned = build.packed(build.turned(states, count, width, tokens))
    mixed = build.fresh("matmul", (width, count, tokens), turned, weights)
    mixed = build.packed(build.turned(mixed, width, tokens, count))
    return build.elementwise("add", mixed, states)


def _corrected(build: Builder, index: int, predicted: Value, made: Value, count: int) -> Value:
    """The states, moved by how far the one that was computed is from what was expected of it."""
    tokens, width = build.tokens, build.model.width
    routed = _routed(build, index, made, count)
    apart = build.elementwise("sub", made, build.part(predicted, width, tokens))
    weights = build.elementwise("scale", build.matmul("altup_correct_coef", index, routed))
    weights = build.packed(build.turned(weights, 1, tokens, count))
    repeated = build.fresh("repeat", (width, tokens, count), apart)
    return build.elementwise("add", build.elementwise("mul", repeated, weights), predicted)
