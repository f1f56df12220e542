"""What takes attention's place in recurrent and hybrid models, as graphs."""

from __future__ import annotations

from .builder import Builder
from .graph import Value

__all__ = ["delta_net", "mamba", "mamba2", "short_convolution", "time_mix"]


def _state(build: Builder, index: int, size: int) -> Value:
    """The states of the sequences at hand, gathered from the cache."""
    sequences = build.sizes.sequences
    gathered = build.fresh("get_rows", (size, sequences), build.cache(index))
    build.graph.expand(gathered)
    return gathered


def _convolved(build: Builder, index: int, value: Value, channels: int, kernel: int) -> Value:
    """A convolution over time: the last values are kept for the next batch."""
    sequences = build.sizes.sequences
    each = build.tokens // sequences
    before = build.reshaped(_state(build, index, (kernel - 1) * channels), kernel - 1, channels, sequences)
    columns = build.turned(value, each, channels, sequences)
    longer = build.fresh("concat", (kernel - 1 + each, channels, sequences), before, columns)
    build.stored_in(build.cache(index), build.part(longer, kernel - 1, channels, sequences))
    return build.fresh("convolution", (channels, each, sequences), longer, build.weight(index))


def mamba(build: Builder, index: int, value: Value) -> Value:
    """The first Mamba's selective state space."""
    keys, tokens = build.model.keys, build.tokens
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    rank, kernel = keys.number("ssm.time_step_rank"), keys.number("ssm.conv_kernel")
    both = build.matmul("ssm_in", index, value)
    given, gate = (build.part(both, inner, tokens) for _ in range(2))
    given = _convolved(build, index, given, inner, kernel)
    given = build.elementwise("unary", build.weighed("add", index, given))
    small = build.matmul("ssm_x", index, given)
    step, b, c = (build.part(small, size, tokens) for size in (rank, state, state))
    if build.has("ssm_dt_norm", index) or keys.flag("ssm.dt_b_c_rms", False):
        step, b, c = (
            build.norm(n, index, v) for n, v in (("ssm_dt_norm", step), ("ssm_b_norm", b), ("ssm_c_norm", c))
        )
    else:
        step = build.packed(step)
    step = build.matmul("ssm_dt", index, step)
    made = _scanned(build, index, inner, state, given, step, b, c)
    made = build.elementwise("add", made, build.weighed("mul", index, given))
    made = build.elementwise("glu", build.packed(gate), made)
    return build.matmul("ssm_out", index, made)


def _scanned(build: Builder, index: int, inner: int, state: int, *values: Value) -> Value:
    """The scan over time: its result holds what it makes and the last state."""
    sequences, tokens = build.sizes.sequences, build.tokens
    size = inner * tokens + inner * state * sequences
    whole = build.fresh("scan", (size,), build.cache(index), *values)
    build.graph.expand(whole)
    build.stored_in(build.cache(index), build.part(whole, inner * state * sequences))
    made = build.reshaped(whole, inner, tokens)
    made.dense = False
    return made


def mamba2(build: Builder, index: int, value: Value) -> Value:
    """The second Mamba's, with heads and groups."""
    keys, tokens = build.model.keys, build.tokens
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    groups, heads = keys.number("ssm.group_count"), keys.number("ssm.time_step_rank")
    kernel = keys.number("ssm.conv_kernel")
    channels = inner + 2 * groups * state
    whole = build.matmul("ssm_in", index, value)
    gate, given, step = (build.part(whole, size, tokens) for size in (inner, channels, heads))
    given = _convolved(build, index, given, channels, kernel)
    given = build.elementwise("unary", build.weighed("add", index, given))
    x, b, c = (build.part(given, size, tokens) for size in (inner, groups * state, groups * state))
    step = build.weighed("add", index, build.packed(step))
    made = _scanned(build, index, inner, state, x, step, b, c)
    made = build.elementwise("add", made, build.weighed("mul", index, x))
    made = build.elementwise("glu", build.packed(gate), made)
    if build.has("ssm_norm", index):
        made = build.norm("ssm_norm", index, made)
    return build.matmul("ssm_out", index, made)


def short_convolution(build: Builder, index: int, value: Value) -> Value:
    """LFM2's gated convolution."""
    width, kernel = build.model.width, build.model.keys.number("shortconv.l_cache")
    tokens = build.tokens
    three = build.matmul("shortconv.in_proj.weight", index, value)
    b, c, x = (build.part(three, width, tokens) for _ in range(3))
    made = _convolved(build, index, build.elementwise("mul", b, x), width, kernel)
    return build.matmul("shortconv.out_proj.weight", index, build.elementwise("mul", c, made))


def delta_net(build: Builder, index: int, value: Value) -> Value:
    """Qwen3-Next's gated delta net."""
    keys, tokens = build.model.keys, build.tokens
    inner, size = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    groups, heads = keys.number("ssm.group_count"), keys.number("ssm.time_step_rank")
    kernel = keys.number("ssm.conv_kernel")
    channels = inner + 2 * groups * size
    if build.has("attn_qkv", index):
        mixed = build.matmul("attn_qkv", index, value)
        gate = build.matmul("attn_gate", index, value)
    else:
        whole = build.matmul("ssm_in", index, value)
        gate = build.packed(build.part(whole, inner, tokens))
        query, key = (build.packed(build.part(whole, groups * size, tokens)) for _ in range(2))
        values = build.packed(build.part(whole, inner, tokens))
        mixed = build.fresh("concat", (2 * groups * size, tokens), query, key)
        mixed = build.fresh("concat", (channels, tokens), mixed, values)
    both = build.matmul("ssm_ba", index, value)
    beta = build.elementwise("unary", build.packed(build.part(both, heads, tokens)))
    alpha = build.packed(build.part(both, heads, tokens))
    alpha = build.weighed("mul", index, build.elementwise("unary", build.weighed("add", index, alpha)))
    given = build.elementwise("unary", _convolved(build, index, mixed, channels, kernel))
    state = _state(build, index, inner * size)
    query, key = (
        build.fresh("norm", (groups * size, tokens), build.part(given, groups * size, tokens))
        for _ in range(2)
    )
    if groups != heads:
        query, key = (build.fresh("repeat", (heads * size, tokens), v) for v in (query, key))
    values = build.part(given, inner, tokens)
    made = build.fresh(
        "delta",
        (inner * tokens + inner * size * build.sizes.sequences,),
        query,
        key,
        values,
        alpha,
        beta,
        state,
    )
    build.stored_in(build.cache(index), build.part(made, inner * size))
    out = build.part(made, inner, tokens)
    out = build.elementwise("mul", build.norm("ssm_norm", index, out), build.elementwise("unary", gate))
    return build.matmul("ssm_out", index, out)


def time_mix(
    build: Builder, index: int, value: Value, before: Value, first: Value | None
) -> tuple[Value, Value]:
    """RWKV's time mixing: what it makes, and the first layer's values, which version 7 looks back at.

    ``before`` is the same one token earlier.
    """
    change = build.elementwise("sub", before, value)
    mixed = _mixed_seven if build.model.architecture == "rwkv7" else _mixed_six
    return mixed(build, index, value, change, first)


def _low_rank(build: Builder, index: int, name: str, value: Value, *, between: bool = True) -> Value:
    """Through a narrow matrix and out of it again."""
    narrow = build.matmul(f"{name}1", index, value)
    return build.matmul(f"{name}2", index, build.elementwise("unary", narrow) if between else narrow)


def _weighted(build: Builder, index: int, *values: Value) -> Value:
    """The state's update over time, and what it gives; ``values`` are the receptance, keys and others."""
    width, tokens, sequences = build.model.width, build.tokens, build.sizes.sequences
    size = build.model.keys.number("wkv.head_size")
    state = _state(build, index, width * size)
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
