"""The GGUF file: typed metadata, lazy reading, exact writing. Needs numpy and nothing else.

Headers are read without numpy, whose import takes longer than reading them; so the writer, which needs it, is
imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metadata import Array, Metadata
from .opening import open_gguf
from .reader import GGUFFile, Tensor

if TYPE_CHECKING:
    from .writer import Layout, TensorInfo, header_bytes, write_gguf

__all__ = [
    "Array",
    "GGUFFile",
    "Layout",
    "Metadata",
    "Tensor",
    "TensorInfo",
    "header_bytes",
    "open_gguf",
    "write_gguf",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import writer

    return getattr(writer, name)
