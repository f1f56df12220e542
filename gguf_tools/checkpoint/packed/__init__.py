"""Checkpoints whose weights are packed: FP8, GPTQ, AWQ and their like, as sources of plain rows.

Which of them it is stands in ``quantization_config``. Each format is one module with an ``unpack`` that
finds its parts by name and puts a row source in their place; nothing is unpacked before rows are asked for.
To add one: a module, and a line in ``_UNPACKERS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from ...errors import CheckpointError, UnsupportedError
from ...source import Source
from ..reader import SafetensorsTensor
from .components import Packing, Parts

__all__ = ["METHODS", "Packing", "UnpackedCheckpoint", "unpack"]

_UNPACKERS: Final = {
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "gptq": "gptq",
    "awq": "awq",
    "compressed-tensors": "compressed_tensors",
    "bitsandbytes": "bitsandbytes",
    "modelopt": "modelopt",
    "bitnet": "bitnet",
    "mxfp4": "mxfp4",
}

METHODS: Final = tuple(_UNPACKERS)
"""What ``quant_method`` may say."""

_WORDS: Final = "the weights are packed with {}, and are unpacked on the way"


class UnpackedCheckpoint(NamedTuple):
    """A checkpoint's tensors as plain rows.

    Attributes:
        tensors: by name; a packed one stands where its weights stood.
        dropped: (name, reason) of tensors nothing is made of.
        notes: what the user should know.
        packings: what packed tensors are stored as, by name.
    """

    tensors: dict[str, Source]
    dropped: list[tuple[str, str]]
    notes: list[str]
    packings: dict[str, Packing]


def unpack(
    config: Mapping[str, Any], tensors: Mapping[str, SafetensorsTensor], producer: Any = None
) -> UnpackedCheckpoint:
    """Put row sources in place of packed tensors.

    Args:
        config: config.json.
        tensors: of the checkpoint.
        producer: hf_quant_config.json as parsed, where modelopt says what older releases of it do not put
            into config.json; None without one.

    Raises:
        UnsupportedError: the method, or a kind of it, is not supported; lists what is.
        CheckpointError: parts are missing (all of them listed) or do not go together.
    """
    settings = _settings(config, producer)
    method = None if settings is None else settings.get("quant_method")
    if settings is None or method is None:
        return UnpackedCheckpoint(dict(tensors), [], [], {})
    if not isinstance(method, str) or method not in _UNPACKERS:
        raise UnsupportedError(
            "unsupported packing of the weights",
            path="config.json",
            key="quantization_config.quant_method",
            found=method,
            expected=", ".join(METHODS),
        )
    parts = Parts(tensors)
    import_module(f".{_UNPACKERS[method]}", __name__).unpack(settings, parts)
    found = parts.finish()
    notes = [_WORDS.format(method)] if parts.computes else []
    return UnpackedCheckpoint(found, parts.dropped, notes + parts.notes, parts.packings)


def _settings(config: Mapping[str, Any], producer: Any) -> Mapping[str, Any] | None:
    text = config.get("text_config")
    for place in (config, text if isinstance(text, Mapping) else {}):
        for key in ("quantization_config", "compression_config"):
            found = place.get(key)
            if found is None:
                continue
            if not isinstance(found, Mapping):
                raise CheckpointError("not an object", path="config.json", key=key, found=found)
            if found.get("quant_method") is None and found.get("quant_algo") is not None:
                return {**found, "quant_method": "modelopt"}
            return found
    if isinstance(producer, Mapping) and isinstance(producer.get("quantization"), Mapping):
        return {**producer["quantization"], "quant_method": "modelopt"}
    return None
