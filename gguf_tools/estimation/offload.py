"""Where everything goes: how much of a model, its caches and its buffers each device has to hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..architectures.traits import Stack
from .cache import kv_bytes, state_bytes
from .compute import compute_bytes
from .graph import ACCELERATOR, HOST
from .model import Model
from .settings import Sizes

__all__ = ["Share", "shares"]

_LAYER: Final = re.compile(r"(?:dec\.|enc\.)?blk\.(\d{1,9})\.")

_EMBEDDINGS: Final = frozenset(
    {
        "per_layer_token_embd.weight",
        "position_embd.weight",
        "token_embd.weight",
        "token_embd_norm.bias",
        "token_embd_norm.weight",
        "token_types.weight",
    }
)
"""What is looked up rather than multiplied by, and stays on the host."""

_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Share:
    """What one device holds, in bytes.

    Attributes:
        weights: tensors of the model.
        kv_cache: keys and values.
        state: of recurrences.
        compute: intermediate values of the largest micro-batch.
        output: logits and embeddings handed out; on the host.
    """

    weights: int
    kv_cache: int
    state: int
    compute: int
    output: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + self.state + self.compute + self.output

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return {
            "weights": self.weights,
            "kv_cache": self.kv_cache,
            "state": self.state,
            "compute": self.compute,
            "output": self.output,
            "total": self.total,
        }


def shares(model: Model, sizes: Sizes) -> tuple[Share, Share]:
    """What the host and what the accelerator holds."""
    weights = _weights(model, sizes)
    compute = compute_bytes(model, sizes)
    kv, state = kv_bytes(model, sizes), state_bytes(model, sizes)
    first = min(sizes.first_on_device, len(model.layers))
    host = Share(weights[HOST], sum(kv[:first]), sum(state[:first]), compute[HOST], _output(model, sizes))
    device = Share(weights[ACCELERATOR], sum(kv[first:]), sum(state[first:]), compute[ACCELERATOR], 0)
    return host, device


def _weights(model: Model, sizes: Sizes) -> dict[int, int]:
    """Bytes of the tensors on each device: layers from the last, after them what makes the output."""
    output_on_device = sizes.first_on_device <= model.stored_layers
    found = {HOST: 0, ACCELERATOR: 0}
    for name, size in model.sizes.items():
        match = _LAYER.match(name)
        if match:
            on_device = int(match[1]) >= sizes.first_on_device
        else:
            on_device = output_on_device and name not in _EMBEDDINGS
        found[ACCELERATOR if on_device else HOST] += size
    if output_on_device and model.remembers and not model.has("output"):
        found[ACCELERATOR] += model.sizes.get("token_embd.weight", 0)  # tied: needed on both
    return found


def _output(model: Model, sizes: Sizes) -> int:
    """Bytes of logits for each sequence, and of embeddings where the model makes some."""
    embeds = not model.remembers or model.graph.stack in (Stack.ENCODER_DECODER, Stack.ENCODER)
    values = model.vocabulary + (model.width if embeds else 0)
    return _FLOAT_BYTES * values * sizes.sequences
