"""The GGUF file: typed metadata, lazy reading, exact writing. Needs numpy and nothing else."""

from .metadata import Array, Metadata
from .writer import Layout, TensorInfo, header_bytes, write_gguf

__all__ = ["Array", "Layout", "Metadata", "TensorInfo", "header_bytes", "write_gguf"]
