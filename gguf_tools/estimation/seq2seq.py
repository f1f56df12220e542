"""T5 as graphs: its encoder, and its decoder, which also looks at what the encoder made of the input."""

from __future__ import annotations

from dataclasses import replace

from ..architectures.traits import Stack
from .attention import CacheInputs, attended, attention_inputs, rotated
from .feed_forward import feed_forward
from .graph import Value
from .graph_builder import Builder

__all__ = ["t5"]


def t5(build: Builder, hidden: Value, chosen: Value) -> Value:
    """All layers of the decoder; of the encoder where that is all there is."""
    model = build.model
    decodes = model.graph.stack is Stack.ENCODER_DECODER
    encoded = build.input(model.width, model.trained_context) if decodes else None
    plain = attention_inputs(build).plain
    if not decodes:
        plain = replace(plain, cells=build.tokens, mask=_mask(build, build.tokens))
    buckets = build.input(plain.cells, build.tokens)
    across = (
        None
        if encoded is None
        else replace(plain, cells=encoded.shape[1], mask=_mask(build, encoded.shape[1]))
    )
    count = (
        model.hparams.number("decoder_block_count", len(model.layers), most=len(model.layers))
        if decodes
        else len(model.layers)
    )
    for index in range(count):
        mixed = _self_attention(build, index, build.norm("attn_norm", index, hidden), plain, buckets, decodes)
        last = index == count - 1
        if across is not None and encoded is not None:
            hidden = build.elementwise("add", mixed, hidden)
            normed = build.norm("cross_attn_norm", index, hidden)
            mixed = _cross_attention(build, index, normed, encoded, across)
        if last:
            mixed, hidden = build.rows(mixed, chosen), build.rows(hidden, chosen)
        hidden = build.elementwise("add", mixed, hidden)
        made = feed_forward(build, index, build.norm("ffn_norm", index, hidden))
        hidden = build.elementwise("add", made, hidden)
    return hidden


def _mask(build: Builder, cells: int) -> Value:
    return build.input(cells, build.tokens, width=2 if build.sizes.flash_attention else 4)


def _heads(build: Builder, index: int, prefix: str, *values: Value) -> list[Value]:
    """Queries, keys and values by head."""
    layer = build.model.layers[index]
    shapes = (
        (layer.key_size, layer.heads),
        (layer.key_size, layer.kv_heads),
        (layer.value_size, layer.kv_heads),
    )
    made = []
    for part, shape, value in zip("qkv", shapes, values, strict=True):
        flat = build.matmul(f"{prefix}attn_{part}", index, value)
        made.append(build.reshaped(flat, *shape, flat.shape[1]))
    return made


def _self_attention(
    build: Builder, index: int, value: Value, given: CacheInputs, buckets: Value, decodes: bool
) -> Value:
    layer, cache = build.model.layers[index], build.cache(index)
    query, key, values = _heads(build, index, "", value, value, value)
    if decodes:
        query, key = (rotated(build, v, given.key_rotation) for v in (query, key))
        values = rotated(build, values, given.value_rotation)
    count = buckets.shape[0] * buckets.shape[1]
    flat = build.fresh("get_rows", (layer.heads, count), build.weight(index), build.reshaped(buckets, count))
    bias = build.packed(build.turned(flat, *buckets.shape, layer.heads))
    for part in (query, values, key) if decodes else (query, key, values):
        build.graph.expand(part)
    if decodes:
        build.stored_in(cache, key, given.key_rows)
        build.stored_in(cache, values, given.value_rows)
        key = values = cache
    made = attended(build, index, layer, query, key, values, given, bias)
    if decodes:
        made = rotated(build, made, given.value_rotation)
    return build.matmul("attn_o", index, made)


def _cross_attention(build: Builder, index: int, value: Value, encoded: Value, given: CacheInputs) -> Value:
    layer = build.model.layers[index]
    query, key, values = _heads(build, index, "cross_", value, encoded, encoded)
    for part in (query, key, values):
        build.graph.expand(part)
    made = attended(build, index, layer, query, key, values, given)
    return build.matmul("cross_attn_o", index, made)
