"""What takes attention's place in hybrid models and Mamba, as graphs."""

from __future__ import annotations

from .graph import Value
from .graph_builder import Builder

__all__ = ["delta_net", "gathered", "mamba", "mamba2", "short_convolution"]


def gathered(build: Builder, index: int, size: int) -> Value:
    """The states of the sequences at hand, gathered from the cache."""
    sequences = build.sizes.sequences
    states = build.fresh("get_rows", (size, sequences), build.cache(index))
    build.graph.expand(states)
    return states


def _convolved(build: Builder, index: int, value: Value, channels: int, kernel: int) -> Value:
    """A convolution over time: the last values are kept for the next batch."""
    sequences = build.sizes.sequences
    each = build.tokens // sequences
    before = build.reshaped(gathered(build, index, (kernel - 1) * channels), kernel - 1, channels, sequences)
    columns = build.turned(value, each, channels, sequences)
    longer = build.fresh("concat", (kernel - 1 + each, channels, sequences), before, columns)
    build.stored_in(build.cache(index), build.part(longer, kernel - 1, channels, sequences))
    return build.fresh("convolution", (channels, each, sequences), longer, build.weight(index))


def mamba(build: Builder, index: int, value: Value) -> Value:
    """The first Mamba's selective state space."""
    hparams, tokens = build.model.hparams, build.tokens
    inner, state = hparams.number("ssm.inner_size", least=1), hparams.number("ssm.state_size", least=1)
    rank, kernel = hparams.number("ssm.time_step_rank", least=1), hparams.number("ssm.conv_kernel", least=1)
    both = build.matmul("ssm_in", index, value)
    given, gate = (build.part(both, inner, tokens) for _ in range(2))
    given = _convolved(build, index, given, inner, kernel)
    given = build.elementwise("unary", build.weighed("add", index, given))
    small = build.matmul("ssm_x", index, given)
    step, b, c = (build.part(small, size, tokens) for size in (rank, state, state))
    if build.has("ssm_dt_norm", index) or hparams.flag("ssm.dt_b_c_rms"):
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
    hparams, tokens = build.model.hparams, build.tokens
    inner, state = hparams.number("ssm.inner_size", least=1), hparams.number("ssm.state_size", least=1)
    groups, heads = hparams.number("ssm.group_count", least=1), hparams.number("ssm.time_step_rank", least=1)
    kernel = hparams.number("ssm.conv_kernel", least=1)
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
    width, kernel = build.model.width, build.model.hparams.number("shortconv.l_cache", least=1)
    tokens = build.tokens
    three = build.matmul("shortconv.in_proj.weight", index, value)
    b, c, x = (build.part(three, width, tokens) for _ in range(3))
    made = _convolved(build, index, build.elementwise("mul", b, x), width, kernel)
    return build.matmul("shortconv.out_proj.weight", index, build.elementwise("mul", c, made))


def delta_net(build: Builder, index: int, value: Value) -> Value:
    """Qwen3-Next's gated delta net."""
    hparams, tokens = build.model.hparams, build.tokens
    inner, size = hparams.number("ssm.inner_size", least=1), hparams.number("ssm.state_size", least=1)
    groups, heads = hparams.number("ssm.group_count", least=1), hparams.number("ssm.time_step_rank", least=1)
    kernel = hparams.number("ssm.conv_kernel", least=1)
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
    state = gathered(build, index, inner * size)
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
