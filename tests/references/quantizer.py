"""llama.cpp's own quantizer as an oracle, and tiny synthetic GGUF files to feed it.

The quantizer comes from the ``cyllama`` package (llama.cpp b9190, ``llama_model_quantize`` in process). It
needs only the keys a model's hyperparameters are read from; weights may be of any size, vocabulary and
completeness do not matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gguf_tools.recipes import ModelSizes, find_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["model_keys", "oracle_quantize", "random_weights", "write_model"]

_EPSILON = {"bert": "layer_norm_epsilon", "falcon": "layer_norm_epsilon"}


def model_keys(model: ModelSizes, row: int = 256) -> dict[str, tuple[str, Any]]:
    """The metadata llama.cpp insists on for quantizing: key → (GGUFWriter's kind, value)."""
    keys: dict[str, tuple[str, Any]] = {
        "context_length": ("uint32", 128),
        "embedding_length": ("uint32", row),
        "block_count": ("uint32", model.layers),
        "feed_forward_length": ("uint32", row),
        "attention.head_count": ("uint32", model.heads),
        "attention.head_count_kv": ("uint32", model.kv_heads),
        f"attention.{_EPSILON.get(model.architecture, 'layer_norm_rms_epsilon')}": ("float32", 1e-5),
    }
    if model.experts:
        keys["expert_count"] = ("uint32", model.experts)
        keys["expert_used_count"] = ("uint32", 2)
    if model.architecture == "bert":
        keys["attention.causal"] = ("bool", False)
    if model.architecture == "gemma3":
        keys["attention.sliding_window"] = ("uint32", 64)
    return {f"{model.architecture}.{key}": value for key, value in keys.items()}


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Normal weights, σ 0.02, for every name."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes.items()}


def write_model(
    path: Path,
    architecture: str,
    keys: Mapping[str, tuple[str, Any]],
    tensors: Mapping[str, NDArray[Any]] | Iterable[tuple[str, NDArray[Any], Any]],
) -> None:
    """A GGUF file by the ``gguf`` package; triples carry the raw type of uint8 data as their last part."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    for key, (kind, value) in keys.items():
        if key == "general.alignment":  # the writer has to know, and adds the key itself
            writer.add_custom_alignment(value)
        else:
            getattr(writer, f"add_{kind}")(key, value)
    triples = ((n, a, None) for n, a in tensors.items()) if isinstance(tensors, Mapping) else tensors
    for name, array, raw in triples:
        writer.add_tensor(name, array, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def oracle_quantize(
    source: Path, target: Path, recipe: str, *, requantize: bool = False, threads: int = 1
) -> None:
    """Run ``llama_model_quantize``; raises RuntimeError where it refuses."""
    from cyllama.llama import llama_cpp

    parameters = llama_cpp.LlamaModelQuantizeParams()
    parameters.ftype = int(find_recipe(recipe).file_type)
    parameters.nthread = threads
    parameters.allow_requantize = requantize
    with _silent():
        llama_cpp.model_quantize(str(source), str(target), parameters)


@contextmanager
def _silent() -> Iterator[None]:
    """llama.cpp logs a line per tensor to stderr: hundreds of thousands over the whole suite."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
