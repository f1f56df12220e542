"""Small valid files, and every way to cut them short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from gguf_tools.errors import CheckpointError, FormatError, GGUFToolsError
from gguf_tools.recipes.imatrix import load_importance
from tests import builders as gguf
from tests.checkpoint import build as safetensors
from tests.hostile.case import Case, Refused, Taken, one_file
from tests.hostile.gguf_files import read_gguf
from tests.hostile.importance_files import entry, old
from tests.hostile.safetensors_files import read_safetensors

__all__ = ["FILES", "truncations"]


def _needed(data: bytes) -> int:
    """Bytes of a GGUF file without the padding after the last tensor, which nobody needs."""
    tensors = gguf.SMALL_TENSORS
    return len(data) - -len(tensors[-1].data) % 32


_OLD: Final = old(entry(b"blk.0.ffn_up.weight", 4, (2.0, 4.0)), entry(), tail=b"\7\0\0\0\4\0\0\0wiki")

FILES: Final[dict[str, tuple[bytes, Callable[[Path], Any], type[GGUFToolsError], frozenset[int]]]] = {
    # name → a valid file, how to read it, what cuts raise, and the cuts after which it is whole still
    "GGUF": (
        gguf.small(),
        read_gguf,
        FormatError,
        frozenset(range(_needed(gguf.small()), len(gguf.small()))),
    ),
    "GGUF, version 1": (
        gguf.build(gguf.SMALL_PAIRS, version=1),
        read_gguf,
        FormatError,
        frozenset(),
    ),
    "GGUF, big endian": (
        gguf.build(gguf.SMALL_PAIRS, gguf.SMALL_TENSORS, order="big"),
        read_gguf,
        FormatError,
        frozenset(range(_needed(gguf.small()), len(gguf.small()))),
    ),
    "safetensors": (safetensors.small(), read_safetensors, CheckpointError, frozenset()),
    "importance matrix": (_OLD, load_importance, FormatError, frozenset({len(_OLD) - 12, len(_OLD) - 8})),
}


def truncations(name: str) -> Iterator[Case]:
    """A case for every length shorter than a file's own."""
    data, use, kind, whole = FILES[name]
    for size in range(len(data)):
        outcome = Taken() if size in whole else Refused(kind, ".")
        yield Case(f"{name} cut to {size} bytes", one_file(data[:size], "cut.bin"), use, outcome)
