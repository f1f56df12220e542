"""Writing GGUF: version 3, little endian.

The header is a pure function of metadata, names, shapes and types, so that every tensor's offset and the
file's size are known before a byte is written; `header_bytes` computes them. `write_gguf` is the short
way for tensors that are at hand; conversions plan with the first and let the engine write.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from ..errors import FormatError, QuantizationError
from ..io.atomic_files import AtomicFile
from ..io.input_guard import Inputs
from ..source import Source, row_count, row_length
from ..spec import (
    GGUF_MAGIC,
    GGUF_VERSION,
    MAX_DIMS,
    MAX_ELEMENTS,
    MAX_NAME_BYTES,
    GGMLType,
    align,
    row_bytes,
)
from .layout import ALIGNMENT_KEY, alignment_of, tensor_bytes
from .metadata import Metadata, encode_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layout", "TensorInfo", "header_bytes", "write_gguf"]

_CHUNK: Final = 1 << 22
"""Bytes of a source copied at once by `write_gguf`."""

_ARRAY_TYPES: Final = {
    np.dtype(np.float32): GGMLType.F32,
    np.dtype(np.float16): GGMLType.F16,
    np.dtype(np.float64): GGMLType.F64,
    np.dtype(np.int8): GGMLType.I8,
    np.dtype(np.int16): GGMLType.I16,
    np.dtype(np.int32): GGMLType.I32,
    np.dtype(np.int64): GGMLType.I64,
}


class TensorInfo(NamedTuple):
    """What the header says of a tensor; ``shape`` in numpy's order (slowest dimension first)."""

    name: str
    shape: tuple[int, ...]
    type: GGMLType


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a file to be written goes; offsets and sizes in bytes.

    Attributes:
        header: all bytes before the first tensor's, padding included.
        offsets: each tensor's absolute offset.
        sizes: each tensor's bytes, without padding.
        total_size: of the file, with the padding after the last tensor.
    """

    header: bytes
    offsets: list[int]
    sizes: list[int]
    total_size: int


def header_bytes(
    metadata: Metadata,
    tensors: Sequence[TensorInfo],
    *,
    alignment: int | None = None,
    long_names: bool = False,
) -> Layout:
    """The header of a file and the place of every tensor in it.

    Tensors lie in the given order, each padded to the alignment, the last one too: as llama.cpp and the
    ``gguf`` package write them. Without tensors nothing is padded, as in the package's vocabulary files.

    Args:
        metadata: written in its order, types kept.
        tensors: ``(name, shape, type)`` each.
        alignment: to insist on one; must agree with the metadata, which is where it comes from by default.
        long_names: allow names of 64 bytes and more, which llama.cpp refuses to load.

    Raises:
        FormatError: a name is empty, too long, occurs twice or is not UTF-8; a shape has too many
            dimensions, too many elements or rows that are not whole blocks; the alignment is not usable.
    """
    stated = alignment_of(metadata)
    if alignment is not None and alignment != stated:
        raise FormatError(
            "the alignment contradicts the metadata", key=ALIGNMENT_KEY, found=alignment, expected=stated
        )
    parts = [GGUF_MAGIC, struct.pack("<IQQ", GGUF_VERSION, len(tensors), len(metadata)), metadata.to_bytes()]
    relative, sizes, position = [], [], 0
    seen: set[str] = set()
    for info in tensors:
        name, shape, tensor_type = info
        data = _checked_name(name, seen, long_names)
        size = _checked_size(name, tuple(shape), tensor_type)
        parts.append(struct.pack("<Q", len(data)) + data)
        parts.append(struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape)))
        parts.append(struct.pack("<IQ", tensor_type, position))
        relative.append(position)
        sizes.append(size)
        position = align(position + size, stated)
    header = b"".join(parts)
    if tensors:
        header += bytes(align(len(header), stated) - len(header))
    return Layout(header, [len(header) + offset for offset in relative], sizes, len(header) + position)


def write_gguf(
    path: str | os.PathLike[str],
    metadata: Metadata,
    tensors: Iterable[tuple[Any, ...]],
    *,
    force: bool = False,
    long_names: bool = False,
) -> Layout:
    """Write a GGUF file from tensors at hand, atomically.

    >>> write_gguf("tiny.gguf", metadata, [("x", np.zeros((2, 32), np.float32))])     # doctest: +SKIP

    Args:
        path: the file to make.
        metadata: its key-value pairs; nothing is added.
        tensors: ``(name, data)`` with a numpy array (float32, float16, float64 or int8 to int64, stored as
            such) or a `Source` (its stored bytes are copied, or float32 where it has none); or
            ``(name, data, type, shape)`` with already encoded blocks as uint8 of shape (rows, row bytes).
        force: replace an existing file.
        long_names: see `header_bytes`.

    Returns:
        The layout of the file.

    Raises:
        FormatError: see `header_bytes`.
        QuantizationError: an array's dtype has no tensor type, or blocks do not fit type and shape.
        OutputError: the file exists, a tensor is still to be read from it, or it cannot be written.
    """
    infos, sources, reads = [], [], []
    for name, data, *blocks in tensors:
        info, source = _described(name, data, *blocks)
        infos.append(info)
        sources.append(source)
        if (read := getattr(data, "path", None)) is not None:  # a tensor of another file
            reads.append(read)
    layout = header_bytes(metadata, infos, long_names=long_names)
    with AtomicFile(path, size=layout.total_size, force=force, inputs=Inputs(reads)) as out:
        out.write_at(0, layout.header)
        end = len(layout.header)
        for info, source, offset, size in zip(infos, sources, layout.offsets, layout.sizes, strict=True):
            out.write_at(end, bytes(offset - end))
            _copy(out, info, source, offset)
            end = offset + size
        out.write_at(end, bytes(layout.total_size - end))
    return layout


def _checked_name(name: str, seen: set[str], long_names: bool) -> bytes:
    data = encode_text(name)
    if not data:
        raise FormatError("a tensor's name is empty", tensor=name)
    if len(data) > MAX_NAME_BYTES and not long_names:
        raise FormatError(
            "the tensor's name is too long for llama.cpp",
            tensor=name,
            found=f"{len(data)} bytes",
            expected=f"at most {MAX_NAME_BYTES}",
        )
    if name in seen:
        raise FormatError("two tensors have the same name", tensor=name)
    seen.add(name)
    return data


def _checked_size(name: str, shape: tuple[int, ...], tensor_type: GGMLType) -> int:
    if len(shape) > MAX_DIMS:
        raise FormatError(
            "too many dimensions", tensor=name, found=len(shape), expected=f"at most {MAX_DIMS}"
        )
    if any(size < 0 for size in shape) or prod(size or 1 for size in shape) > MAX_ELEMENTS:
        raise FormatError("the shape is not usable", tensor=name, found=shape)
    try:
        return tensor_bytes(shape, GGMLType(tensor_type))
    except ValueError as error:
        raise FormatError(str(error), tensor=name) from error


def _described(
    name: str, data: Any, tensor_type: GGMLType | None = None, shape: tuple[int, ...] | None = None
) -> tuple[TensorInfo, Source | NDArray[np.uint8]]:
    """A tensor's entry and the rows to write: a source, or uint8 of shape (rows, row bytes)."""
    if tensor_type is None and isinstance(data, Source):
        return TensorInfo(name, tuple(data.shape), data.storage or GGMLType.F32), data
    array = np.asarray(data)
    if tensor_type is None or shape is None:
        stored = _ARRAY_TYPES.get(array.dtype.newbyteorder("="))
        if stored is None:
            raise QuantizationError(
                "arrays of this dtype cannot be stored as they are; pass blocks, type and shape",
                tensor=name,
                found=str(array.dtype),
            )
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        rows = little.reshape(row_count(array.shape), row_length(array.shape)).view(np.uint8)
        return TensorInfo(name, array.shape, stored), rows
    expected = (row_count(shape), row_bytes(tensor_type, row_length(shape)))
    if array.dtype != np.uint8 or array.size != expected[0] * expected[1]:
        raise QuantizationError(
            f"the blocks do not fit {tensor_type.name} of shape {shape}",
            tensor=name,
            found=f"{array.dtype} {array.shape}",
            expected=f"uint8 {expected}",
        )
    return TensorInfo(name, tuple(shape), tensor_type), np.ascontiguousarray(array).reshape(expected)


def _copy(out: AtomicFile, info: TensorInfo, source: Source | NDArray[np.uint8], offset: int) -> None:
    if isinstance(source, np.ndarray):
        out.write_at(offset, source)
        return
    rows, size = row_count(info.shape), row_bytes(info.type, row_length(info.shape))
    step = max(1, _CHUNK // max(size, 1))
    read = source.raw if source.storage is not None else source.rows
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        out.write_at(offset + start * size, np.ascontiguousarray(cast(Any, read(start, stop))))
