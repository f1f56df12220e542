"""Safetensors files as row sources, read chunk by chunk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import CheckpointError, UnsupportedError
from ..io.closing import Closing
from ..io.remote import locate, open_input
from ..source import SelfContained, row_count, row_length
from ..spec import GGMLType
from .header import SafetensorsEntry, header_length, parse_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..io.input_files import InputFile
    from .dtypes import ToFloat

__all__ = ["SafetensorsFile", "SafetensorsTensor"]


class Readable(Protocol):
    """What tensors read from: an `InputFile`, or what looks like one."""

    path: str

    def read(self, offset: int, count: int, tensor: str | None = None) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``; ``tensor`` is for the error."""

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """``times`` runs of ``count`` bytes, ``step`` apart: uint8 (times, count)."""


class SafetensorsTensor(SelfContained):
    """One tensor of a file; a `Source` whose rows are read when asked for.

    Attributes:
        name: in the checkpoint.
        shape: dimensions, slowest first.
        dtype: as the header spells it, such as ``"BF16"``.
        offset: of its first byte in the file.
        nbytes: of its data.
    """

    def __init__(self, file: Readable, entry: SafetensorsEntry) -> None:
        self._file = file
        self._dtype = entry.dtype
        self._shape = entry.shape
        self.name = entry.name
        self.dtype = entry.dtype.name
        self.offset = entry.offset
        self.nbytes = entry.nbytes

    def __repr__(self) -> str:
        return f"SafetensorsTensor({self.name!r}, {self.dtype}, {self.shape})"

    @property
    def path(self) -> str:
        """The file it is in."""
        return self._file.path

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def storage(self) -> GGMLType | None:
        """The tensor type with the same bytes; None for unsigned integers, bools and the packed kinds."""
        return self._dtype.storage

    @property
    def readable(self) -> bool:
        """Whether `rows` can give the values; see `require_readable`."""
        return self._dtype.decode is not None

    def require_readable(self) -> None:
        """Say before any work that `rows` would fail.

        Raises:
            UnsupportedError: the dtype is one of those that cannot be decoded.
        """
        self._decoder()

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to ``stop`` as float32 of shape (rows, row length).

        Integers beyond 2^24 and F64 are rounded; F64 beyond float32's range becomes infinite.

        Raises:
            UnsupportedError: the dtype cannot be decoded.
            CheckpointError: there are no such rows, or the file cannot be read any more.
        """
        values = self._decoder()(self._stored(start, stop))
        return values.reshape(stop - start, row_length(self._shape))

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The same rows as stored: uint8 of shape (rows, row bytes). For any dtype of whole bytes.

        Raises:
            CheckpointError: there are no such rows, or the file cannot be read any more.
        """
        return self._stored(start, stop).reshape(stop - start, self._row_bytes())

    def decoded(self, data: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Bytes of this tensor as float32, flat.

        Raises:
            UnsupportedError: the dtype cannot be decoded.
        """
        return self._decoder()(data)

    def band(self, start: int, stop: int, first: int = 0, last: int | None = None) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``stop`` of each of some rows: uint8 of shape (rows, stop − start).

        For matrices that are stored the other way round. One read per row, or a single one of whole rows.

        Args:
            start: of the bytes of a row.
            stop: of them.
            first: of the rows.
            last: of them; by default the end.

        Raises:
            CheckpointError: there are no such bytes or rows, or the file cannot be read any more.
        """
        size, last = self._row_bytes(), row_count(self._shape) if last is None else last
        if (start, stop) == (0, size):
            return self.raw(first, last)
        if not 0 <= start <= stop <= size:
            raise CheckpointError(
                "no such bytes", path=self.path, tensor=self.name, found=f"{start} to {stop}", expected=size
            )
        self._require_rows(first, last)
        at = self.offset + first * size + start
        return self._file.read_strided(at, stop - start, size, last - first, self.name)

    def _decoder(self) -> ToFloat:
        decode = self._dtype.decode
        if decode is None:
            raise UnsupportedError(
                f"cannot read values of dtype {self.dtype}", path=self.path, tensor=self.name
            )
        return decode

    def _row_bytes(self) -> int:
        bits = row_length(self._shape) * self._dtype.bits
        if bits % 8:
            raise UnsupportedError(
                f"rows of dtype {self.dtype} are not whole bytes", path=self.path, tensor=self.name
            )
        return bits // 8

    def _stored(self, start: int, stop: int) -> NDArray[np.uint8]:
        self._require_rows(start, stop)
        size = self._row_bytes()
        return self._file.read(self.offset + start * size, (stop - start) * size, self.name)

    def _require_rows(self, start: int, stop: int) -> None:
        rows = row_count(self._shape)
        if not 0 <= start <= stop <= rows:
            raise CheckpointError(
                "no such rows",
                path=self.path,
                tensor=self.name,
                found=f"{start} to {stop}",
                expected=f"0 to {rows}",
            )


class SafetensorsFile(Closing):
    """An open safetensors file: its tensors by name, in the order of names, and its metadata.

    That is the order in which the safetensors package and llama.cpp's converter see them, whatever the
    header's order; tensors of a converted model follow it. A context manager.

    Raises:
        CheckpointError: the file is missing or not well formed; see `gguf_tools.checkpoint.header`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = locate(path)
        self._file = open_input(path, CheckpointError)
        try:
            size, name = self._file.size, self._file.path
            length = header_length(self._file.read(0, min(size, 64)).tobytes(), size, name)
            header = parse_header(self._file.read(8, length).tobytes(), size, name)
        except BaseException:
            self._file.close()
            raise
        self.size = size
        self.metadata = header.metadata
        self.tensors = {
            name: SafetensorsTensor(self._file, header.entries[name]) for name in sorted(header.entries)
        }

    @property
    def input(self) -> InputFile:
        """The file itself."""
        return self._file

    def close(self) -> None:
        """Close the file; reading tensors fails afterwards."""
        self._file.close()
