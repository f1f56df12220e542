"""Is this GGUF file sound? Structure, sizes, vocabulary and every block's scales, as a list of findings.

An *error* means that llama.cpp refuses the file or computes garbage with it; a *warning* that something
is unusual but works. Faults of the file never raise: they are what this is for.

Codes of errors: ``format``, ``unsupported``, ``interrupted-edit``, ``shards``, ``alignment``,
``duplicate-tensor``, ``row-length``, ``misaligned``, ``truncated``, ``overlap``, ``gap``, ``order``,
``long-name``, ``removed-type``, ``missing-architecture``, ``missing-key``, ``key-value``, ``key-type``,
``missing-tensor``, ``unknown-tensor``, ``shape``, ``vocabulary``, ``vocabulary-size``, ``byte-token``,
``layers``, ``nested-array``, ``chat-template``, ``non-finite``, ``hash-mismatch``.

Codes of warnings: ``trailing-bytes``, ``unknown-type``, ``empty-tensor``, ``odd-name``, ``odd-bool``,
``token-id``, ``token-type``, ``missing-layers``, ``quantization-version``, ``unusual``, ``not-in-manifest``;
and ``missing-tensor`` of a bias.

Keys and tensors are held against the table of the file's architecture, where there is one
(`gguf_tools.architectures`); adapters, projectors and importance matrices are no models and have none.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .. import architectures
from ..architectures.check import check
from ..architectures.shapes import wrong_shapes
from ..container.block_fields import nonfinite_blocks, swap_blocks
from ..container.header import layout_faults
from ..container.journal import InterruptedEditError
from ..container.metadata import Array, Metadata
from ..container.reader import GGUFFile, Tensor, is_split, open_one
from ..container.shards import check_member, open_shard, shard_paths
from ..errors import GGUFToolsError, RemoteError, UnsupportedError
from ..hyperparameters import Hyperparameters
from ..inspection.scan import Chunk, Progress, scan
from ..io.remote import Location, is_url
from ..quants.layouts import Role, fields
from ..source import Source, row_length
from ..spec import BLOCK_SIZES, MAX_NAME_BYTES, ValueType, align
from .findings import Finding, error, of_error, place, warning
from .templates import template_faults
from .vocabulary import tokenizer_findings, vocabulary_findings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..io.remote import PathOrLocation
    from .hashing import Hashing

__all__ = ["Finding", "known_architecture", "verify"]

_LAYER: Final = re.compile(r"blk\.(\d{1,9})\.")
_MOST_ALIKE: Final = 20
"""Findings of one code that are listed one by one."""
_LAST_KNOWN_TYPE: Final = max(BLOCK_SIZES)


def verify(
    path: str | os.PathLike[str],
    *,
    data: bool | None = None,
    hashing: Hashing | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Check a GGUF file, or all files of a split model given one of them. All data is read once.

    Args:
        path: the file, or its URL.
        data: look at the tensors' data, too. Default: yes for files, no for a URL, of which then only the
            header is read.
        hashing: takes checksums while the data is read, of the files that could be opened.
        progress: called after each chunk of data.

    Returns:
        What was found, in order of the checks; empty for a sound file.

    Raises:
        RemoteError: what the URL leads to cannot be read; that is no fault of the file.
    """
    try:
        file = open_one(path)
    except RemoteError:
        raise
    except InterruptedEditError as fault:
        return [of_error("interrupted-edit", fault)]
    except GGUFToolsError as fault:
        return [of_error("unsupported" if isinstance(fault, UnsupportedError) else "format", fault)]
    with file, ExitStack() as opened:
        shards: list[GGUFFile] = [file]
        findings: list[Finding] = []
        if is_split(file):
            shards, findings = _open_all(file, opened)
        findings += _structure(shards)
        findings += _metadata(shards)
        findings += _model(shards)
        looked = not is_url(path) if data is None else data
        finite = _Finite()
        consumers = (*((finite,) if looked else ()), *(hashing.consumers if hashing else ()))
        scan(shards, consumers, progress)
        findings += finite.findings(shards)
    return findings


def _open_all(file: GGUFFile, opened: ExitStack) -> tuple[list[GGUFFile], list[Finding]]:
    """All shards that can be opened, in order, and what is wrong with the set; ``opened`` closes them."""
    try:
        paths = shard_paths(file)
    except GGUFToolsError as fault:
        return [file], [of_error("shards", fault)]
    shards: list[GGUFFile] = []
    findings = []
    for number, path in enumerate(paths):
        try:
            shard = opened.enter_context(open_shard(path, shards[0] if shards else None))
        except RemoteError as fault:
            if not isinstance(fault.__cause__, FileNotFoundError):
                raise
            return [file], [of_error("shards", fault, path)]
        except GGUFToolsError as fault:
            findings.append(of_error("format", fault, path))
            continue
        shards.append(shard)
        try:
            check_member(shard, number, len(paths), file)
        except GGUFToolsError as fault:
            findings.append(of_error("shards", fault, path))
    seen: dict[str, Path | Location] = {}
    for shard in shards:
        for name in shard.tensors:
            if name in seen:
                where = place(shard.path, tensor=name)
                findings.append(error("duplicate-tensor", where, f"the tensor is also in {seen[name].name}"))
            seen[name] = shard.path
    if not shards:
        return [file], findings
    stated = file.metadata.get("split.tensors.count")
    if not findings and stated != len(seen):
        message = f"the shards hold {len(seen)} tensors, split.tensors.count says {stated}"
        findings.append(error("shards", place(key="split.tensors.count"), message))
    return shards, findings


def _structure(shards: list[GGUFFile]) -> Iterator[Finding]:
    split = len(shards) > 1
    for shard in shards:
        path = shard.path if split else None
        for fault in layout_faults(shard.header):
            yield of_error(fault.code, fault.error, path)
        for entry in shard.header.entries:
            yield from _entry_findings(entry, path)
        end = max(
            (shard.data_offset + entry.relative + (entry.nbytes or 0) for entry in shard.header.entries),
            default=shard.header.end,
        )
        unknown = any(entry.nbytes is None for entry in shard.header.entries)
        if not unknown and shard.file_size > align(end, shard.alignment):
            count = shard.file_size - align(end, shard.alignment)
            yield warning(
                "trailing-bytes",
                place(path, offset=align(end, shard.alignment)),
                f"{count} bytes after the data",
            )


def _entry_findings(entry: Any, path: Path | Location | None) -> Iterator[Finding]:
    where = place(path, tensor=entry.name)
    data = entry.name.encode("utf-8", "surrogateescape")
    if len(data) > MAX_NAME_BYTES:
        yield error("long-name", where, f"the name has {len(data)} bytes; llama.cpp refuses the file")
    if not data or not entry.name.isprintable():
        yield warning("odd-name", where, "the name is empty, not UTF-8 or not printable")
    if entry.type not in BLOCK_SIZES:
        if entry.type <= _LAST_KNOWN_TYPE:
            yield error("removed-type", where, f"type {entry.type} was removed from ggml")
        else:
            yield warning(
                "unknown-type", where, f"type {entry.type} is unknown here; its data is not checked"
            )
    if not prod(entry.shape):
        yield warning("empty-tensor", where, f"the shape {entry.shape} has no elements")


def _metadata(shards: list[GGUFFile]) -> Iterator[Finding]:
    """Checks of the first shard's metadata, which speaks for the whole model."""
    metadata = shards[0].metadata
    tensors = {name: tensor for shard in shards for name, tensor in shard.tensors.items()}
    for key in metadata.odd_bools:
        yield warning("odd-bool", place(key=key), "a bool that is neither 0 nor 1; it reads as true")
    for key, kind, value in _arrays(metadata):
        if value.element_type is ValueType.ARRAY:
            yield error("nested-array", place(key=key), f"{kind.name} of arrays, which llama.cpp refuses")
    # An importance matrix is no model; everything else must say what it is.
    if metadata.get("general.type") != "imatrix":
        where = place(key="general.architecture")
        if "general.architecture" not in metadata:
            yield error("missing-architecture", where, "the key is missing; nothing can load the model")
        elif metadata.type_of("general.architecture") is not ValueType.STRING:
            yield error("missing-architecture", where, "the value is not a string")
    quantized = any(
        tensor.storage is not None and BLOCK_SIZES[tensor.storage].elements > 1 for tensor in tensors.values()
    )
    if quantized and "general.quantization_version" not in metadata:
        where = place(key="general.quantization_version")
        yield warning("quantization-version", where, "the key is missing though tensors are quantized")
    yield from vocabulary_findings(metadata, tensors)
    yield from _layers(metadata, tensors)


def known_architecture(
    metadata: Metadata, tensors: Mapping[str, Source]
) -> architectures.Architecture | None:
    """The table of a model's architecture; None where there is none, or the file is no model."""
    if metadata.get("general.type", "model") != "model":
        return None
    try:
        return architectures.of_file(metadata, tensors)
    except GGUFToolsError:
        return None


def _model(shards: list[GGUFFile]) -> Iterator[Finding]:
    """Keys, tensors and shapes against the architecture's table; the tokenizer's keys; chat templates."""
    metadata = shards[0].metadata
    tensors = {name: tensor for shard in shards for name, tensor in shard.tensors.items()}
    architecture = known_architecture(metadata, tensors)
    if architecture is not None:
        yield from _first_of_each(_table(architecture, metadata, tensors))
        yield from tokenizer_findings(metadata)
    for key, message in template_faults(metadata):
        yield error("chat-template", place(key=key), f"the template {message}")


def _table(
    architecture: architectures.Architecture, metadata: Metadata, tensors: dict[str, Tensor]
) -> Iterator[Finding]:
    for problem in check(architecture, metadata, tensors):
        tensor = problem.kind.endswith("tensor")
        where = place(tensor=problem.name) if tensor else place(key=problem.name or None)
        # llama.cpp takes most biases where they are and does without where they are not
        optional = problem.kind == "missing-tensor" and problem.name.endswith(".bias")
        make = warning if problem.kind == "unusual" or optional else error
        yield make(problem.kind, where, problem.message)
    for wrong in wrong_shapes(metadata, tensors):
        message = f"the shape is {wrong.found}; the metadata asks for {wrong.expected}"
        yield error("shape", place(tensor=wrong.tensor), message)


def _first_of_each(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings, but of each code only so many; one wrong key can make every tensor wrong."""
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.code] += 1
        if seen[finding.code] <= _MOST_ALIKE:
            yield finding
    for code, count in seen.items():
        if count > _MOST_ALIKE:
            yield error(code, place(), f"{count - _MOST_ALIKE} more of this kind")


def _arrays(metadata: Metadata) -> Iterator[tuple[str, ValueType, Array]]:
    for key in metadata:
        if metadata.type_of(key) is ValueType.ARRAY:
            value = metadata[key]
            if isinstance(value, Array):
                yield key, ValueType.ARRAY, value


def _layers(metadata: Metadata, tensors: dict[str, Tensor]) -> Iterator[Finding]:
    model = Hyperparameters(metadata)
    key, count = model.key("block_count"), model.block_count
    if key not in metadata:
        return
    if count is None:
        yield error("layers", place(key=key), f"not an integer but {metadata.type_of(key).name}")
        return
    present = {int(match[1]) for match in map(_LAYER.match, tensors) if match}
    if present and max(present) >= count:
        yield error("layers", place(key=key), f"{count}, but there are tensors of layer {max(present)}")
    elif present and max(present) + 1 < count:
        message = f"{count}, but the last layer with tensors is {max(present)}"
        yield warning("missing-layers", place(key=key), message)
    for name in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        value = model.find(name)
        if isinstance(value, Array) and len(value) < count:
            yield error("layers", place(key=model.key(name)), f"{len(value)} items for {count} layers")


class _Finite:
    """Looks for NaN and infinity in every float value and block scale, as a part of a `scan`."""

    ordered = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bad: dict[tuple[PathOrLocation, str], tuple[int, int]] = {}
        self._faults: dict[tuple[PathOrLocation, str], GGUFToolsError] = {}

    def wants(self, piece: Chunk) -> bool:
        return piece.tensor is not None and piece.stop > piece.start and _has_floats(piece.tensor)

    def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
        tensor = piece.tensor
        assert tensor is not None  # see `wants`
        assert tensor.storage is not None
        if tensor.byte_order == "big":
            data = swap_blocks(data, tensor.storage)
        mask = nonfinite_blocks(data, tensor.storage)
        count = int(np.count_nonzero(mask))
        if not count:
            return
        first = (piece.start - tensor.offset) // BLOCK_SIZES[tensor.storage].bytes + int(mask.argmax())
        with self._lock:
            known, earliest = self._bad.get((piece.shard.path, tensor.name), (0, first))
            self._bad[piece.shard.path, tensor.name] = known + count, min(first, earliest)

    def miss(self, piece: Chunk, fault: GGUFToolsError) -> None:
        if isinstance(fault, RemoteError):
            raise fault
        assert piece.tensor is not None
        with self._lock:
            self._faults.setdefault((piece.shard.path, piece.tensor.name), fault)

    def findings(self, shards: Sequence[GGUFFile]) -> Iterator[Finding]:
        """What was found, in the tensors' order."""
        split = len(shards) > 1
        for shard in shards:
            for name, tensor in shard.tensors.items():
                if fault := self._faults.get((shard.path, name)):
                    yield of_error("format", fault)
                elif found := self._bad.get((shard.path, name)):
                    where = place(shard.path if split else None, tensor=name)
                    yield error("non-finite", *_described(tensor, where, *found))


def _has_floats(tensor: Tensor) -> bool:
    kind = tensor.storage
    return kind is not None and any(field.role is not Role.BITS for field in fields(kind))


def _described(tensor: Tensor, where: str, bad: int, first: int) -> tuple[str, str]:
    assert tensor.storage is not None  # only such are looked at
    elements, size = BLOCK_SIZES[tensor.storage]
    total = (tensor.nbytes or 0) // size
    row, inside = divmod(first * elements, row_length(tensor.shape))
    if elements == 1:
        return f"{where}, element {first}", (
            f"{bad} of {total} values are NaN or infinite, the first in row {row} at position {inside}"
        )
    return f"{where}, block {first}", (
        f"{bad} of {total} blocks of {tensor.type_name} have a NaN or infinite scale, "
        f"the first in row {row}, elements {inside} to {inside + elements - 1}"
    )
