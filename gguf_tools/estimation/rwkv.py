"""RWKV, versions 6 and 7, as graphs."""

from __future__ import annotations

from ..architectures.traits import Mixer
from .graph import Value
from .graph_builder import Builder
from .recurrent import gathered

__all__ = ["rwkv"]


def rwkv(build: Builder, hidden: Value, chosen: Value) -> Value:
    """All layers: each token is mixed with the one before it."""
    model, sequences = build.model, build.sizes.sequences
    rescaled = model.hparams.number("rescale_every_n_layers", 0)
    first: Value | None = None
    for index in range(len(model.layers)):
        state = gathered(build, index, model.layers[index].shift)
        normed = build.norm("attn_norm", index, hidden)
        before = build.fresh("concat", normed.shape, build.part(state, model.width), normed)
        mixed, first = _time_mix(build, index, normed, before, first)
        middle = build.elementwise("add", mixed, hidden)
        second = build.norm("attn_norm_2", index, middle)
        before = build.fresh("concat", second.shape, build.part(state, model.width), second)
        last = build.fresh(
            "concat",
            (model.width, 2 * sequences),
            build.part(normed, model.width),
            build.part(second, model.width),
        )
        build.stored_in(build.cache(index), last)
        if index == len(model.layers) - 1:
            middle, second, before = (build.rows(v, chosen) for v in (middle, second, before))
        hidden = build.elementwise("add", _channel_mix(build, index, second, before), middle)
        if rescaled and (index + 1) % rescaled == 0:
            hidden = build.elementwise("scale", hidden)
    return hidden


def _channel_mix(build: Builder, index: int, value: Value, before: Value) -> Value:
    change = build.elementwise("sub", before, value)
    mixed = build.elementwise("add", build.weighed("mul", index, change), value)
    gate = None
    if build.has("channel_mix_receptance", index):
        other = build.elementwise("add", build.weighed("mul", index, change), value)
        gate = build.elementwise("unary", build.matmul("channel_mix_receptance", index, other))
    key = build.elementwise(
        "unary", build.elementwise("unary", build.matmul("channel_mix_key", index, mixed))
    )
    made = build.matmul("channel_mix_value", index, key)
    return made if gate is None else build.elementwise("mul", gate, made)


def _time_mix(
    build: Builder, index: int, value: Value, before: Value, first: Value | None
) -> tuple[Value, Value]:
    """Time mixing: what it makes, and the first layer's values, which version 7 looks back at.

    ``before`` is the same one token earlier.
    """
    change = build.elementwise("sub", before, value)
    mixed = _mixed_seven if build.model.graph.mixer is Mixer.RWKV7 else _mixed_six
    return mixed(build, index, value, change, first)


def _low_rank(build: Builder, index: int, name: str, value: Value, *, between: bool = True) -> Value:
    """Through a narrow matrix and out of it again."""
    narrow = build.matmul(f"{name}1", index, value)
    return build.matmul(f"{name}2", index, build.elementwise("unary", narrow) if between else narrow)


def _weighted(build: Builder, index: int, *values: Value) -> Value:
    """The state's update over time, and what it gives; ``values`` are the receptance, keys and others."""
    width, tokens, sequences = build.model.width, build.tokens, build.sizes.sequences
    size = build.model.hparams.number("wkv.head_size", least=1)
    state = gathered(build, index, width * size)
    whole = build.fresh("wkv", (width * tokens + width * size * sequences,), *values, state)
    build.stored_in(build.cache(index), build.part(whole, width * size * sequences))
    made = build.part(whole, width, tokens)
    made = build.weighed("add", index, build.weighed("mul", index, build.fresh("norm", made.shape, made)))
    return made


def _mixed_seven(
    build: Builder, index: int, value: Value, change: Value, first: Value | None
) -> tuple[Value, Value]:
    width, tokens = build.model.width, build.tokens
    gated = build.has("time_mix_g1", index)
    count = 6 if gated else 5
    repeated = build.fresh("repeat", (width, tokens, 1, count), change)
    whole = build.elementwise("add", build.weighed("mul", index, repeated), value)
    parts = [build.part(whole, width, tokens) for _ in range(count)]
    receptance = build.matmul("time_mix_receptance", index, parts[0])
    decay = build.weighed("add", index, _low_rank(build, index, "time_mix_w", parts[1]))
    for _ in range(3):
        decay = build.elementwise("unary", decay)
    key = build.matmul("time_mix_key", index, parts[2])
    values = build.matmul("time_mix_value", index, parts[3])
    if first is None:
        first = values
    else:
        rate = build.weighed("add", index, _low_rank(build, index, "time_mix_v", parts[3], between=False))
        apart = build.elementwise("sub", first, values)
        moved = build.elementwise("mul", apart, build.elementwise("unary", rate))
        values = build.elementwise("add", values, moved)
    gate = _low_rank(build, index, "time_mix_g", parts[5]) if gated else None
    rate = build.weighed("add", index, _low_rank(build, index, "time_mix_a", parts[4], between=False))
    rate = build.elementwise("unary", rate)
    unit = build.fresh("norm", key.shape, build.weighed("mul", index, key))
    other = build.weighed("mul", index, key)
    key = build.elementwise(
        "add", key, build.elementwise("sub", build.elementwise("mul", rate, other), other)
    )
    made = _weighted(
        build, index, receptance, decay, key, values,
        build.elementwise("unary", unit), build.elementwise("mul", unit, rate),
    )  # fmt: skip
    bonus = build.weighed("mul", index, build.elementwise("mul", key, receptance))
    total = build.fresh("sum_rows", (1, tokens), bonus)
    made = build.elementwise("add", made, build.elementwise("mul", values, total))
    if gate is not None:
        made = build.elementwise("mul", made, gate)
    return build.matmul("time_mix_output", index, made), first


def _mixed_six(
    build: Builder, index: int, value: Value, change: Value, first: Value | None
) -> tuple[Value, Value]:
    width, tokens = build.model.width, build.tokens
    rank = build.model.rows("time_mix_w1", index)
    mixed = build.elementwise("add", build.weighed("mul", index, change), value)
    narrow = build.elementwise("unary", build.matmul("time_mix_w1", index, mixed))
    narrow = build.packed(build.turned(narrow, rank // 5, tokens, 5))
    wide = build.multiplied(width, index, narrow)
    if build.has("time_mix_lerp_fused", index):
        wide = build.elementwise("mul", build.weighed("add", index, wide), change)
        wide = build.elementwise("add", wide, value)
    parts = [build.part(wide, width, tokens) for _ in range(5)]
    if not build.has("time_mix_lerp_fused", index):
        parts = [
            build.elementwise("add", build.elementwise("mul", build.weighed("add", index, p), change), value)
            for p in parts
        ]
    receptance = build.matmul("time_mix_receptance", index, parts[3])
    key = build.matmul("time_mix_key", index, parts[1])
    values = build.matmul("time_mix_value", index, parts[2])
    gate = build.elementwise("unary", build.matmul("time_mix_gate", index, parts[4]))
    decay = build.weighed("add", index, _low_rank(build, index, "time_mix_decay_w", parts[0]))
    for _ in range(3):
        decay = build.elementwise("unary", decay)
    made = _weighted(build, index, key, values, receptance, decay)
    made = build.elementwise("mul", made, gate)
    return build.matmul("time_mix_output", index, made), values if first is None else first
