"""Checksums of files and of each tensor in them, and comparison with those taken earlier.

A tensor's checksum is of its bytes as they stand in the file: it stays the same when metadata is edited or
a model split and merged, while the files' do not. Everything is read once, and files and tensors are hashed
side by side.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..checkpoint.json_files import parse_object
from ..container.opening import open_gguf
from ..errors import CheckpointError, FormatError, GGUFToolsError, UnsupportedError
from ..inspection.scan import Chunk, Consumer, Progress, scan
from ..io.input_files import read_small
from .findings import Finding, error, place, warning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ALGORITHMS", "Hashes", "Hashing", "compare_hashes", "hash_model", "load_manifest"]

ALGORITHMS: Final = {"sha256": 64, "blake3": 64}
"""Hexadecimal digits by algorithm. BLAKE3 needs the ``blake3`` package."""

_MAX_MANIFEST: Final = 1 << 28
_LINE: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


@dataclass(frozen=True, slots=True)
class Hashes:
    """Checksums of a model.

    Attributes:
        algorithm: "sha256" or "blake3".
        files: of every file, by its name.
        tensors: of every tensor; empty in manifests that have none, such as those of ``sha256sum``.
    """

    algorithm: str
    files: Mapping[str, str]
    tensors: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which `load_manifest` reads."""
        return {"algorithm": self.algorithm, "files": dict(self.files), "tensors": dict(self.tensors)}


def hash_model(
    path: str | os.PathLike[str], algorithm: str = "sha256", *, progress: Progress | None = None
) -> Hashes:
    """Checksums of a GGUF file, or of all files of a split model, and of their tensors.

    Raises:
        UnsupportedError: the algorithm is unknown, or its package is not installed.
        FormatError: the file is not well formed enough to find its tensors.
    """
    hashing = Hashing(algorithm)
    with open_gguf(path, check=False) as model:
        scan(model.shards or (model,), hashing.consumers, progress)
    return hashing.result()


class Hashing:
    """Checksums in the making, from a `scan` that somebody else may take part in.

    Attributes:
        consumers: to be given to `scan`.

    Raises:
        UnsupportedError: the algorithm is unknown, or its package is not installed.
    """

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        new = _hasher(algorithm)
        self._files, self._tensors = _FileHashes(new), _TensorHashes(new)
        self.consumers: tuple[Consumer, ...] = (self._files, self._tensors)

    def result(self) -> Hashes:
        """The checksums, when the scan is done.

        Raises:
            GGUFToolsError: something could not be read.
        """
        if self._files.fault is not None:
            raise self._files.fault
        files = {name: hasher.hexdigest() for name, hasher in self._files.hashers.items()}
        return Hashes(self._algorithm, files, self._tensors.digests)


class _FileHashes:
    """A checksum of every file, from all of its pieces in order."""

    ordered = True

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self.hashers: dict[str, Any] = {}
        self.fault: GGUFToolsError | None = None

    def wants(self, piece: Chunk) -> bool:
        return True

    def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
        name = piece.shard.path.name
        if name not in self.hashers:
            self.hashers[name] = self._new()
        self.hashers[name].update(data[piece.fresh - piece.start :].data)

    def miss(self, piece: Chunk, fault: GGUFToolsError) -> None:
        self.fault = fault


class _TensorHashes:
    """A checksum of every tensor."""

    ordered = True

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self._open: dict[str, Any] = {}
        self.digests: dict[str, str] = {}

    def wants(self, piece: Chunk) -> bool:
        return piece.tensor is not None

    def take(self, piece: Chunk, data: NDArray[np.uint8]) -> None:
        assert piece.tensor is not None
        name = piece.tensor.name
        hasher = self._open.pop(name, None) or self._new()
        hasher.update(data.data)
        if piece.stop < piece.tensor.offset + (piece.tensor.nbytes or 0):
            self._open[name] = hasher
        else:
            self.digests[name] = hasher.hexdigest()

    def miss(self, piece: Chunk, fault: GGUFToolsError) -> None:
        """The file's checksum is missing, too, and says why."""


def load_manifest(path: str | os.PathLike[str]) -> Hashes:
    """Checksums taken earlier: what ``verify --hash --json`` printed, or lines as ``sha256sum`` writes them.

    Raises:
        FormatError: the file cannot be read or is neither.
    """
    data = read_small(path, _MAX_MANIFEST, FormatError)
    if data.lstrip().startswith(b"{"):
        return _from_json(data, path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise FormatError("the manifest is not UTF-8 text", path=path, offset=fault.start) from fault
    files = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise FormatError(f"line {number} of the manifest is not a checksum and a name", path=path)
        files[Path(match[2]).name] = match[1].lower()
    if not files:
        raise FormatError("the manifest is empty", path=path)
    return Hashes("sha256", files, {})


def compare_hashes(found: Hashes, expected: Hashes) -> Iterator[Finding]:
    """What is not as the manifest says.

    Raises:
        UnsupportedError: it is of another algorithm.
    """
    if found.algorithm != expected.algorithm:
        raise UnsupportedError(
            "the manifest is of another algorithm", found=expected.algorithm, expected=found.algorithm
        )
    for name, digest in found.files.items():
        stated = expected.files.get(name)
        if stated is None:
            yield warning("not-in-manifest", place(Path(name)), "the manifest does not list this file")
        elif stated != digest:
            yield _mismatch(place(Path(name)), digest, stated)
    for name, stated in expected.tensors.items():
        if name not in found.tensors:
            yield error("hash-mismatch", place(tensor=name), "in the manifest, but not in the file")
        elif found.tensors[name] != stated:
            yield _mismatch(place(tensor=name), found.tensors[name], stated)
    if expected.tensors:
        for name in found.tensors:
            if name not in expected.tensors:
                yield warning("not-in-manifest", place(tensor=name), "the manifest does not list this tensor")


def _mismatch(where: str, digest: str, stated: str) -> Finding:
    return error("hash-mismatch", where, f"the checksum is {digest}, expected {stated}")


def _from_json(data: bytes, path: str | os.PathLike[str]) -> Hashes:
    try:
        document = parse_object(data, os.fspath(path), strict=False)
    except CheckpointError as fault:
        raise FormatError(f"not a manifest: {fault.message}", path=path, offset=fault.offset) from fault
    try:
        document = document.get("hashes", document)
        algorithm, files, tensors = document["algorithm"], document["files"], document["tensors"]
        sound = algorithm in ALGORITHMS and all(
            isinstance(name, str) and isinstance(digest, str)
            for part in (files, tensors)
            for name, digest in part.items()
        )
    except (KeyError, AttributeError, TypeError) as fault:
        raise FormatError("not a manifest: it has no checksums", path=path) from fault
    if not sound:
        raise FormatError("not a manifest: its checksums are unusable", path=path)
    return Hashes(algorithm, files, tensors)


def _hasher(algorithm: str) -> Callable[[], Any]:
    if algorithm == "sha256":
        return hashlib.sha256
    if algorithm != "blake3":
        raise UnsupportedError("unknown algorithm", found=algorithm, expected=", ".join(ALGORITHMS))
    try:
        from blake3 import blake3
    except ImportError as fault:
        raise UnsupportedError("BLAKE3 needs another package: pip install blake3") from fault
    return lambda: blake3()
