"""The header of a safetensors file, checked before anything is believed.

Layout (README of safetensors, "Format"): 8 bytes N, little endian; N bytes of JSON that begin with ``{``
and may end in spaces; then the data. The JSON object maps each tensor's name to its ``dtype``, ``shape``
and ``data_offsets`` [begin, end) counted from the start of the data; ``__metadata__`` maps text to text.
Tensors lie without gaps or overlaps, and the last one ends the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

from ..errors import CheckpointError
from ..io.file_magic import looks_like
from ..spec import MAX_BESIDE_ZERO
from .dtypes import Dtype, dtype_named
from .json_files import parse_object

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_TENSORS",
    "SafetensorsEntry",
    "SafetensorsHeader",
    "header_length",
    "parse_header",
]

MAX_HEADER_BYTES: Final = 25_000_000
"""As huggingface.js. The reference allows 100 MB; the headers of the largest real files are below 2 MB."""

MAX_TENSORS: Final = 100_000
"""Per file. The largest real models have about as many in all, over more than a hundred files."""

_COLONS_PER_TENSOR: Final = 4
"""Name, dtype, shape and data_offsets are each followed by a colon: a bound known before any parsing."""

_MAX_DIMENSION: Final = 1 << 63
_MAX_RANK: Final = 64


@dataclass(frozen=True, slots=True)
class SafetensorsEntry:
    """A tensor as the header describes it; ``offset`` and ``nbytes`` in bytes, from the file's start."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A whole header: ``entries`` by name in the header's order, and ``__metadata__``."""

    entries: dict[str, SafetensorsEntry]
    metadata: dict[str, str]


def header_length(start: bytes, size: int, path: str) -> int:
    """Bytes of JSON, from a file's first bytes (64 are enough to say what it is instead) and its size.

    Raises:
        CheckpointError: the file cannot be safetensors.
    """
    if size < 8:
        raise CheckpointError(
            "too short for a safetensors file", path=path, found=f"{size} bytes", expected="at least 8"
        )
    if start[8:9] != b"{" and (meaning := looks_like(start)):
        raise CheckpointError(f"not a safetensors file; it looks like {meaning}", path=path)
    length = int.from_bytes(start[:8], "little")
    if length > size - 8:
        raise CheckpointError(
            "the header does not fit into the file: truncated, or not safetensors",
            path=path,
            offset=0,
            found=f"a header of {length} bytes",
            expected=f"at most {size - 8}",
        )
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise CheckpointError(
            "unusable header length",
            path=path,
            offset=0,
            found=length,
            expected=f"2 to {MAX_HEADER_BYTES}",
        )
    return length


def parse_header(text: bytes, size: int, path: str) -> SafetensorsHeader:
    """Read the JSON and check it against the file's size.

    Raises:
        CheckpointError: it is not such JSON, or its tensors do not fill the data exactly.
    """
    if not text.startswith(b"{"):
        raise CheckpointError(
            "the header is not a JSON object", path=path, offset=8, found=text[:8], expected="{"
        )
    if text.count(b":") > _COLONS_PER_TENSOR * MAX_TENSORS:
        raise CheckpointError(f"the header describes more than {MAX_TENSORS} tensors", path=path)
    values = parse_object(text, path, strict=True)
    metadata = _metadata(values.pop("__metadata__", None), path)
    begin = 8 + len(text)
    entries = {name: _entry(name, value, begin, path) for name, value in values.items()}
    _check_coverage(list(entries.values()), begin, size, path)
    return SafetensorsHeader(entries, metadata)


def _metadata(value: Any, path: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise CheckpointError("must map text to text", path=path, key="__metadata__")
    return value


def _entry(name: str, value: Any, begin: int, path: str) -> SafetensorsEntry:
    """One tensor's description, checked by itself."""

    def fault(message: str, found: object, expected: object = None) -> CheckpointError:
        return CheckpointError(message, path=path, tensor=name, found=found, expected=expected)

    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise fault("the tensor's name is not valid Unicode", ascii(name)) from None
    if not isinstance(value, dict):
        raise fault("the tensor's description must be an object", type(value).__name__, "an object")
    for key in ("dtype", "shape", "data_offsets"):
        if key not in value:
            raise CheckpointError(
                "the tensor's description lacks a key", path=path, tensor=name, expected=repr(key)
            )
    spelled, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    dtype = dtype_named(spelled) if isinstance(spelled, str) else None
    if dtype is None:
        raise fault("unknown dtype", spelled)
    if not _naturals(shape) or len(shape) > _MAX_RANK:
        raise fault("unusable shape", shape, "a list of numbers from 0 to 2^63")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise fault("unusable data_offsets", offsets, "[begin, end] with 0 <= begin <= end")
    if not all(shape) and prod(extent or 1 for extent in shape) > MAX_BESIDE_ZERO:
        raise fault("unusable shape", shape, f"a product of at most {MAX_BESIDE_ZERO} beside a 0")
    # In Python's integers nothing wraps; the length is bounded by rank and dimension.
    bits = dtype.bits
    for extent in shape:
        bits *= extent
    start, stop = offsets
    if bits != 8 * (stop - start):
        raise fault(
            f"shape {_shown(shape)} of {dtype.name} has another size than data_offsets say",
            f"{stop - start} bytes",
            f"{bits // 8} bytes" if bits % 8 == 0 else f"{bits} bits",
        )
    return SafetensorsEntry(name, dtype, tuple(shape), begin + start, stop - start)


def _naturals(value: Any) -> bool:
    """A list of non-negative integers below 2^63. JSON's true and false are not integers."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < _MAX_DIMENSION for item in value)


def _check_coverage(entries: list[SafetensorsEntry], begin: int, size: int, path: str) -> None:
    """Tensors follow one another without gap or overlap from the header's end to the file's end.

    Raises:
        CheckpointError: naming the first tensor that breaks this.
    """
    position, before = begin, "the header"
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.nbytes)):
        if entry.offset != position:
            overlap = entry.offset < position
            raise CheckpointError(
                f"the tensor overlaps {before}" if overlap else f"a gap between {before} and the tensor",
                path=path,
                tensor=entry.name,
                offset=entry.offset,
                found=f"data_offsets from {entry.offset - begin}",
                expected=f"from {position - begin}",
            )
        position, before = entry.offset + entry.nbytes, f"tensor {_shown(entry.name)}"
        if position > size:
            raise CheckpointError(
                "the tensor's data goes past the end of the file: truncated?",
                path=path,
                tensor=entry.name,
                offset=entry.offset,
                found=f"a file of {size} bytes",
                expected=f"at least {position}",
            )
    if position != size:
        raise CheckpointError(
            "bytes after the last tensor that belong to none",
            path=path,
            offset=position,
            found=f"a file of {size} bytes",
            expected=position,
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
