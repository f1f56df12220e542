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
from ..hyperparameters import Hyperparameters
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
"""Dimensions, slowest first, by a tensor's name without ``blk.N.``; see `_MEANINGS`."""

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
    model = Hyperparameters(metadata)
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        layer, role = (int(match[1]), match[2]) if match else (0, name)
        wanted = [_allowed(size, model, layer) for size in _ROLES.get(role, ())]
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


def _queries(model: Hyperparameters, layer: int) -> int | None:
    return _product(model.head_count(layer), model.full_key_size(layer))


def _kv_heads(model: Hyperparameters, layer: int) -> int | None:
    return model.kv_head_count(layer) or model.head_count(layer)


def _product(heads: int | None, size: int | None) -> int | None:
    return None if heads is None or size is None else heads * size


def _inner(model: Hyperparameters, layer: int) -> int | None:
    return model.feed_forward_length(layer)


_MEANINGS: Final[dict[str, Callable[[Hyperparameters, int], int | None]]] = {
    "vocabulary": lambda model, layer: model.token_count,
    "width": lambda model, layer: model.embedding_length,
    "queries": _queries,
    "queries or twice": _queries,
    "keys": lambda model, layer: _product(_kv_heads(model, layer), model.full_key_size(layer)),
    "values": lambda model, layer: _product(_kv_heads(model, layer), model.full_value_size(layer)),
    "outputs": lambda model, layer: _product(model.head_count(layer), model.full_value_size(layer)),
    "inner": _inner,
    "inner or twice": _inner,
    "experts": lambda model, layer: model.expert_count,
    "expert inner": lambda model, layer: model.expert_feed_forward_length(layer),
}

_TWICE: Final = frozenset({"queries or twice", "inner or twice"})
"""What there may also be two of: a gate for each query; gate and up fused."""


def _allowed(name: str, model: Hyperparameters, layer: int) -> tuple[int, ...]:
    """What a dimension may be in a layer; nothing where the metadata does not say."""
    size = _MEANINGS[name](model, layer)
    if size is None or size <= 0:
        return ()
    return (size, 2 * size) if name in _TWICE else (size,)
