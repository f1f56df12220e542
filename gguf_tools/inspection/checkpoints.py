"""Checkpoints and single safetensors files as an `Inspection`: headers, config.json and small text files.

Packed weights count as what they stand for: a GPTQ layer of four tensors is one tensor with the shape of its
values, the bytes of all four, and the type ``GPTQ-4``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..architectures import mistral_config
from ..checkpoint import (
    SafetensorsFile,
    SafetensorsTensor,
    UnpackedCheckpoint,
    open_checkpoint,
    read_config,
    unpack,
)
from ..conversion.type_stats import type_shares
from ..errors import CheckpointError, GGUFToolsError
from ..io.remote import PathOrLocation, exists
from .config_facts import brief, config_facts, tokenizer_facts
from .inspect import Inspected, Inspection, TensorDescription
from .model_description import ModelDescription
from .summary import Kind, Summary
from .tensor_names import place_of

if TYPE_CHECKING:
    from ..source import Source

__all__ = ["open_described"]


def open_described(path: PathOrLocation) -> Inspected:
    """Open and describe a checkpoint directory, or one file whose name ends in ``.safetensors``.

    Raises:
        CheckpointError: it is incomplete or malformed.
    """
    return _directory(path) if path.is_dir() else _single(path)


def _directory(path: PathOrLocation) -> Inspected:
    checkpoint = open_checkpoint(path)
    try:
        config = checkpoint.config
        notes: list[str] = []
        if checkpoint.is_mistral:
            config, notes = _translated(config)
        producer = checkpoint.read_json("hf_quant_config.json")
        plain, about = _unpacked(config, checkpoint.tensors, producer)
        facts, more = config_facts(config, plain.tensors, checkpoint.read_json)
        inspection = _inspection(
            "checkpoint",
            path,
            {file.path: file.size for file in checkpoint.inputs},
            _described(checkpoint.tensors, plain),
            dict(_flat("", checkpoint.config)),
            replace(facts, **tokenizer_facts(checkpoint)),
            (*notes, *about, *more),
        )
    except BaseException:
        checkpoint.close()
        raise
    return Inspected(inspection, plain.tensors, checkpoint.close)


def _single(path: PathOrLocation) -> Inspected:
    file = SafetensorsFile(path)
    try:
        config, notes = _config_beside(path)
        plain, about = _unpacked(config, file.tensors, None)
        facts = ModelDescription()
        if config:
            facts, more = config_facts(config, plain.tensors, lambda name: None)
            notes += ["facts about the model are from config.json beside the file", *more]
        inspection = _inspection(
            "safetensors",
            path,
            {str(path): file.size},
            _described(file.tensors, plain),
            dict(file.metadata),
            facts,
            (*notes, *about),
        )
    except BaseException:
        file.close()
        raise
    return Inspected(inspection, plain.tensors, file.close)


def _inspection(
    kind: Kind,
    path: PathOrLocation,
    files: dict[str, int],
    tensors: tuple[TensorDescription, ...],
    metadata: Mapping[str, Any],
    facts: ModelDescription,
    notes: tuple[str, ...],
) -> Inspection:
    shares = type_shares((tensor.type, tensor.shape, tensor.nbytes) for tensor in tensors)
    summary = Summary(
        kind=kind,
        path=os.fspath(path),
        files=files,
        version=None,
        byte_order=None,
        alignment=None,
        metadata_keys=len(metadata),
        tensors=len(tensors),
        parameters=sum(share.parameters for share in shares),
        tensor_bytes=sum(share.bytes or 0 for share in shares),
        types=shares,
        model=facts,
    )
    return Inspection(summary, tensors, metadata, notes)


def _translated(params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """config.json of a model in Mistral's own format; params.json itself where it cannot be translated."""
    try:
        return mistral_config(params), []
    except GGUFToolsError as error:
        return params, [f"params.json cannot be translated: {error.message} ({error.key})"]


def _described(
    stored: Mapping[str, SafetensorsTensor], plain: UnpackedCheckpoint
) -> tuple[TensorDescription, ...]:
    """Everything that is stored, once: whole tensors, packed ones, and parts nothing is made of."""
    left_out = {name: stored[name] for name, _ in plain.dropped if name in stored}
    made: dict[str, Source] = {**plain.tensors, **left_out}
    described = []
    for name, source in made.items():
        form, parts = plain.packings.get(name, (None, (name,)))
        largest = max((stored[part] for part in parts), key=lambda part: part.nbytes)
        described.append(
            TensorDescription(
                name,
                tuple(source.shape),
                largest.dtype if form is None else form,
                sum(stored[part].nbytes for part in parts),
                largest.offset,
                largest.path,
                *place_of(name),
                () if form is None else parts,
            )
        )
    return tuple(described)


def _unpacked(
    config: Mapping[str, Any], tensors: Mapping[str, SafetensorsTensor], producer: Any
) -> tuple[UnpackedCheckpoint, list[str]]:
    """Packed tensors as wholes; what cannot be unpacked stays in its parts, and a note says so."""
    try:
        return unpack(config, tensors, producer), []
    except GGUFToolsError as error:
        why = f"packed weights are listed part by part, and parameters cannot be counted: {brief(error)}"
        return UnpackedCheckpoint(dict(tensors), [], [], {}), [why]


def _config_beside(path: PathOrLocation) -> tuple[dict[str, Any], list[str]]:
    """config.json beside a file, or nothing: a file by itself can be looked into too."""
    try:
        return read_config(path.parent), []
    except CheckpointError as error:
        beside = exists(path.parent / "config.json")
        return {}, [f"config.json beside the file cannot be used: {error.message}"] if beside else []


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values of nested objects with their keys joined by dots."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield prefix + key, value
