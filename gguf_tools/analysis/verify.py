"""Is this GGUF file sound? Structure, sizes, vocabulary and every block's scales, as a list of findings.

An *error* means that llama.cpp refuses the file or computes garbage with it; a *warning* that something
is unusual but works. Faults of the file never raise: they are what this is for.

Codes of errors: ``format``, ``unsupported``, ``shards``, ``alignment``, ``duplicate-tensor``, ``row-length``,
``misaligned``, ``truncated``, ``overlap``, ``gap``, ``order``, ``long-name``, ``removed-type``,
``missing-architecture``, ``vocabulary``, ``byte-token``, ``layers``, ``nested-array``, ``non-finite``.

Codes of warnings: ``trailing-bytes``, ``unknown-type``, ``empty-tensor``, ``odd-name``, ``odd-bool``,
``token-id``, ``token-type``, ``vocabulary-size``, ``missing-layers``, ``quantization-version``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ..container.blocks import BLOCK_FIELDS, Role, nonfinite_blocks
from ..container.header import layout_faults
from ..container.metadata import Array, Metadata
from ..container.reader import GGUFFile, Tensor, is_split, open_one
from ..container.shards import check_member, open_shard, shard_paths
from ..errors import GGUFToolsError, UnsupportedError
from ..source import row_count, row_length
from ..spec import BLOCK_SIZES, MAX_NAME_BYTES, TokenType, ValueType, align

__all__ = ["Finding", "verify"]

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a tensor's name."""

_CHUNK: Final = 1 << 22
"""Bytes of tensor data looked at at once; with its masks, a few times as much memory is in use."""

_FILE: Final = "file"

_REMEDIES: Final = {
    "truncated": "download or copy the file again",
    "alignment": "set general.alignment to what the data was written with, or convert the model again",
    "gap": "write the model again with a tool that follows the file's alignment",
    "misaligned": "write the model again with a tool that follows the file's alignment",
    "order": "write the model again with its tensors in the header's order",
    "overlap": "convert the model again; its data cannot be trusted",
    "duplicate-tensor": "convert the model again",
    "non-finite": "convert the model again, and check the original weights for NaN",
    "long-name": f"rename the tensor; llama.cpp takes at most {MAX_NAME_BYTES} bytes",
    "removed-type": "convert the model again: ggml no longer has this type",
    "shards": "put all files of the model, under their original names, in one directory",
    "missing-architecture": "set general.architecture",
}

_LAYER: Final = re.compile(r"blk\.(\d{1,9})\.")
_BYTE_TOKEN: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_TOKEN_ARRAYS: Final = (
    ("tokenizer.ggml.scores", ValueType.FLOAT32),
    ("tokenizer.ggml.token_type", ValueType.INT32),
)
_LAST_KNOWN_TYPE: Final = max(BLOCK_SIZES)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        code: a stable word for programs; see the module's docstring.
        severity: "error" or "warning".
        place: where: a file, key, tensor, byte.
        message: what.
        remedy: what to do about it, or None.
    """

    code: str
    severity: Literal["error", "warning"]
    place: str
    message: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Plain values for JSON."""
        return asdict(self)


def verify(path: str | os.PathLike[str], *, progress: Progress | None = None) -> list[Finding]:
    """Check a GGUF file, or all files of a split model given one of them. All data is read once.

    Args:
        path: the file.
        progress: called after each chunk of data.

    Returns:
        What was found, in order of the checks; empty for a sound file.
    """
    try:
        file = open_one(path, decoder=None)
    except GGUFToolsError as error:
        return [_of_error("unsupported" if isinstance(error, UnsupportedError) else "format", error)]
    with file:
        shards: list[GGUFFile] = [file]
        findings: list[Finding] = []
        try:
            if is_split(file):
                shards, findings = _open_all(file)
            findings += _structure(shards)
            findings += _metadata(shards)
            findings += _data(shards, progress)
        finally:
            for shard in shards:
                shard.close()
    return findings


def _open_all(file: GGUFFile) -> tuple[list[GGUFFile], list[Finding]]:
    """All shards that can be opened, in order, and what is wrong with the set."""
    try:
        paths = shard_paths(file)
    except GGUFToolsError as error:
        return [file], [_of_error("shards", error)]
    shards: list[GGUFFile] = []
    findings = []
    for number, path in enumerate(paths):
        try:
            shard = open_shard(path, shards[0] if shards else None, None)
        except GGUFToolsError as error:
            findings.append(_of_error("format", error, path))
            continue
        shards.append(shard)
        try:
            check_member(shard, number, len(paths), file)
        except GGUFToolsError as error:
            findings.append(_of_error("shards", error, path))
    seen: dict[str, Path] = {}
    for shard in shards:
        for name in shard.tensors:
            if name in seen:
                place = _place(shard.path, tensor=name)
                findings.append(_error("duplicate-tensor", place, f"the tensor is also in {seen[name].name}"))
            seen[name] = shard.path
    if not shards:
        return [file], findings
    stated = file.metadata.get("split.tensors.count")
    if not findings and stated != len(seen):
        message = f"the shards hold {len(seen)} tensors, split.tensors.count says {stated}"
        findings.append(_error("shards", _place(key="split.tensors.count"), message))
    return shards, findings


def _structure(shards: list[GGUFFile]) -> Iterator[Finding]:
    split = len(shards) > 1
    for shard in shards:
        path = shard.path if split else None
        for fault in layout_faults(shard.header):
            yield _of_error(fault.code, fault.error, path)
        for entry in shard.header.entries:
            yield from _entry_findings(entry, path)
        end = max(
            (shard.data_offset + entry.relative + (entry.nbytes or 0) for entry in shard.header.entries),
            default=shard.header.end,
        )
        unknown = any(entry.nbytes is None for entry in shard.header.entries)
        if not unknown and shard.file_size > align(end, shard.alignment):
            count = shard.file_size - align(end, shard.alignment)
            yield _warning(
                "trailing-bytes",
                _place(path, offset=align(end, shard.alignment)),
                f"{count} bytes after the data",
            )


def _entry_findings(entry: Any, path: Path | None) -> Iterator[Finding]:
    place = _place(path, tensor=entry.name)
    data = entry.name.encode("utf-8", "surrogateescape")
    if len(data) > MAX_NAME_BYTES:
        yield _error("long-name", place, f"the name has {len(data)} bytes; llama.cpp refuses the file")
    if not data or not entry.name.isprintable():
        yield _warning("odd-name", place, "the name is empty, not UTF-8 or not printable")
    if entry.type not in BLOCK_SIZES:
        if entry.type <= _LAST_KNOWN_TYPE:
            yield _error("removed-type", place, f"type {entry.type} was removed from ggml")
        else:
            yield _warning(
                "unknown-type", place, f"type {entry.type} is unknown here; its data is not checked"
            )
    if not prod(entry.shape):
        yield _warning("empty-tensor", place, f"the shape {entry.shape} has no elements")


def _metadata(shards: list[GGUFFile]) -> Iterator[Finding]:
    """Checks of the first shard's metadata, which speaks for the whole model."""
    metadata = shards[0].metadata
    tensors = {name: tensor for shard in shards for name, tensor in shard.tensors.items()}
    for key in metadata.odd_bools:
        yield _warning("odd-bool", _place(key=key), "a bool that is neither 0 nor 1; it reads as true")
    for key, kind, value in _arrays(metadata):
        if value.element_type is ValueType.ARRAY:
            yield _error("nested-array", _place(key=key), f"{kind.name} of arrays, which llama.cpp refuses")
    # An importance matrix is no model; everything else must say what it is.
    if metadata.get("general.type") != "imatrix":
        place = _place(key="general.architecture")
        if "general.architecture" not in metadata:
            yield _error("missing-architecture", place, "the key is missing; nothing can load the model")
        elif metadata.type_of("general.architecture") is not ValueType.STRING:
            yield _error("missing-architecture", place, "the value is not a string")
    quantized = any(
        tensor.storage is not None and BLOCK_SIZES[tensor.storage].elements > 1 for tensor in tensors.values()
    )
    if quantized and "general.quantization_version" not in metadata:
        place = _place(key="general.quantization_version")
        yield _warning("quantization-version", place, "the key is missing though tensors are quantized")
    yield from _vocabulary(metadata, tensors)
    yield from _layers(metadata, tensors)


def _arrays(metadata: Metadata) -> Iterator[tuple[str, ValueType, Array]]:
    for key in metadata:
        if metadata.type_of(key) is ValueType.ARRAY:
            value = metadata[key]
            if isinstance(value, Array):
                yield key, ValueType.ARRAY, value


def _vocabulary(metadata: Metadata, tensors: dict[str, Tensor]) -> Iterator[Finding]:
    key = "tokenizer.ggml.tokens"
    tokens = metadata.get(key)
    if tokens is None:
        return
    if not isinstance(tokens, Array) or tokens.element_type is not ValueType.STRING:
        yield _error("vocabulary", _place(key=key), "the tokens are not an array of strings")
        return
    for key, kind in _TOKEN_ARRAYS:
        value = metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, Array) or value.element_type is not kind:
            found = value.element_type.name if isinstance(value, Array) else metadata.type_of(key).name
            yield _error("vocabulary", _place(key=key), f"not an array of {kind.name} but {found}")
        elif len(value) != len(tokens):
            yield _error("vocabulary", _place(key=key), f"{len(value)} items for {len(tokens)} tokens")
        elif kind is ValueType.INT32:
            yield from _token_types(key, value.numpy(), tokens)
        elif not np.isfinite(value.numpy()).all():
            yield _error("vocabulary", _place(key=key), "a score is NaN or infinite")
    merges = metadata.get("tokenizer.ggml.merges")
    if merges is not None and not (isinstance(merges, Array) and merges.element_type is ValueType.STRING):
        yield _error(
            "vocabulary", _place(key="tokenizer.ggml.merges"), "the merges are not an array of strings"
        )
    for key in metadata:
        if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
            number = metadata[key]
            if not isinstance(number, int) or not 0 <= number < len(tokens):
                yield _warning("token-id", _place(key=key), f"{number!r} is no id of {len(tokens)} tokens")
    embedding = tensors.get("token_embd.weight")
    if embedding is not None and row_count(embedding.shape) != len(tokens):
        place = _place(tensor=embedding.name)
        message = f"{row_count(embedding.shape)} embeddings for {len(tokens)} tokens"
        yield _warning("vocabulary-size", place, message)


def _token_types(key: str, types: Any, tokens: Array) -> Iterator[Finding]:
    odd = np.flatnonzero((types < 0) | (types > max(TokenType)))
    if len(odd):
        first = int(odd[0])
        yield _warning(
            "token-type", _place(key=key), f"token {first} is of the unknown type {int(types[first])}"
        )
    for number in np.flatnonzero(types == TokenType.BYTE).tolist():
        if not _BYTE_TOKEN.fullmatch(tokens[number]):
            text = ascii(tokens[number][:40])
            yield _error(
                "byte-token", _place(key=key), f"token {number} is a byte, but its text {text} is not <0xHH>"
            )
            return


def _layers(metadata: Metadata, tensors: dict[str, Tensor]) -> Iterator[Finding]:
    architecture = metadata.get("general.architecture")
    key = f"{architecture}.block_count"
    if key not in metadata:
        return
    count = metadata[key]
    if not isinstance(count, int) or isinstance(count, bool):
        yield _error("layers", _place(key=key), f"not an integer but {metadata.type_of(key).name}")
        return
    present = {int(match[1]) for match in map(_LAYER.match, tensors) if match}
    if present and max(present) >= count:
        yield _error("layers", _place(key=key), f"{count}, but there are tensors of layer {max(present)}")
    elif present and max(present) + 1 < count:
        message = f"{count}, but the last layer with tensors is {max(present)}"
        yield _warning("missing-layers", _place(key=key), message)
    for name in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        key = f"{architecture}.{name}"
        value = metadata.get(key)
        if isinstance(value, Array) and len(value) < count:
            yield _error("layers", _place(key=key), f"{len(value)} items for {count} layers")


def _data(shards: list[GGUFFile], progress: Progress | None) -> Iterator[Finding]:
    """NaN and infinity in every float value and block scale, chunk by chunk."""
    split = len(shards) > 1
    todo = [
        (shard, tensor)
        for shard in shards
        for tensor in shard.tensors.values()
        if tensor.nbytes and tensor.offset + tensor.nbytes <= shard.file_size and _has_floats(tensor)
    ]
    total, done = sum(tensor.nbytes or 0 for _, tensor in todo), 0
    for shard, tensor in todo:
        bad, first, position = 0, -1, 0
        place = _place(shard.path if split else None, tensor=tensor.name)
        try:
            for mask, size in _bad_blocks(tensor):
                count = int(np.count_nonzero(mask))
                if count and first < 0:
                    first = position + int(mask.argmax())
                bad += count
                position += len(mask)
                done += size
                if progress is not None:
                    progress(done, total, tensor.name)
        except GGUFToolsError as error:
            yield _of_error("format", error)
            continue
        if bad:
            yield _error("non-finite", *_described(tensor, place, bad, first, position))


def _has_floats(tensor: Tensor) -> bool:
    kind = tensor.storage
    return kind is not None and any(field.role is not Role.BITS for field in BLOCK_FIELDS[kind])


def _bad_blocks(tensor: Tensor) -> Iterator[tuple[Any, int]]:
    """Per chunk: which blocks are faulty, and the chunk's bytes. A row may be longer than a chunk."""
    kind = tensor.storage
    if kind is None or tensor.nbytes is None:
        return
    size = BLOCK_SIZES[kind].bytes
    count, step = tensor.nbytes // size, _CHUNK // size
    for start in range(0, count, step):
        data = tensor.blocks(start, min(start + step, count))
        yield nonfinite_blocks(data, kind), data.nbytes


def _described(tensor: Tensor, place: str, bad: int, first: int, total: int) -> tuple[str, str]:
    elements = BLOCK_SIZES[tensor.storage].elements if tensor.storage is not None else 1
    row, inside = divmod(first * elements, row_length(tensor.shape))
    if elements == 1:
        return f"{place}, element {first}", (
            f"{bad} of {total} values are NaN or infinite, the first in row {row} at position {inside}"
        )
    return f"{place}, block {first}", (
        f"{bad} of {total} blocks of {tensor.type_name} have a NaN or infinite scale, "
        f"the first in row {row}, elements {inside} to {inside + elements - 1}"
    )


def _place(
    path: Path | None = None, *, key: str | None = None, tensor: str | None = None, offset: int | None = None
) -> str:
    parts: Iterable[str | None] = (
        None if path is None else path.name,
        None if key is None else f"key {key!r}",
        None if tensor is None else f"tensor {tensor!r}",
        None if offset is None else f"byte {offset}",
    )
    return ", ".join(part for part in parts if part) or _FILE


def _error(code: str, place: str, message: str) -> Finding:
    return Finding(code, "error", place, message, _REMEDIES.get(code))


def _warning(code: str, place: str, message: str) -> Finding:
    return Finding(code, "warning", place, message, _REMEDIES.get(code))


def _of_error(code: str, error: GGUFToolsError, path: Path | None = None) -> Finding:
    """A finding from an error; its place is told apart from its message."""
    place = _place(path, key=error.key, tensor=error.tensor, offset=error.offset)
    bare = GGUFToolsError(error.message, found=error.found, expected=error.expected)
    return _error(code, place, str(bare))
