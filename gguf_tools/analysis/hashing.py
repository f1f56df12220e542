"""Checksums of files and of each tensor in them, and comparison with those taken earlier.

A tensor's checksum is of its bytes as they stand in the file: it stays the same when metadata is edited or
a model split and merged, while the files' do not. Everything is read once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..container.reader import GGUFFile, open_gguf
from ..errors import FormatError, UnsupportedError
from .findings import Finding, error, place, warning

__all__ = ["ALGORITHMS", "Hashes", "compare_hashes", "hash_model", "load_manifest"]

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a file's name."""

ALGORITHMS: Final = {"sha256": 64, "blake3": 64}
"""Hexadecimal digits by algorithm. BLAKE3 needs the ``blake3`` package."""

_CHUNK: Final = 1 << 22
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
    new = _hasher(algorithm)
    files: dict[str, str] = {}
    tensors: dict[str, str] = {}
    with open_gguf(path, check=False) as model:
        shards = model.shards or (model,)
        total, done = model.file_size, 0
        for shard in shards:
            whole = new()
            parts = _Parts(shard)
            for start in range(0, shard.file_size, _CHUNK):
                data = shard.read(start, min(start + _CHUNK, shard.file_size)).data
                whole.update(data)
                parts.feed(start, data, new)
                done += len(data)
                if progress is not None:
                    progress(done, total, shard.path.name)
            files[shard.path.name] = whole.hexdigest()
            tensors |= parts.digests
    return Hashes(algorithm, files, tensors)


class _Parts:
    """Checksums of a file's tensors from its bytes in order."""

    def __init__(self, shard: GGUFFile) -> None:
        places = [
            (tensor.offset, tensor.offset + (tensor.nbytes or 0), name)
            for name, tensor in shard.tensors.items()
            if tensor.nbytes is not None and tensor.offset + tensor.nbytes <= shard.file_size
        ]
        self._places = sorted(places)
        self._open: dict[str, Any] = {}
        self.digests: dict[str, str] = {}

    def feed(self, start: int, data: memoryview, new: Callable[[], Any]) -> None:
        """The next bytes, which stand at ``start`` of the file."""
        stop = start + len(data)
        later = []
        for first, last, name in self._places:
            if first >= stop and last > first:
                later.append((first, last, name))
                continue
            hasher = self._open.get(name) or self._open.setdefault(name, new())
            hasher.update(data[max(first - start, 0) : max(last - start, 0)])
            if last <= stop:
                self.digests[name] = hasher.hexdigest()
                del self._open[name]
            else:
                later.append((first, last, name))
        self._places = later


def load_manifest(path: str | os.PathLike[str]) -> Hashes:
    """Checksums taken earlier: what ``verify --hash --json`` printed, or lines as ``sha256sum`` writes them.

    Raises:
        FormatError: the file cannot be read or is neither.
    """
    try:
        if os.stat(path).st_size > _MAX_MANIFEST:
            raise FormatError("too large for a manifest", path=path)
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise FormatError(f"cannot read the manifest: {fault}", path=path) from fault
    if text.lstrip().startswith("{"):
        return _from_json(text, path)
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


def _from_json(text: str, path: str | os.PathLike[str]) -> Hashes:
    try:
        document = json.loads(text)
        document = document.get("hashes", document)
        algorithm, files, tensors = document["algorithm"], document["files"], document["tensors"]
        sound = algorithm in ALGORITHMS and all(
            isinstance(name, str) and isinstance(digest, str)
            for part in (files, tensors)
            for name, digest in part.items()
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as fault:
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
