"""What a GGUF file says, as plain JSON values: the form the goldens are kept in.

It reads with the ``gguf`` package, so that our reader is not judged by itself.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INLINE_ELEMENTS = 16
"""Arrays up to this length are kept as they are, longer ones as a checksum."""

Value = list[Any]
"""[type name, value] of a scalar, or ["ARRAY", element type, length, values or sha256]."""


@dataclass(frozen=True)
class TensorFacts:
    """One tensor: type name, shape in numpy's order, SHA-256 of its bytes."""

    type: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Description:
    """A whole file; both dictionaries are in the file's order. ``sha256`` is of all its bytes."""

    metadata: dict[str, Value]
    tensors: dict[str, TensorFacts]
    sha256: str


def describe(path: Path) -> Description:
    """Metadata with value types, and tensors with checksums."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    metadata = {name: _value(field) for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    tensors = {
        tensor.name: TensorFacts(
            tensor.tensor_type.name,
            ggml_shape(tuple(int(size) for size in reversed(tensor.shape))),
            hashlib.sha256(tensor.data.tobytes()).hexdigest(),
        )
        for tensor in reader.tensors
    }
    return Description(metadata, tensors, hashlib.sha256(path.read_bytes()).hexdigest())


def ggml_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without leading dimensions of one, which the converter writes and the quantizer does not."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _value(field: Any) -> Value:
    kind = field.types[0].name
    if kind != "ARRAY":
        return [kind, _decoded(kind, field.parts[field.data[0]])]
    element = field.types[-1].name
    parts = [field.parts[index] for index in field.data]
    if len(parts) <= INLINE_ELEMENTS:
        return [kind, element, len(parts), [_decoded(element, part) for part in parts]]
    digest = hashlib.sha256()
    for part in parts:
        raw = part.tobytes()
        if element == "STRING":
            digest.update(struct.pack("<Q", len(raw)))
        digest.update(raw)
    return [kind, element, len(parts), digest.hexdigest()]


def _decoded(kind: str, part: Any) -> Any:
    if kind == "STRING":
        return part.tobytes().decode("utf-8", "surrogateescape")
    return part[0].item()
