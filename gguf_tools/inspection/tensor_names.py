"""Where a tensor belongs in its model, read from its name: which stack of layers, which layer, what in it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["TensorRole", "place_of"]

_LAYER: Final = re.compile(
    r"(?:(?P<before>.+?)\.)?(?P<word>blk|layers?|h|blocks?)\.(?P<layer>\d{1,9})\.(?P<role>.+)",
    re.DOTALL,
)
"""GGUF counts layers as ``blk.N`` (``enc.blk.N``, ``v.blk.N``), checkpoints as ``layers.N`` and the like."""

_EXPERT: Final = re.compile(r"(?<=experts\.)\d+(?=\.)")


class TensorRole(NamedTuple):
    """A tensor's place.

    Attributes:
        stack: the layers it belongs to, such as ``blk`` or ``enc.blk``; empty outside of layers.
        layer: its number, or None.
        role: the rest of its name: ``attn_q``, ``attn_q.bias``, ``mlp.experts.*.up_proj``. Weights have no
            ending; of experts stored one by one the number is a star.
    """

    stack: str
    layer: int | None
    role: str


def place_of(name: str) -> TensorRole:
    """The place of the tensor called ``name``.

    >>> place_of("blk.3.attn_q.weight")
    Place(stack='blk', layer=3, role='attn_q')
    >>> place_of("model.layers.0.self_attn.q_proj.bias")
    Place(stack='model.layers', layer=0, role='self_attn.q_proj.bias')
    >>> place_of("token_embd.weight")
    Place(stack='', layer=None, role='token_embd')
    """
    found = _LAYER.fullmatch(name)
    if found is None:
        return TensorRole("", None, name.removesuffix(".weight"))
    before, word, layer, role = found.group("before", "word", "layer", "role")
    stack = f"{before}.{word}" if before else word
    return TensorRole(stack, int(layer), _EXPERT.sub("*", role.removesuffix(".weight")))
