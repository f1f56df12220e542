"""How the kernels of this package are compiled: see `gguf_tools.jit`."""

from __future__ import annotations

from ..jit import cache_directory, inlined, kernel

__all__ = ["cache_directory", "inlined", "kernel"]
