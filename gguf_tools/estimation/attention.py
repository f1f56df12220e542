"""Attention as a graph: with and without its scores in memory, plain and with compressed keys."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..spec import BLOCK_SIZES, GGMLType
from .cache import cached_values
from .graph import Value
from .graph_builder import Builder
from .model import Layer, Model

__all__ = [
    "AttentionInputs",
    "CacheInputs",
    "attended",
    "attention",
    "attention_inputs",
    "positions_per_token",
    "rotated",
]

_ROTATED = 64
"""Heads of a multiple of this are rotated before they are quantized."""


@dataclass(frozen=True, slots=True)
class CacheInputs:
    """What every batch says about a cache: who sees whom, where to store, and how heads are rotated.

    Attributes:
        cells: tokens of a sequence that are looked at.
        mask: who sees whom.
        key_rows, value_rows: where to store.
        key_rotation, value_rotation: of heads before they are quantized, where they are.
    """

    cells: int
    mask: Value
    key_rows: Value
    value_rows: Value
    key_rotation: Value | None
    value_rotation: Value | None


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """What attention is given with every batch: positions, and for each kind of cache its inputs."""

    positions: Value
    plain: CacheInputs
    windowed: CacheInputs


def attention_inputs(build: Builder) -> AttentionInputs:
    """The inputs of all layers; only those a layer uses take memory."""
    model, sizes = build.model, build.sizes
    positions = build.input(build.tokens * positions_per_token(model))
    if not model.remembers:
        plain = windowed = _cache_inputs(build, build.tokens, [])
        if model.window:
            windowed = _cache_inputs(build, build.tokens, [])
        return AttentionInputs(positions, plain, windowed)
    plain = _cache_inputs(build, sizes.cells, [layer for layer in model.layers if not layer.windowed])
    if not model.window:
        return AttentionInputs(positions, plain, plain)
    windowed = _cache_inputs(build, sizes.window_cells, [layer for layer in model.layers if layer.windowed])
    return AttentionInputs(positions, plain, windowed)


def _cache_inputs(build: Builder, cells: int, layers: list[Layer]) -> CacheInputs:
    model, sizes = build.model, build.sizes
    width = 2 if sizes.flash_attention else 4
    values = 1 if sizes.flash_attention else max(layer.values for layer in model.layers)
    cached = [layer for layer in layers if layer.cached]
    key_sizes = [layer.key_size for layer in cached]
    value_sizes = [] if model.latent else [layer.value_size for layer in cached]
    return CacheInputs(
        cells=cells,
        mask=build.input(cells, build.tokens // sizes.sequences, 1, sizes.sequences, width=width),
        key_rows=build.input(build.tokens, width=8),
        value_rows=build.input(build.tokens * values, width=8),
        key_rotation=_rotation(build, sizes.key_type, key_sizes, grow=True),
        value_rotation=_rotation(build, sizes.value_type, value_sizes, grow=False),
    )


def positions_per_token(model: Model) -> int:
    """Several for models that see pictures."""
    return model.graph.positions


def _rotation(build: Builder, kind: GGMLType, heads: list[int], *, grow: bool) -> Value | None:
    """The matrix that quantized heads are rotated by, where they are."""
    if BLOCK_SIZES[kind].elements == 1 or len(set(heads)) != 1 or not heads[0] or heads[0] % _ROTATED:
        return None
    size = _ROTATED
    while grow and heads[0] % (2 * size) == 0:
        size *= 2
    return build.input(size, size)


def attention(build: Builder, index: int, value: Value, inputs: AttentionInputs) -> Value:
    """Attention of one layer, up to and with its output matrix."""
    layer = build.model.layers[index]
    query_gate: Value | None = None
    if build.has("attn_kv_a_mqa", index):
        query, key, values = _latent(build, index, layer, value, inputs)
    else:
        query, key, values = _projected(build, index, layer, value)
        if query.base is not None and _is_gated(build, index, layer):
            query_gate = build.part(query.base, layer.value_size, layer.heads, build.tokens)
        query, key = _turned_by_position(build, index, query, key, inputs)
    made = _attend(build, index, layer, query, key, values, inputs)
    if query_gate is not None:
        made = build.elementwise(
            "mul", made, build.elementwise("unary", build.packed(query_gate, *made.shape))
        )
    if build.has("attn_sub_norm", index):
        made = build.norm("attn_sub_norm", index, made)
    return build.matmul("attn_output", index, made) if build.has("attn_output", index) else made


def _projected(build: Builder, index: int, layer: Layer, value: Value) -> tuple[Value, Value, Value]:
    """Queries, keys and values of a token, by head."""
    tokens = build.tokens
    heads = (
        (layer.key_size, layer.heads),
        (layer.key_size, layer.kv_heads),
        (layer.value_size, layer.kv_heads),
    )
    if build.has("attn_qkv", index):
        fused = build.matmul("attn_qkv", index, value)
        query, key, values = (build.part(fused, size, count, tokens) for size, count in heads)
        return query, key, values
    made = []
    for name, (size, count) in zip(("attn_q", "attn_k", "attn_v"), heads, strict=True):
        if name != "attn_q" and build.model.remembers and not layer.cached:  # an earlier layer's
            made.append(value)
            continue
        flat = build.matmul(name, index, value)
        if name == "attn_q" and _is_gated(build, index, layer):
            made.append(build.part(flat, size, count, tokens))
        else:
            made.append(build.reshaped(flat, size, count, tokens))
    return made[0], made[1], made[2]


def _is_gated(build: Builder, index: int, layer: Layer) -> bool:
    """Whether a layer's queries come with a gate for each."""
    return (
        build.has("attn_q", index) and build.model.rows("attn_q", index) == 2 * layer.heads * layer.key_size
    )


def _turned_by_position(
    build: Builder, index: int, query: Value, key: Value, inputs: AttentionInputs
) -> tuple[Value, Value]:
    """Queries and keys normalized where the family does, and rotated by their positions."""
    made = []
    for name, value in (("attn_q_norm", query), ("attn_k_norm", key)):
        if build.has(name, index):
            value = build.norm(name, index, value)
        if build.model.graph.rotary:
            value = Value(value.shape, "rope", (value, inputs.positions))
        made.append(value)
    if build.model.graph.scaled_queries:
        made[0] = build.elementwise("scale", made[0])
    return made[0], made[1]


def _latent(
    build: Builder, index: int, layer: Layer, value: Value, inputs: AttentionInputs
) -> tuple[Value, Value, Value]:
    """Queries, keys and values where keys and values are compressed to a few values per token."""
    hparams, tokens, heads = build.model.hparams, build.tokens, layer.heads
    rank, turned = hparams.number("attention.kv_lora_rank"), hparams.number("rope.dimension_count")
    if build.has("attn_q_a", index):
        short = build.norm("attn_q_a_norm", index, build.matmul("attn_q_a", index, value))
        flat = build.matmul("attn_q_b", index, short)
    else:
        flat = build.matmul("attn_q", index, value)
    size = flat.shape[0] // heads
    query = build.reshaped(flat, size, heads, tokens)
    compressed = build.matmul("attn_kv_a_mqa", index, value)
    place = build.elementwise("rope", build.part(compressed, turned, 1, tokens), inputs.positions)
    content = build.norm("attn_kv_a_norm", index, build.part(compressed, rank, tokens))
    query_place = build.elementwise("rope", build.part(query, turned, heads, tokens), inputs.positions)
    if build.model.latent:
        nope = build.turned(build.part(query, size - turned, heads, tokens), size - turned, tokens, heads)
        absorbed = build.turned(build.multiplied(rank, index, nope), rank, heads, tokens)
        whole = build.fresh("concat", (rank + turned, heads, tokens), absorbed, query_place)
        content = build.reshaped(content, rank, 1, tokens)
        return whole, build.fresh("concat", (rank + turned, 1, tokens), content, place), content
    opened = build.matmul("attn_kv_b", index, content)
    values = build.packed(build.part(opened, layer.value_size, heads, tokens))
    plain = build.part(opened, size - turned, heads, tokens)
    repeated = build.fresh("repeat", (turned, heads, tokens), place)
    key = build.fresh("concat", (size, heads, tokens), plain, repeated)
    return build.elementwise("rope", query, inputs.positions), key, values


def _attend(
    build: Builder, index: int, layer: Layer, query: Value, key: Value, values: Value, inputs: AttentionInputs
) -> Value:
    """What the values add up to, by head: heads times their size, for each token."""
    given = inputs.windowed if layer.windowed else inputs.plain
    latent = build.model.latent
    cache = build.cache(index)
    owned = layer.cached or not build.model.remembers
    if not latent:
        query = rotated(build, query, given.key_rotation)
        if owned:
            key = rotated(build, key, given.key_rotation)
            values = rotated(build, values, given.value_rotation)
    kept = (query, values, key) if layer.cached else (query, key, values)
    for part in kept if owned else (query,):
        build.graph.expand(part)
    if layer.cached:
        build.stored_in(cache, _flat(build, key), given.key_rows)
        if not latent:
            build.stored_in(cache, _stored_values(build, layer, values), given.value_rows)
    if build.model.remembers:
        key = values = cache
    made = attended(build, index, layer, query, key, values, given)
    return made if latent else rotated(build, made, given.value_rotation)


def attended(
    build: Builder,
    index: int,
    layer: Layer,
    query: Value,
    key: Value,
    values: Value,
    given: CacheInputs,
    bias: Value | None = None,
) -> Value:
    """Attention proper; ``key`` and ``values`` are given as they are or in a cache.

    ``bias`` is added to the scores, which are then computed whatever is asked for.
    """
    sizes, tokens, heads = build.sizes, build.tokens, layer.heads
    latent = build.model.latent
    width = build.model.hparams.number("attention.kv_lora_rank") if latent else layer.value_size
    asked = build.turned(query, layer.key_size, tokens, heads)
    if sizes.flash_attention and bias is None:
        if not key.stored:
            key, values = (
                build.fresh("cast", v.shape, build.turned(v, *v.shape), width=2) for v in (key, values)
            )
        made = build.fresh("attend", (width, heads, tokens), asked, key, values, given.mask)
        if latent:
            size = build.model.hparams.number("attention.value_length_mla")
            made = build.multiplied(size, index, build.turned(made, width, tokens, heads))
            made = build.packed(build.turned(made, size, heads, tokens))
        made = build.reshaped(made, made.shape[0] * heads, tokens)
    else:
        made = _by_scores(build, index, layer, asked, key, values, given, width, bias)
    build.graph.expand(made)
    return made


def _by_scores(
    build: Builder,
    index: int,
    layer: Layer,
    asked: Value,
    key: Value,
    values: Value,
    given: CacheInputs,
    width: int,
    bias: Value | None,
) -> Value:
    """Attention with its scores: one for every token, head, and token looked at."""
    sizes, tokens, heads = build.sizes, build.tokens, layer.heads
    sequences = sizes.sequences
    scores = build.fresh("matmul", (given.cells, tokens // sequences, heads, sequences), key, asked)
    if bias is not None:
        scores = build.elementwise("add", scores, bias)
    scores = build.elementwise("soft_max", scores, given.mask)
    if not values.stored or build.model.latent or sizes.flash_attention:  # stored along, needed across
        kind = sizes.key_type if build.model.latent else sizes.value_type
        count = 1 if build.model.latent else layer.kv_heads
        across = build.turned(values, given.cells, width, count, sequences)
        values = build.packed(across, width=_element_bytes(kind) if values.stored else 4)
    made = build.fresh("matmul", (width, tokens, heads), values, scores)
    if build.model.latent:
        made = build.multiplied(build.model.hparams.number("attention.value_length_mla"), index, made)
    size = made.shape[0]
    return build.packed(build.turned(made, size, heads, tokens), size * heads, tokens)


def _element_bytes(kind: GGMLType) -> int:
    block = BLOCK_SIZES[kind]
    return max(block.bytes // block.elements, 1)


def rotated(build: Builder, value: Value, rotation: Value | None) -> Value:
    """A value with its heads rotated, where they are."""
    if rotation is None:
        return value
    size, count = rotation.shape[0], prod(value.shape)
    if not value.dense:
        value = build.packed(value)
    made = build.fresh("matmul", (size, count // size), rotation, build.reshaped(value, size, count // size))
    return build.reshaped(made, *value.shape)


def _flat(build: Builder, value: Value) -> Value:
    return build.part(value, value.shape[0] * value.shape[1], value.shape[2])


def _stored_values(build: Builder, layer: Layer, values: Value) -> Value:
    """Values as they go into the cache: without gaps, and as long as the longest layer's, where across."""
    if build.sizes.flash_attention:
        return _flat(build, values)
    if not values.dense:
        values = build.packed(values, layer.values, build.tokens)
    longest = cached_values(build.model, layer, build.sizes)
    if longest > layer.values:
        values = build.fresh("pad", (longest, build.tokens), values)
    return build.reshaped(values, 1, longest * build.tokens)
