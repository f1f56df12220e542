"""Feed-forward networks, dense and of experts, as graphs."""

from __future__ import annotations

from typing import Final

from ..architectures.traits import Routing
from .graph import Value
from .graph_builder import Builder

__all__ = ["experts", "feed_forward"]

MAX_EXPERTS: Final = 4096
"""More than llama.cpp has room for (1024); each that is used is an operation of the graph."""


def feed_forward(build: Builder, layer: int, value: Value, kind: str = "") -> Value:
    """A dense network; ``kind`` is the end of its weights' names, such as ``_shexp``."""
    up, gate, down = f"ffn_up{kind}", f"ffn_gate{kind}", f"ffn_down{kind}"
    wide = build.matmul(up, layer, value)
    if build.has(gate, layer):
        hidden = build.elementwise("glu", build.matmul(gate, layer, value), wide)
    elif (inner := _inner(build, down, layer)) != wide.shape[0]:
        hidden = build.fresh("glu", (inner, *wide.shape[1:]), wide)  # gate and up in one matrix
    else:
        hidden = build.elementwise("unary", wide)
    return build.matmul(down, layer, hidden)


def _inner(build: Builder, down: str, layer: int) -> int:
    """What a layer's network has inside: the columns of its last matrix."""
    return build.model.columns(down, layer)


def experts(build: Builder, layer: int, value: Value) -> Value:
    """A network of experts, of which each token uses a few, and the shared ones that all use."""
    model, tokens = build.model, value.shape[-1]
    count = model.hparams.number("expert_count", least=1, most=MAX_EXPERTS)
    used = min(model.hparams.number("expert_used_count", least=1, most=MAX_EXPERTS), count)
    weights, chosen = _routed(build, layer, value, count, used)
    build.graph.expand(weights)
    weighted_inputs = model.graph.routing is Routing.WEIGHTED_INPUTS
    if weighted_inputs:
        repeated = build.fresh(
            "repeat", (model.width, used, tokens), build.reshaped(value, value.shape[0], 1, tokens)
        )
        given = build.elementwise("mul", repeated, weights)
    else:
        given = build.reshaped(value, value.shape[0], 1, tokens)
    hidden = _hidden(build, layer, given, chosen, used, tokens)
    made = _of_expert(build, layer, model.width, hidden, chosen, used, tokens)
    made = _plus(build, "ffn_down_exps", layer, made, chosen)
    if not weighted_inputs:
        made = build.elementwise("mul", made, weights)
    build.graph.expand(made)
    return _with_shared(build, layer, value, _summed(build, made, used, tokens))


def _routed(build: Builder, layer: int, value: Value, count: int, used: int) -> tuple[Value, Value]:
    """Weights of the experts each token uses, and which they are."""
    tokens = value.shape[-1]
    logits = build.biased("ffn_gate_inp", layer, build.multiplied(count, layer, value))
    routing = build.model.graph.routing
    weighted_inputs, late = routing is Routing.WEIGHTED_INPUTS, routing is Routing.LATE_SOFTMAX
    sigmoid = weighted_inputs or build.model.hparams.number("expert_gating_func", 1) == 2
    odds = logits if late else build.elementwise("unary" if sigmoid else "soft_max", logits)
    ranked = odds
    if build.has("exp_probs_b.bias", layer):
        ranked = build.weighed("add", layer, odds)
    order = build.fresh("argsort", (count, tokens), logits if weighted_inputs else ranked)
    chosen = build.part(order, used, tokens)
    weights = build.fresh("get_rows", (1, used, tokens), build.reshaped(odds, 1, count, tokens), chosen)
    if late:
        flat = build.elementwise("soft_max", build.reshaped(weights, used, tokens))
        return build.reshaped(flat, 1, used, tokens), chosen
    if build.model.hparams.flag("expert_weights_norm", build.model.graph.normed_weights):
        flat = build.reshaped(weights, used, tokens)
        total = build.elementwise("unary", build.fresh("sum_rows", (1, tokens), flat))
        weights = build.reshaped(build.elementwise("div", flat, total), 1, used, tokens)
    if build.model.hparams.real("expert_weights_scale") not in (0.0, 1.0):
        weights = build.elementwise("scale", weights)
    return weights, chosen


def _hidden(build: Builder, layer: int, given: Value, chosen: Value, used: int, tokens: int) -> Value:
    inner = build.model.rows("ffn_up_exps", layer) if build.has("ffn_up_exps", layer) else 0
    if not inner:  # gate and up in one matrix
        both = build.model.rows("ffn_gate_up_exps", layer)
        wide = _of_expert(build, layer, both, given, chosen, used, tokens)
        return build.elementwise(
            "glu", build.part(wide, both // 2, used, tokens), build.part(wide, both // 2, used, tokens)
        )
    up = _plus(
        build, "ffn_up_exps", layer, _of_expert(build, layer, inner, given, chosen, used, tokens), chosen
    )
    if not build.has("ffn_gate_exps", layer):
        return build.elementwise("unary", up)
    gate = _of_expert(build, layer, inner, given, chosen, used, tokens)
    return build.elementwise("glu", _plus(build, "ffn_gate_exps", layer, gate, chosen), up)


def _of_expert(
    build: Builder, layer: int, rows: int, value: Value, chosen: Value, used: int, tokens: int
) -> Value:
    weight = build.weight(layer)
    return Value((rows, used, tokens), "matmul", (weight, value, chosen), place=weight.place)


def _plus(build: Builder, name: str, layer: int, value: Value, chosen: Value) -> Value:
    if not build.has(f"{name}.bias", layer):
        return value
    weight = build.weight(layer)
    return Value(value.shape, "add", (value, weight, chosen), place=weight.place)


def _summed(build: Builder, made: Value, used: int, tokens: int) -> Value:
    width = made.shape[0]
    parts = [build.part(made, width, tokens) for _ in range(used)]
    for part in parts:
        build.graph.expand(part)
    total = parts[0]
    for part in parts[1:]:
        total = build.elementwise("add", total, part)
        build.graph.expand(total)
    return build.packed(total) if used == 1 else total


def _with_shared(build: Builder, layer: int, value: Value, routed: Value) -> Value:
    if not build.has("ffn_up_shexp", layer):
        return routed
    shared = feed_forward(build, layer, value, "_shexp")
    if build.has("ffn_gate_inp_shexp", layer):
        gate = build.elementwise("unary", build.multiplied(1, layer, value))
        shared = build.elementwise("mul", shared, gate)
    return build.elementwise("add", routed, shared)
