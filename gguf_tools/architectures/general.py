"""The ``general.*`` keys: name, size, license, ancestry and sampling defaults of a checkpoint.

The guesses behind them (which part of "Llama-3.2-1B-Instruct" is the version?) are those of the ``gguf``
package, so that files carry the same words as llama.cpp's converter gives them. It is imported when the
function is called, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..container.metadata import Array
from ..errors import CheckpointError, RemoteError
from ..io.remote import PathOrLocation
from ..io.remote.local_copies import local_directory
from ..source import Source
from ..spec import ValueType

if TYPE_CHECKING:
    from .table import Architecture

__all__ = ["ParameterCounts", "count_parameters", "general_metadata"]


class ParameterCounts(NamedTuple):
    """Numbers behind ``general.size_label``, counted as the ``gguf`` package does.

    Attributes:
        total: all values of all tensors; for an adapter, those of the matrices it changes, negated: the
            package takes that for a sign that the count is not exact.
        shared: those used for every token.
        expert: those of one expert.
        experts: experts per layer, 0 for a dense model.
    """

    total: int
    shared: int
    expert: int
    experts: int


def count_parameters(tensors: Iterable[tuple[str, tuple[int, ...]]]) -> ParameterCounts:
    """Count the parameters of GGUF tensors given as (name, shape), shapes in numpy's order."""
    total = shared = expert = experts = stacked = 0
    columns = None
    for name, shape in tensors:
        if name.endswith(".lora_a"):
            columns = shape[-1]
            continue
        if columns is not None and name.endswith(".lora_b"):
            shape = (*shape[:-1], columns)
        size = prod(shape)
        total += size
        if size and "_exps." in name and len(shape) >= 3:
            count = shape[-2 if ".bias" in name else -3]
            expert += size // count
            experts += count
            stacked += 1
        else:
            shared += size
    total = total if columns is None else -total
    return ParameterCounts(total, shared, expert, experts // stacked if stacked else 0)


def general_metadata(
    checkpoint_path: PathOrLocation,
    config: Mapping[str, Any],
    *,
    architecture: Architecture,
    tensors: Iterable[tuple[str, Source]],
    kind: str = "model",
) -> list[tuple[str, ValueType, Any]]:
    """The ``general.*`` entries of a checkpoint, as (key, type, value).

    All but ``general.file_type`` and ``general.quantization_version``, which depend on the recipe.

    Args:
        checkpoint_path: the directory; its name, README.md's front matter and generation_config.json count.
        config: config.json as parsed (``_name_or_path`` counts).
        architecture: the family.
        tensors: the GGUF tensors, for the size label.
        kind: ``general.type``.

    Raises:
        CheckpointError: one of the files cannot be used.
    """
    import gguf  # heavy, and only conversions need it

    counts = count_parameters((name, tuple(source.shape)) for name, source in tensors)
    writer = gguf.GGUFWriter(path=None, arch=architecture.name)
    writer.add_type(kind)
    try:
        with local_directory(checkpoint_path, ("README.md", "generation_config.json")) as directory:
            card = gguf.Metadata.load_model_card(directory)
            metadata = gguf.Metadata.apply_metadata_heuristic(
                gguf.Metadata(), card, dict(config), directory, counts.total
            )
            _set_sampling(metadata, gguf.Metadata.load_generation_config(directory))
        metadata.name = metadata.name or directory.name
        if metadata.size_label is None and counts.total > 0:
            metadata.size_label = gguf.size_label(*counts)
        metadata.set_gguf_meta_model(writer)
    except RemoteError:
        raise
    except Exception as error:  # YAML and guesses over foreign text fail in many ways
        raise CheckpointError(
            f"its README.md, config.json or generation_config.json cannot be used: {error}",
            path=checkpoint_path,
        ) from error
    return [_entry(key, value.value, ValueType(int(value.type))) for key, value in writer.kv_data[0].items()]


_SAMPLING: Final = {  # name in GGUF: names in generation_config.json, the first there counts
    "sequence": ("sequence",),
    "top_k": ("top_k",),
    "top_p": ("top_p",),
    "min_p": ("min_p",),
    "xtc_probability": ("xtc_probability",),
    "xtc_threshold": ("xtc_threshold",),
    "temp": ("temperature",),
    "penalty_last_n": ("penalty_last_n",),
    "penalty_repeat": ("penalty_repeat", "repetition_penalty"),
    "mirostat": ("mirostat",),
    "mirostat_tau": ("mirostat_tau",),
    "mirostat_eta": ("mirostat_eta",),
}


def _set_sampling(metadata: Any, generation: Mapping[str, Any]) -> None:
    if not isinstance(generation, Mapping):
        raise TypeError("generation_config.json is not an object")
    for name, spellings in _SAMPLING.items():
        spelling = next((spelling for spelling in spellings if spelling in generation), None)
        if spelling is not None:
            setattr(metadata, f"sampling_{name}", generation[spelling])


_PYTHON: Final[dict[ValueType, Any]] = {
    ValueType.STRING: str,
    ValueType.FLOAT32: int | float,
    ValueType.UINT32: int,
    ValueType.INT32: int,
    ValueType.ARRAY: list,
}


def _entry(key: str, value: Any, kind: ValueType) -> tuple[str, ValueType, Any]:
    """One of the gguf writer's values as ours.

    Raises:
        CheckpointError: of another type than the key has, as when YAML reads a version as a number.
    """
    if not isinstance(value, _PYTHON[kind]) or isinstance(value, bool):
        raise CheckpointError("a value of the wrong type", key=key, found=value, expected=kind.name)
    if isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            raise CheckpointError("not a list of texts", key=key, found=value)
        return key, kind, Array(ValueType.STRING, value)
    return key, kind, value
