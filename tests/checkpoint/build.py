"""Safetensors files and checkpoints made byte by byte, without any of the package's code."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def framed(text: str | bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with this header text, whatever it is; ``length`` may lie about it."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def described(dtype: Any, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(header: Mapping[str, Any], data: bytes = b"") -> bytes:
    return framed(json.dumps(header), data)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def tensors(**values: list[float]) -> bytes:
    """A well-formed file of one-dimensional F32 tensors, in the given order."""
    header, data = {}, b""
    for name, numbers in values.items():
        blob = floats(*numbers)
        header[name] = described("F32", [len(numbers)], len(data), len(data) + len(blob))
        data += blob
    return file_of(header, data)


def small() -> bytes:
    """A small well-formed file: two dtypes, a scalar, an empty tensor, metadata, padding."""
    header = {
        "__metadata__": {"format": "pt"},
        "b": described("F32", [2, 2], 0, 16),
        "a": described("BF16", [3], 16, 22),
        "scalar": described("F16", [], 22, 24),
        "empty": described("F32", [0, 7], 24, 24),
    }
    text = json.dumps(header)
    data = floats(1, 2, 3, 4) + struct.pack("<3H", 0x3F80, 0xC000, 0x7FC0) + struct.pack("<e", 0.5)
    return framed(text + " " * (-len(text) % 8), data)


def directory(path: Path, files: Mapping[str, bytes], *, config: Any = None) -> Path:
    """Write files and a config.json into ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (path / name).write_bytes(contents)
    (path / "config.json").write_text(json.dumps({"architectures": ["X"]} if config is None else config))
    return path


def index(weight_map: Any, total_size: int = 0) -> bytes:
    return json.dumps({"metadata": {"total_size": total_size}, "weight_map": weight_map}).encode()
