"""What decides memory and differs by family without the file saying so.

Facts of llama.cpp b11434: which families look back through a window and how their layers alternate, which
keep a recurrent state, and which keep nothing between batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["HYBRID", "RECURRENT", "WINDOWS", "WITHOUT_MEMORY", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """A family's sliding window.

    Attributes:
        period: one layer in so many sees everything, where the file does not say which do.
        first: whether it is the first of them rather than the last.
        size: the window's length where the file does not say; None makes that no window.
        fixed: whether ``size`` holds whatever the file says.
        required: whether the file has to say it.
        layers: the only depth at which the family has one; None: at any.
        symmetric: whether the window reaches both ways, which an encoder's does.
    """

    period: int
    first: bool = False
    size: int | None = None
    fixed: bool = False
    required: bool = False
    layers: int | None = None
    symmetric: bool = False


WINDOWS: Final = {
    "cohere2": Window(4, required=True),
    "exaone4": Window(4, size=4096, layers=64),
    "gemma-embedding": Window(6, required=True, symmetric=True),
    "gemma2": Window(2, size=4096),
    "gemma3": Window(6),
    "gemma3n": Window(5, required=True),
    "gpt-oss": Window(2, required=True),
    "llama4": Window(4, size=8192, fixed=True),
    "modern-bert": Window(3, first=True, symmetric=True),
    "olmo2": Window(4),
}

WITHOUT_MEMORY: Final = frozenset(
    {"bert", "gemma-embedding", "jina-bert-v2", "modern-bert", "nomic-bert", "nomic-bert-moe"}
)
"""Encoders: nothing is kept from one batch to the next."""

RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv7"})
"""Every layer has a recurrent state and none attends."""

HYBRID: Final = frozenset(
    {"falcon-h1", "granitehybrid", "jamba", "lfm2", "nemotron_h", "nemotron_h_moe", "qwen3next"}
)
"""Some layers have a recurrent state, some attend, and Falcon H1's do both."""

SHARING: Final = {"gemma3n": 20}
"""Families whose layers from a certain one on attend to what earlier ones cached."""
