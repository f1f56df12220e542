"""llama.cpp in this process, through the ``cyllama`` package: the judge of what our files are worth."""

from __future__ import annotations

from pathlib import Path

import cyllama.llama.llama_cpp as llama_cpp
import numpy as np
from numpy.typing import NDArray

from gguf_tools.spec import FileType

THREADS = 2
GPU_LAYERS = 0

llama_cpp.disable_logging()
llama_cpp.llama_backend_init()


def quantize(source: Path, target: Path, recipe: str) -> None:
    """Write ``source`` quantized to ``target`` as ``llama-quantize`` would; ``recipe`` names a file type."""
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype = int(FileType[recipe])
    params.nthread = THREADS
    llama_cpp.model_quantize(str(source), str(target), params)
