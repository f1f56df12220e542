"""Attention as a graph: with and without its scores in memory, plain and with compressed keys."""

from __future__ import annotations

from dataclasses import dataclass

from ...spec import BLOCK_SIZES, GGMLType
from .builder import Builder
from .cache import cached_values
from .graph import Value
from .model import Layer, Model
from .settings import Sizes

__all__ = ["Inputs", "attention", "attention_inputs"]

_ROTATED = 64
"""Heads of a multiple of this are rotated before they are quantized."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What attention is given with every batch: positions, where to store, who sees whom, rotations."""

    positions: Value
    mask: Value
    window_mask: Value
    key_rows: Value
    value_rows: Value
    key_rotation: Value | None
    value_rotation: Value | None


def attention_inputs(build: Builder) -> Inputs:
    """The inputs of all layers; only those a layer uses take memory."""
    model, sizes = build.model, build.sizes
    each = build.tokens // sizes.sequences
    width = 2 if sizes.flash_attention else 4

    def mask(cells: int) -> Value:
        return build.input(cells, each, 1, sizes.sequences, width=width)

    cells, window = (sizes.cells, sizes.window_cells) if model.remembers else (build.tokens, build.tokens)
    plain = mask(cells)
    values = 1 if sizes.flash_attention else max(layer.values for layer in model.layers)
    return Inputs(
        positions=build.input(build.tokens * positions_per_token(model)),
        mask=plain,
        window_mask=mask(window) if model.window else plain,
        key_rows=build.input(build.tokens, width=8),
        value_rows=build.input(build.tokens * values, width=8),
        key_rotation=_rotation(build, sizes.key_type, [layer.key_size for layer in model.layers if layer.cached], grow=True),
        value_rotation=None
        if model.latent
        else _rotation(build, sizes.value_type, [layer.value_size for layer in model.layers if layer.cached], grow=False),
    )


def positions_per_token(model: Model) -> int:
    """Several for models that see pictures."""
    return 4 if model.architecture in {"qwen2vl", "qwen3vl", "qwen3vlmoe"} else 1


def _rotation(build: Builder, kind: GGMLType, heads: list[int], *, grow: bool) -> Value | None:
    """The matrix that quantized heads are rotated by, where they are."""
    if BLOCK_SIZES[kind].elements == 1 or len(set(heads)) != 1 or heads[0] % _ROTATED:
        return None
    size = _ROTATED
    while grow and heads[0] % (2 * size) == 0:
        size *= 2
    return build.input(size, size)


def attention(build: Builder, index: int, value: Value, inputs: Inputs) -> Value:
    """Attention of one layer, up to and with its output matrix."""
    layer = build.model.layers[index]
    if build.has("attn_kv_a_mqa", index):
        query, key, values = _latent(build, index, layer, value, inputs)
    else:
        query, key, values = _projected(build, index, layer, value)
        query, key = _turned_by_position(build, index, query, key, inputs)
    made = _attend(build, index, layer, query, key, values, inputs)
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
        if not build.has(name, index):  # keys and values of an earlier layer
            made.append(value)
            continue
        flat = build.matmul(name, index, value)
        if flat.shape[0] == 2 * size * count:  # with a gate for each
            made.append(build.part(flat, size, count, tokens))
        else:
            made.append(build.reshaped(flat, size, count, tokens))
    return made[0], made[1], made[2]


_UNTURNED = frozenset({"bert", "bloom", "gpt2", "jamba", "jina-bert-v2", "mpt", "nemotron_h", "nemotron_h_moe", "starcoder", "t5", "t5encoder", "granitehybrid"})
"""Families without rotary positions."""


def _turned_by_position(
    build: Builder, index: int, query: Value, key: Value, inputs: Inputs
) -> tuple[Value, Value]:
    """Queries and keys normalized where the family does, and rotated by their positions."""
    made = []
    for name, value in (("attn_q_norm", query), ("attn_k_norm", key)):
        if build.has(name, index):
            value = build.norm(name, index, value)
        if build.model.architecture not in _UNTURNED:
            value = Value(value.shape, "rope", (value, inputs.positions))
        made.append(value)
    if build.model.architecture in {"gemma", "gemma2", "gemma3", "gemma-embedding", "phi2", "phi3"}:
        made[0] = build.elementwise("scale", made[0])
    return made[0], made[1]


def _latent(
    build: Builder, index: int, layer: Layer, value: Value, inputs: Inputs
) -> tuple[Value, Value, Value]:
    """Queries, keys and values where keys and values are compressed to a few values per token."""
    keys, tokens, heads = build.model.keys, build.tokens, layer.heads
    rank, turned = keys.number("attention.kv_lora_rank"), keys.number("rope.dimension_count")
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
    build: Builder, index: int, layer: Layer, query: Value, key: Value, values: Value, inputs: Inputs
) -> Value:
    """What the values add up to, by head: heads times their size, for each token."""
    sizes, tokens = build.sizes, build.tokens
    cache = build.cache(index)
    if not build.model.latent:
        query, key = (_rotated(build, v, inputs.key_rotation) for v in (query, key))
        values = _rotated(build, values, inputs.value_rotation)
    for part in (query, values, key):
        build.graph.expand(part)
    if layer.cached:
        build.stored_in(cache, _flat(build, key), inputs.key_rows)
        if not build.model.latent:
            build.stored_in(cache, _stored_values(build, layer, values), inputs.value_rows)
        key = values = Value((1,), "view", (cache,), base=cache, place=cache.place)
    elif build.model.remembers:
        key = values = cache  # of an earlier layer
    mask = inputs.window_mask if layer.windowed else inputs.mask
    cells = _cells(build.model, layer, sizes)
    asked = build.turned(query, query.shape[0], tokens, layer.heads)
    width = build.model.keys.number("attention.kv_lora_rank") if build.model.latent else layer.value_size
    biased = build.model.architecture in {"t5", "t5encoder"}
    if sizes.flash_attention and not biased:
        if not build.model.remembers:
            key = build.fresh("cast", key.shape, build.turned(key, *key.shape), width=2)
            values = build.fresh("cast", values.shape, build.turned(values, *values.shape), width=2)
        made = build.fresh("attend", (width, layer.heads, tokens), asked, key, values, mask)
        made = _opened(build, index, layer, build.turned(made, width, tokens, layer.heads), packed=False) if build.model.latent else made
    else:
        scores = build.fresh("matmul", (cells, tokens // sizes.sequences, layer.heads, sizes.sequences), key, asked)
        scores = build.elementwise("soft_max", scores, mask)
        if not build.model.remembers or build.model.latent:
            shape = (cells, *values.shape[:1], layer.kv_heads)
            latent = (cells * sizes.sequences, width)
            values = build.packed(build.turned(values, *(latent if build.model.latent else shape)))
        made = build.fresh("matmul", (width, tokens, layer.heads), values, scores)
        if build.model.latent:
            made = build.multiplied(build.model.keys.number("attention.value_length_mla"), index, made)
    size = made.shape[0]
    if sizes.flash_attention and not biased:
        made = build.reshaped(made, size * layer.heads, tokens)
    else:
        made = build.packed(build.turned(made, size, layer.heads, tokens), size * layer.heads, tokens)
    build.graph.expand(made)
    return _rotated(build, made, inputs.value_rotation) if not build.model.latent else made


def _opened(build: Builder, index: int, layer: Layer, value: Value, *, packed: bool) -> Value:
    """Compressed values made into a head's."""
    size = build.model.keys.number("attention.value_length_mla")
    wide = build.multiplied(size, index, value)
    return build.packed(build.turned(wide, size, layer.heads, build.tokens))


def _cells(model: Model, layer: Layer, sizes: Sizes) -> int:
    if not model.remembers:
        return sizes.ubatch
    return sizes.window_cells if layer.windowed else sizes.cells


def _rotated(build: Builder, value: Value, rotation: Value | None) -> Value:
    if rotation is None or not value.nbytes and value.base is None:
        return value
    size = rotation.shape[0]
    count = 1
    for dimension in value.shape:
        count *= dimension
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
