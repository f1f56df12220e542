"""What a job will write, to the byte, before it writes anything.

A ``Plan`` is pure data: files with their header bytes and, for every tensor, its place, its type and the
``Source`` its rows come from. All three jobs (safetensors → GGUF, GGUF → GGUF, GGUF → safetensors) are
plans; ``--dry-run`` prints one and ``engine.execute`` carries one out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.closing import Closing
from ..io.input_files import InputFile
from ..source import Source, row_count
from ..spec import GGMLType
from .type_stats import TypeShare, type_shares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..container.metadata import Metadata

__all__ = ["Plan", "PlannedFile", "PlannedTensor"]


def _version() -> str:
    """This package's, which may have learned to do better; it need not be installed."""
    from importlib import metadata

    try:
        return metadata.version("gguf-tools")
    except metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the output.

    ``offset`` is in bytes from the start of the file, ``nbytes`` without padding. ``wanted`` is the
    type the recipe asked for; it differs from ``type`` where the row does not divide into blocks and
    the tensor falls back. ``rule`` says in words why it got this type. ``weights`` are the importances it
    is encoded with, float32 (experts, row length).
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLType
    source: Source
    offset: int
    nbytes: int
    wanted: GGMLType
    rule: str = ""
    weights: NDArray[np.float32] | None = None

    @property
    def parameters(self) -> int:
        return prod(self.shape)

    @property
    def row_bytes(self) -> int:
        return self.nbytes // row_count(self.shape)

    @property
    def fell_back(self) -> bool:
        return self.type != self.wanted

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "type": self.type.name,
            "wanted": self.wanted.name,
            "rule": self.rule,
            "weighted": self.weights is not None,
            "offset": self.offset,
            "bytes": self.nbytes,
        }


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One binary file: its header at byte 0, then the tensors; gaps between them are zeros.

    ``name`` is relative to the output directory, or empty where the output is this one file; shards of a
    GGUF file appear beside where that would be.
    """

    name: str
    header: bytes
    tensors: tuple[PlannedTensor, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Plan(Closing):
    """A whole job. A context manager; closing ends reading of its inputs, and leaves all else as it is.

    Attributes:
        kind: ``"gguf"``, one file or the shards of one; ``"checkpoint"`` or another, one file or a directory.
        source: where it all comes from, in words.
        architecture: ``general.architecture``.
        recipe: what types were chosen by.
        files: the binary files.
        sidecars: small files (name → contents) that go beside them.
        dropped: what is left out (name, reason).
        notes: what the user should know, one sentence each.
        inputs: the open files all rows come from.
        reads: what else is read for it, files and directories by name; no output may replace these or the
            inputs, see `gguf_tools.io.input_guard`.
        metadata: of a GGUF file, as its header has it.
        settings: what else decides the bytes and is seen nowhere above, such as the scale of an adapter.
        together: whether several files get their names when all are complete, the first one last, so that
            nobody takes a part for the whole; otherwise each gets it as soon as it is complete.
    """

    kind: str
    source: str
    architecture: str
    recipe: str
    files: tuple[PlannedFile, ...]
    sidecars: Mapping[str, bytes] = field(default_factory=dict)
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    reads: tuple[str | os.PathLike[str], ...] = ()
    metadata: Metadata | None = None
    settings: tuple[str, ...] = ()
    together: bool = False

    def close(self) -> None:
        """Close the inputs; the plan cannot be carried out afterwards."""
        for file in self.inputs:
            file.close()

    @property
    def is_directory(self) -> bool:
        """Whether the output is a directory that appears as a whole."""
        return self.kind != "gguf" and any(file.name for file in self.files)

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of all that decides the output's bytes.

        The inputs count by name, size and time of their last change: reading them would be half the work.
        """
        import hashlib  # here: most plans are only looked at

        digest = hashlib.sha256()
        about: list[Any] = [_version(), self.kind, sorted(self.sidecars), self.settings]
        about += [[Path(file.path).name, file.size, file.modified] for file in self.inputs]
        for file in self.files:
            about.append([file.name, file.size])
            about += [[t.name, t.shape, t.type, t.source.storage, t.offset] for t in file.tensors]
        digest.update(json.dumps(about).encode())
        for file in self.files:
            digest.update(file.header)
            for tensor in file.tensors:
                if tensor.weights is not None:
                    digest.update(tensor.weights.tobytes())
        for name in sorted(self.sidecars):
            digest.update(self.sidecars[name])
        return digest.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together, exactly."""
        return sum(file.size for file in self.files) + sum(map(len, self.sidecars.values()))

    def tensors(self) -> Iterator[PlannedTensor]:
        """All tensors, in file order."""
        for file in self.files:
            yield from file.tensors

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors())

    @property
    def parameters(self) -> int:
        return sum(tensor.parameters for tensor in self.tensors())

    @property
    def bits_per_weight(self) -> float | None:
        """Tensor bits over parameters, without header and padding."""
        return 8 * self.tensor_bytes / self.parameters if self.parameters else None

    @property
    def fallbacks(self) -> list[PlannedTensor]:
        """Tensors whose rows do not divide into the blocks of the type the recipe wanted."""
        return [tensor for tensor in self.tensors() if tensor.fell_back]

    def types(self) -> list[TypeShare]:
        """Tensors, parameters and bytes per type."""
        return type_shares((t.type.name, t.shape, t.nbytes) for t in self.tensors())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``; the key names are stable."""
        fallbacks = self.fallbacks
        return {
            "kind": self.kind,
            "source": self.source,
            "architecture": self.architecture,
            "type": self.recipe,
            "size": self.size,
            "parameters": self.parameters,
            "tensor_bytes": self.tensor_bytes,
            "bits_per_weight": self.bits_per_weight,
            "types": [share.to_dict() for share in self.types()],
            "fallbacks": {
                "tensors": len(fallbacks),
                "parameters": sum(tensor.parameters for tensor in fallbacks),
                "names": [tensor.name for tensor in fallbacks],
            },
            "dropped": [{"name": name, "reason": reason} for name, reason in self.dropped],
            "notes": list(self.notes),
            "files": [
                {"name": file.name, "size": file.size, "tensors": [t.to_dict() for t in file.tensors]}
                for file in self.files
            ],
            "sidecars": {name: len(contents) for name, contents in self.sidecars.items()},
        }
