"""What is kept from one batch to the next: keys and values of attention, states of recurrences.

llama.cpp allocates both at once, for the whole context, when it starts.
"""

from __future__ import annotations

from ..spec import row_bytes
from .model import Layer, Model
from .settings import Sizes

__all__ = ["kv_bytes", "state_bytes"]

_FLOAT_BYTES = 4
"""States are float32, whatever the type of the cache."""


def kv_bytes(model: Model, sizes: Sizes) -> list[int]:
    """Bytes of keys and values of each layer."""
    return [_layer_bytes(model, layer, sizes) for layer in model.layers]


def _layer_bytes(model: Model, layer: Layer, sizes: Sizes) -> int:
    if not layer.cached:
        return 0
    cells = (sizes.window_cells if layer.windowed else sizes.cells) * sizes.sequences
    keys = cells * row_bytes(sizes.key_type, layer.keys)
    if model.latent:
        return keys  # the values are a part of the keys
    return keys + cells * row_bytes(sizes.value_type, cached_values(model, layer, sizes))


def cached_values(model: Model, layer: Layer, sizes: Sizes) -> int:
    """Values cached of a token.

    Without flash attention they are stored across, and all layers' rows are made as long as the longest.
    """
    if sizes.flash_attention:
        return layer.values
    return max(other.values for other in model.layers)


def state_bytes(model: Model, sizes: Sizes) -> list[int]:
    """Bytes of recurrent states of each layer: one for every sequence."""
    return [_FLOAT_BYTES * sizes.sequences * (layer.shift + layer.state) for layer in model.layers]
