"""Importance matrices: how much each column of a matrix matters, measured on a calibration text.

For a matrix multiplication the importance of a column is the mean of the squared activations it meets.
llama.cpp's ``llama-imatrix`` writes such files; both of its formats are read:

- GGUF: for a tensor NAME the F32 tensors ``NAME.in_sum2`` (sums of squares, one row per expert) and
  ``NAME.counts`` (tokens per expert); the keys ``imatrix.datasets``, ``imatrix.chunk_count``.
- the old binary one, little endian: int32 number of entries; for each int32 length, name, int32 calls,
  int32 number of values, that many float32 (already means times calls); then, perhaps, int32 chunks,
  int32 length, and the dataset's name.

From ``common_imatrix_load`` (common/imatrix-loader.cpp) and ``load_imatrix`` (tools/quantize) of b11434.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from ..container.metadata import Array
from ..container.opening import open_gguf
from ..errors import FormatError, QuantizationError
from ..io.input_files import InputFile, LocalFile
from ..source import row_length
from ..spec import GGMLType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..container.reader import GGUFFile

__all__ = ["ImatrixEntry", "ImportanceMatrix", "load_importance"]

_MAX_ENTRIES: Final = 1 << 20
_MAX_NAME: Final = 1 << 10
_MAX_DATASET: Final = 1 << 16
_MAX_VALUES: Final = 1 << 28
"""Bytes of one entry's values. The widest real ones, of 384 experts of 7168 columns, take 11 MB."""
_SUMS: Final = ".in_sum2"
_COUNTS: Final = ".counts"


@dataclass(frozen=True, slots=True)
class ImatrixEntry:
    """Importances of one tensor.

    Attributes:
        values: float32 of any shape; experts one after the other.
        unseen: numbers of the experts no token went to, whose columns all weigh 1.
    """

    values: NDArray[np.float32]
    unseen: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportanceMatrix:
    """A whole file.

    Attributes:
        path: of the file.
        entries: by name of the tensor.
        datasets: names of the calibration texts.
        chunks: pieces of text it was computed on; 0 where the file does not say.
    """

    path: str
    entries: dict[str, ImatrixEntry]
    datasets: tuple[str, ...] = ()
    chunks: int = 0

    def weights(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Importances for a tensor: float32 of shape (experts, row length), or None where there are none.

        Raises:
            QuantizationError: there are some, of another number than the tensor's columns.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        row = row_length(shape)
        experts = prod(shape[:-2])
        if entry.values.size != experts * row:
            raise QuantizationError(
                "the importance matrix does not fit the tensor: it belongs to another model",
                path=self.path,
                tensor=name,
                found=f"{entry.values.size} values",
                expected=f"{experts * row}",
            )
        return entry.values.reshape(experts, row)


def load_importance(path: str | os.PathLike[str]) -> ImportanceMatrix:
    """Read an importance matrix of either format.

    Raises:
        FormatError: the file is missing, neither format, cut off, or holds values that are not finite.
    """
    file = LocalFile(path, FormatError)
    try:
        start = file.read(0, min(4, file.size)).tobytes()
        if start == b"GGUF":
            with open_gguf(path) as gguf:
                found = _from_gguf(gguf)
        else:
            found = _from_binary(file)
    finally:
        file.close()
    for name, entry in found.entries.items():
        if not np.isfinite(entry.values).all():
            raise FormatError("an importance is not a finite number", path=found.path, tensor=name)
        if (entry.values < 0).any():
            raise FormatError("an importance is negative", path=found.path, tensor=name)
    return found


def _from_gguf(file: GGUFFile) -> ImportanceMatrix:
    sums = {name.removesuffix(_SUMS): t for name, t in file.tensors.items() if name.endswith(_SUMS)}
    counts = {name.removesuffix(_COUNTS): t for name, t in file.tensors.items() if name.endswith(_COUNTS)}
    path = os.fspath(file.path)
    if not sums:
        raise FormatError("is not an importance matrix: no tensor is called ….in_sum2", path=path)
    lone = sorted(sums.keys() ^ counts.keys())
    if lone:
        raise FormatError("has sums without counts, or counts without sums", path=path, found=", ".join(lone))
    entries = {}
    for name, stored in sums.items():
        for tensor in (stored, counts[name]):
            if tensor.type is not GGMLType.F32:
                raise FormatError(
                    "must be F32", path=path, tensor=tensor.name, found=tensor.type_name, expected="F32"
                )
        values = stored.dequantize()
        seen = np.rint(counts[name].dequantize().reshape(-1)).astype(np.float32)
        if not np.isfinite(seen).all():
            raise FormatError("a count is not a finite number", path=path, tensor=name)
        if values.size == 0 or seen.size == 0 or values.size % seen.size:
            raise FormatError(
                "the counts do not fit the sums",
                path=path,
                tensor=name,
                found=f"{seen.size} counts",
                expected=f"a divisor of {values.size}",
            )
        rows = values.reshape(seen.size, -1)
        none = seen <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(none[:, None], np.float32(1), rows / seen[:, None])
        entries[name] = ImatrixEntry(means, tuple(np.flatnonzero(none).tolist()))
    datasets = file.metadata.get("imatrix.datasets")
    chunks = file.metadata.get("imatrix.chunk_count")
    return ImportanceMatrix(
        path,
        entries,
        tuple(map(str, datasets)) if isinstance(datasets, Array) else (),
        chunks if isinstance(chunks, int) else 0,
    )


def _from_binary(file: InputFile) -> ImportanceMatrix:
    reader = _Binary(file)
    count = reader.number()
    if not 0 < count <= _MAX_ENTRIES:
        raise FormatError("is not an importance matrix: number of entries", path=file.path, found=count)
    entries: dict[str, ImatrixEntry] = {}
    for _ in range(count):
        name = reader.take(reader.number(), _MAX_NAME, "length of a name").decode("utf-8", "surrogateescape")
        calls = reader.number()
        data = reader.take(4 * reader.number(), _MAX_VALUES, "number of values")
        values = np.frombuffer(data, "<f4").astype(np.float32)
        if "\0" in name or not values.size:
            raise FormatError("an entry is unusable", path=file.path, offset=reader.position, tensor=name)
        if name in entries:
            raise FormatError("an entry occurs twice", path=file.path, offset=reader.position, tensor=name)
        entries[name] = ImatrixEntry(values / np.float32(calls) if calls > 0 else values)
    chunks = 0 if reader.at_end else reader.number()
    datasets: tuple[str, ...] = ()
    if not reader.at_end:
        text = reader.take(reader.number(), _MAX_DATASET, "length of the dataset's name")
        datasets = (text.decode("utf-8", "replace"),)
    return ImportanceMatrix(file.path, entries, datasets, max(chunks, 0))


class _Binary:
    """A file of the old format, read piece by piece: what it claims to hold is never taken on trust."""

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= self._file.size

    def number(self) -> int:
        if self.position + 4 > self._file.size:
            raise FormatError("is cut off", path=self._file.path, offset=self.position)
        value: int = struct.unpack("<i", self._next(4))[0]
        return value

    def take(self, count: int, most: int, what: str) -> bytes:
        most = min(most, self._file.size - self.position)
        if not 0 <= count <= most:
            raise FormatError(
                f"is not an importance matrix, or cut off: {what}",
                path=self._file.path,
                offset=self.position,
                found=count,
                expected=f"at most {most}",
            )
        return self._next(count)

    def _next(self, count: int) -> bytes:
        data = self._file.read(self.position, count).tobytes()
        self.position += count
        return data
