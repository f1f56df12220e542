"""What the RWKVs share. transformers does not run them without code that comes with a checkpoint."""

from __future__ import annotations

from typing import Final

from ..spec import ValueType
from .keys import DerivedKey
from .tensors import PerLayer, Rule
from .transforms import IDENTITY, Transform

__all__ = ["NO_CODE", "NO_HEADS", "weight"]

NO_HEADS: Final = DerivedKey("attention.head_count", ValueType.UINT32, lambda config: 0)
NO_CODE: Final = ("transformers runs RWKV only with the model's own code, which is not in the file",)


def weight(hf: str, gguf: str, transform: Transform | PerLayer = IDENTITY) -> Rule:
    """A tensor of a block: its whole HF name, and GGUF's without the ending."""
    return Rule((hf,), (f"blk.{{i}}.{gguf}.weight",), transform)
