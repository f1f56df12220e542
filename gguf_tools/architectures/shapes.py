"""The shapes tensors must have, by their role and the model's metadata.

llama.cpp makes each tensor in the shape the metadata asks for and refuses a file that has another. The roles
here mean the same in every architecture; those that do not (fused projections, state spaces, latent
attention) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from ..container.metadata import Array, Metadata
from ..errors import ArchitectureError
from ..source import Source, row_count

__all__ = ["WrongShape", "embeddings_and_tokens", "require_shapes", "wrong_shapes"]

_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "output.weight": ("vocabulary", "width"),
    "output_norm.weight": ("width",),
    "output_norm.bias": ("width",),
    "attn_norm.weight": ("width",),
    "attn_norm.bias": ("width",),
    "ffn_norm.weight": ("width",),
    "ffn_norm.bias": ("width",),
    "post_attention_norm.weight": ("width",),
    "post_ffw_norm.weight": ("width",),
    "attn_q.weight": ("queries or twice", "width"),
    "attn_q.bias": ("queries",),
    "attn_k.weight": ("keys", "width"),
    "attn_k.bias": ("keys",),
    "attn_v.weight": ("values", "width"),
    "attn_v.bias": ("values",),
    "attn_output.weight": ("width", "outputs"),
    "attn_output.bias": ("width",),
    "ffn_gate.weight": ("inner", "width"),
    "ffn_up.weight": ("inner or twice", "width"),
    "ffn_down.weight": ("width", "inner"),
    "ffn_down.bias": ("width",),
    "ffn_gate_inp.weight": ("experts", "width"),
    "ffn_gate_exps.weight": ("experts", "expert inner", "width"),
    "ffn_up_exps.weight": ("experts", "expert inner", "width"),
    "ffn_down_exps.weight": ("experts", "width", "expert inner"),
}
"""Dimensions, slowest first, by a tensor's name without ``blk.N.``; see `_Sizes`."""

_LAYER: Final = re.compile(r"blk\.(\d{1,9})\.(.+)")


class WrongShape(NamedTuple):
    """A tensor of another shape than the metadata asks for: which one, and the two shapes in words."""

    tensor: str
    found: str
    expected: str


def wrong_shapes(metadata: Metadata, tensors: Mapping[str, Source]) -> Iterator[WrongShape]:
    """Tensors of another shape than the metadata asks for.

    What the metadata does not say is not checked.
    """
    sizes = _Sizes(metadata)
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        layer, role = (int(match[1]), match[2]) if match else (0, name)
        wanted = [sizes.of(size, layer) for size in _ROLES.get(role, ())]
        shape = _padded(tuple(tensor.shape), len(wanted))
        for found, allowed in zip(shape, wanted, strict=True) if wanted and shape else ():
            if allowed and found not in allowed:
                expected = " × ".join("any" if not a else " or ".join(map(str, a)) for a in wanted)
                yield WrongShape(name, " × ".join(map(str, tensor.shape)) or "scalar", expected)
                break
        if wanted and shape is None:
            yield WrongShape(name, f"{len(tensor.shape)} dimensions", f"{len(wanted)}")


def embeddings_and_tokens(metadata: Metadata, tensors: Mapping[str, Source]) -> tuple[int, int] | None:
    """How many rows the embedding has and how many tokens there are; None where either is missing."""
    tokens, embedding = metadata.get("tokenizer.ggml.tokens"), tensors.get("token_embd.weight")
    if not isinstance(tokens, Array) or embedding is None:
        return None
    return row_count(embedding.shape), len(tokens)


def require_shapes(metadata: Metadata, tensors: Mapping[str, Source]) -> None:
    """Check that the tensors have the shapes the metadata asks for, before anybody writes them.

    Raises:
        ArchitectureError: one has another; names the first.
    """
    counts = embeddings_and_tokens(metadata, tensors)
    if counts is not None and counts[0] != counts[1]:
        raise ArchitectureError(
            "the embedding and the vocabulary do not fit each other",
            tensor="token_embd.weight",
            found=f"{counts[0]} embeddings",
            expected=f"{counts[1]}, one for each token",
        )
    for wrong in wrong_shapes(metadata, tensors):
        raise ArchitectureError(
            "the tensor's shape is not what the config asks for",
            tensor=wrong.tensor,
            found=wrong.found,
            expected=wrong.expected,
        )


def _padded(shape: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    """A shape with as many dimensions as expected, by leading ones; None where it has more."""
    while len(shape) > count and shape[0] == 1:
        shape = shape[1:]
    return None if len(shape) > count else (1,) * (count - len(shape)) + shape


class _Sizes:
    """Sizes by name, from a model's metadata: the values allowed, or none where it does not say."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._architecture = metadata.get("general.architecture")

    def of(self, name: str, layer: int) -> tuple[int, ...]:
        """What a dimension may be in a layer."""
        value = _MEANINGS[name](self, layer)
        return () if value is None else value if isinstance(value, tuple) else (value,)

    def number(self, key: str, layer: int) -> int | None:
        """A number of the architecture, or that of a layer where there is a list."""
        value = self._metadata.get(f"{self._architecture}.{key}")
        if isinstance(value, Array):
            value = value[layer] if layer < len(value) else None
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    def head(self, key: str, layer: int) -> int | None:
        """Values in a head: what the key says, or the width divided by the heads.

        With latent attention the key says how many the cache has, and a second one how many a head has.
        """
        stated = self.number(f"{key}_mla", layer) or self.number(key, layer)
        if stated is not None:
            return stated
        width, heads = self.number("embedding_length", layer), self.number("attention.head_count", layer)
        return width // heads if width and heads else None

    def times(self, heads: str, size: str, layer: int) -> int | None:
        """Heads times their size; without a count of key-value heads, there are as many as of queries."""
        count = self.number(heads, layer) or self.number("attention.head_count", layer)
        each = self.head(size, layer)
        return count * each if count and each else None

    def vocabulary(self) -> int | None:
        tokens = self._metadata.get("tokenizer.ggml.tokens")
        return len(tokens) if isinstance(tokens, Array) else None


def _twice(value: int | None) -> tuple[int, ...] | None:
    return None if value is None else (value, 2 * value)


_MEANINGS: Final[dict[str, Callable[[_Sizes, int], int | tuple[int, ...] | None]]] = {
    "vocabulary": lambda sizes, layer: sizes.vocabulary(),
    "width": lambda sizes, layer: sizes.number("embedding_length", layer),
    "queries": lambda sizes, layer: sizes.times("attention.head_count", "attention.key_length", layer),
    # with a gate for each
    "queries or twice": lambda sizes, layer: _twice(
        sizes.times("attention.head_count", "attention.key_length", layer)
    ),
    "keys": lambda sizes, layer: sizes.times("attention.head_count_kv", "attention.key_length", layer),
    "values": lambda sizes, layer: sizes.times("attention.head_count_kv", "attention.value_length", layer),
    "outputs": lambda sizes, layer: sizes.times("attention.head_count", "attention.value_length", layer),
    "inner": lambda sizes, layer: sizes.number("feed_forward_length", layer),
    # gate and up fused
    "inner or twice": lambda sizes, layer: _twice(sizes.number("feed_forward_length", layer)),
    "experts": lambda sizes, layer: sizes.number("expert_count", layer),
    "expert inner": lambda sizes, layer: (
        sizes.number("expert_feed_forward_length", layer) or sizes.number("feed_forward_length", layer)
    ),
}
