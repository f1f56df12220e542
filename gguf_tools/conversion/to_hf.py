"""GGUF → Hugging Face checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .. import architectures, tokenizers
from ..checkpoint import DTYPES, plan_shards
from ..container.metadata import Metadata
from ..errors import UnsupportedError
from ..source import Source
from ..spec import GGMLType
from .engine import Progress, execute
from .opening import open_decoding
from .plan import Plan, PlannedFile, PlannedTensor

__all__ = ["EXPORT_TYPES", "export", "plan_export"]

EXPORT_TYPES: Final = {"bf16": GGMLType.BF16, "f16": GGMLType.F16, "f32": GGMLType.F32}
TORCH_DTYPES: Final = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}


def export(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    dtype: str = "bf16",
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Turn a GGUF file into a checkpoint directory that transformers loads.

    Args:
        src: the GGUF file, or any shard of a split one.
        dst: the directory to make; it appears complete or not at all.
        dtype: ``"bf16"``, ``"f16"`` or ``"f32"``, the type of all weights.
        threads: workers; default all available cores.
        force: replace an existing directory.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out; its notes list what the GGUF file did not carry.

    Raises:
        FormatError: the file is not well formed.
        UnsupportedError: a tensor's type cannot be decoded, or ``dtype`` is unknown.
        ArchitectureError: the architecture is unsupported or its tensors do not match its table.
        OutputError: the output exists or cannot be written.
    """
    plan = plan_export(src, dtype=dtype)
    execute(plan, dst, threads=threads, force=force, progress=progress)
    return plan
