"""The GGUF file: typed metadata, lazy reading, exact writing. Needs numpy and nothing else."""

from .metadata import Array, Metadata
from .reader import Decoder, GGUFFile, Tensor, open_gguf
from .writer import Layout, TensorInfo, header_bytes, write_gguf

__all__ = [
    "Array",
    "Decoder",
    "GGUFFile",
    "Layout",
    "Metadata",
    "Tensor",
    "TensorInfo",
    "header_bytes",
    "open_gguf",
    "write_gguf",
]
