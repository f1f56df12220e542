"""LoRA adapter → GGUF adapter, which llama.cpp applies when it loads a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from .. import architectures, recipes
from ..architectures import AdapterTable
from ..checkpoint import Adapter, open_adapter, read_config
from ..container.metadata import Array, Metadata
from ..errors import CheckpointError, UnsupportedError
from ..io.closing import closed_on_error
from ..source import Source
from ..spec import QUANTIZATION_VERSION, GGMLType, ValueType
from .build_plan import laid_out
from .engine import execute
from .merging import factors_of
from .plan import Plan
from .run_options import Progress, RunOptions

__all__ = ["LORA_TYPES", "convert_lora", "plan_lora"]

LORA_TYPES: Final = ("f32", "f16", "bf16", "q8_0")
"""What the factors can be stored as."""


def convert_lora(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    type: str = "f32",  # noqa: A002 - the field's word
    allow_pickle: bool = False,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Convert a LoRA adapter as PEFT saves it to a GGUF adapter.

    Args:
        src: directory with adapter_config.json and adapter_model.safetensors (or .bin, see ``allow_pickle``).
        dst: the GGUF file to write; it appears complete or not at all.
        base: directory with the base model's config.json; no weights are needed. What the adapter says is
            its base model is not followed, but named in the error where this is missing.
        type: f32, f16, bf16 or q8_0. Rows that do not divide into blocks of q8_0 are stored as f16.
        allow_pickle: where there are no safetensors, let torch load adapter_model.bin, with ``weights_only``.
        threads: workers; default all available cores.
        force: replace an existing file.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out.

    Raises:
        CheckpointError: the adapter or the base's config is missing, incomplete or malformed.
        UnsupportedError: the adapter is of a kind that is not supported, or that a GGUF adapter cannot be.
        ArchitectureError: the base's architecture is unsupported, has no such tensors, or does something to
            one of them that cannot be done to its factors.
        OutputError: the output exists or cannot be written.
    """
    with plan_lora(src, base=base, qtype=type, allow_pickle=allow_pickle) as plan:
        execute(plan, dst, RunOptions(threads, force, progress=progress))
    return plan


def plan_lora(
    src: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    qtype: str = "f32",
    allow_pickle: bool = False,
) -> Plan:
    """Plan it without reading any weight; see ``convert_lora``, whose ``type`` is ``qtype`` here.

    The plan keeps the adapter open; close it.
    """
    if qtype.lower() not in LORA_TYPES:
        raise UnsupportedError(
            "adapters are not stored in this type", found=qtype, expected=", ".join(LORA_TYPES)
        )
    kind = GGMLType[qtype.upper()]
    with closed_on_error(open_adapter(src, allow_pickle=allow_pickle)) as adapter:
        return _plan(os.fspath(src), adapter, base, kind)


def _plan(source: str, adapter: Adapter, base: str | os.PathLike[str] | None, kind: GGMLType) -> Plan:
    _require_pairs_only(adapter)
    directory = _base_directory(adapter, base)
    config = read_config(directory)
    architecture = architectures.find(config)
    table = AdapterTable(architecture, config, adapter.pairs)
    pairs = {name: factors_of(pair, conv1d=table.is_conv1d(name)) for name, pair in adapter.pairs.items()}
    tensors = table.to_gguf(pairs)
    choices = [recipes.choose_factor(name, rows.shape, kind) for name, rows in tensors]
    metadata = _metadata(adapter, architecture, tensors)
    file = laid_out(metadata, tensors, choices, [rows.shape for _, rows in tensors], {})
    return Plan(
        kind="gguf",
        source=source,
        architecture=architecture.name,
        recipe=kind.name,
        files=(file,),
        dropped=tuple((name, "a copy of the base model's tensor") for name in adapter.copies),
        notes=tuple(
            f"{name} is the output of this model too (tied); PEFT applies it where tokens are looked up only"
            for name in table.tied(pairs)
        ),
        inputs=adapter.inputs,
        reads=(adapter.path, directory),
    )


def _require_pairs_only(adapter: Adapter) -> None:
    """llama.cpp passes over whole tensors of an adapter in silence, or refuses them.

    Raises:
        UnsupportedError: the adapter has some.
    """
    if adapter.whole:
        names = list(adapter.whole)
        raise UnsupportedError(
            f"{len(names)} tensors were trained whole (modules_to_save), which a GGUF adapter cannot have; "
            "merge the adapter into its base model instead (convert --merge-lora)",
            path=adapter.path,
            tensor=names[0],
        )


def _base_directory(adapter: Adapter, base: str | os.PathLike[str] | None) -> Path:
    """Only what the user says: a path in an adapter's file may lead anywhere on this machine.

    Raises:
        CheckpointError: the user does not; with what the adapter says.
    """
    if base is None:
        raise CheckpointError(
            "the base model's config.json is needed; say where it is (--base DIR)",
            path=adapter.path / "adapter_config.json",
            key="base_model_name_or_path",
            found=adapter.config.get("base_model_name_or_path"),
        )
    return Path(base)


def _metadata(
    adapter: Adapter, architecture: architectures.Architecture, tensors: list[tuple[str, Source]]
) -> Metadata:
    """All keys, in the order of llama.cpp's ``convert_lora_to_gguf.py``."""
    own = _own_config(adapter)
    general = architectures.general_metadata(
        adapter.path, own, architecture=architecture, tensors=tensors, kind="adapter"
    )
    metadata = Metadata(general[:2])  # general.architecture, general.type
    metadata.set("adapter.type", "lora", ValueType.STRING)
    metadata.extend(general[2:])
    metadata.set("adapter.lora.alpha", _alpha(adapter), ValueType.FLOAT32)
    if (tokens := _invocation(adapter)) is not None:
        metadata.set("adapter.alora.invocation_tokens", tokens, ValueType.ARRAY)
    metadata.set("general.quantization_version", QUANTIZATION_VERSION, ValueType.UINT32)
    return metadata


def _own_config(adapter: Adapter) -> Mapping[str, Any]:
    """config.json beside the adapter, which may have one; it names where it comes from."""
    return read_config(adapter.path) if os.path.lexists(adapter.path / "config.json") else {}


def _alpha(adapter: Adapter) -> float:
    """The one alpha of a GGUF adapter, of which llama.cpp takes 1 / rank for each tensor by itself.

    Raises:
        UnsupportedError: the tensors do not agree on one.
    """
    alphas = {float(np.float32(pair.alpha)) for pair in adapter.pairs.values()}
    if len(alphas) != 1:
        raise UnsupportedError(
            "a GGUF adapter has one alpha for all its tensors; merge this one into its base model instead "
            "(convert --merge-lora)",
            path=adapter.path,
            key="alpha_pattern" if adapter.config.get("alpha_pattern") else "use_rslora",
            found=sorted(alphas),
        )
    return alphas.pop()


def _invocation(adapter: Adapter) -> Array | None:
    """Tokens an "activated" adapter acts after."""
    path = adapter.path / "adapter_config.json"
    found = adapter.config.get("alora_invocation_tokens")
    if not found:
        if adapter.config.get("invocation_string"):
            raise UnsupportedError(
                "not without the base model's tokenizer; say alora_invocation_tokens",
                path=path,
                key="invocation_string",
            )
        return None
    if not isinstance(found, list) or not all(type(token) is int and 0 <= token < 1 << 31 for token in found):
        raise CheckpointError("not a list of tokens", path=path, key="alora_invocation_tokens", found=found)
    return Array(ValueType.UINT32, found)
