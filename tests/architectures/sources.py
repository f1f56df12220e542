"""Sources for tests: arrays stored as any plain type, and checkpoints in memory."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_tools import architectures
from gguf_tools.architectures.table import Architecture, GGUFParts
from gguf_tools.container.metadata import Metadata
from gguf_tools.source import ArraySource, SelfContained, Source, row_count
from gguf_tools.spec import GGMLType, ValueType
from tests import tiny


def reader(files: dict[str, Any]) -> Any:
    return files.get


def files_of(name: str) -> dict[str, Any]:
    return {path: json.loads(text) for path, text in tiny.MODELS[name].files.items() if path.endswith("json")}


def converted(name: str, **changes: Any) -> tuple[Architecture, dict[str, Any], dict[str, Source], GGUFParts]:
    config, tensors = checkpoint(name, **changes)
    family = architectures.find(config)
    return family, config, tensors, family.to_gguf(config, tensors, read_json=reader(files_of(name)))


def metadata(family: Architecture, side: GGUFParts) -> Metadata:
    return Metadata([("general.architecture", ValueType.STRING, family.name), *side.metadata])


def keys(side: GGUFParts) -> dict[str, Any]:
    """Values without the architecture's name."""
    return {key.partition(".")[2]: value for key, _, value in side.metadata}


class Stored(SelfContained):
    """An array kept as F16 or BF16 bit patterns."""

    def __init__(self, bits: NDArray[Any], storage: GGMLType) -> None:
        self.bits, self.storage, self.shape = bits, storage, bits.shape

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        flat = self.bits.reshape(row_count(self.shape), -1)[start:stop]
        if self.storage is GGMLType.BF16:
            return (flat.astype(np.uint32) << 16).view(np.float32)
        return np.ascontiguousarray(flat.view(np.float16).astype(np.float32))

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        flat = self.bits.reshape(row_count(self.shape), -1)[start:stop]
        return np.ascontiguousarray(flat).view(np.uint8)


class Computed(SelfContained):
    """Values without a stored form."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.of, self.storage, self.shape = ArraySource(array), None, array.shape

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.of.rows(start, stop)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        raise TypeError("computed")


def stored(values: NDArray[np.float32], dtype: str) -> Source:
    """A source of these values rounded to a checkpoint's dtype."""
    if dtype == "F32":
        return ArraySource(values)
    if dtype == "F16":
        return Stored(values.astype(np.float16).view(np.uint16), GGMLType.F16)
    return Stored(tiny.to_bf16(values), GGMLType.BF16)


def values(source: Source) -> NDArray[np.float32]:
    """Everything of a source, in its shape."""
    return source.rows(0, row_count(source.shape)).reshape(source.shape)


def checkpoint(name: str, **changes: Any) -> tuple[dict[str, Any], dict[str, Source]]:
    """Config and tensors of a tiny model; ``changes`` replace config keys, None removes one."""
    model = tiny.MODELS[name]
    config = {
        key: value for key, value in (model.config | changes).items() if changes.get(key, 0) is not None
    }
    return config, dict(_tensors(name))


@cache
def _tensors(name: str) -> dict[str, Source]:
    model = tiny.MODELS[name]
    return {tensor: stored(array, model.dtype) for tensor, array in model.tensors(model.config).items()}
