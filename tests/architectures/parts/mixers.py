"""Mamba 2 as hybrids mix it, and states that decay as mixers are initialised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.architectures.parts.base import Tensors, shaped
from tests.architectures.parts.decoders import AT, HEAD, WIDTH, Shapes


def mixed(outside: Shapes, blocks: Sequence[Shapes]) -> Tensors:
    """Tensors by name and shape, see ``shaped``; what decays, decays as mixers are initialised.

    Of these values torch's exponential is right to the last bit, so that whole files can be compared.
    """
    made = shaped(outside, blocks)
    for name, values in made.items():
        if name.endswith("A_log"):
            last = np.log(np.arange(1, values.shape[-1] + 1, dtype=np.float64)).astype(np.float32)
            made[name] = np.ascontiguousarray(np.broadcast_to(last, values.shape))
    return made


STATE = 32

SSM_HEADS = 2 * WIDTH // HEAD


def mamba2(groups: int, at: str = AT + "mamba.", inner: int = 2 * WIDTH, *, normed: bool = True) -> Shapes:
    """A Mamba 2 mixer of heads of ``HEAD``."""
    heads, mixed = inner // HEAD, inner + 2 * groups * STATE
    made: Shapes = {
        at + "A_log": (heads,),
        at + "D": (heads,),
        at + "dt_bias": (heads,),
        at + "conv1d.weight": (mixed, 1, 4),
        at + "conv1d.bias": (mixed,),
        at + "in_proj.weight": (inner + mixed + heads, WIDTH),
        at + "out_proj.weight": (WIDTH, inner),
    }
    return made | {at + "norm.weight": (inner,)} if normed else made
