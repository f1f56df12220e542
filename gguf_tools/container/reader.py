"""Reading GGUF files lazily.

Opening walks the header: a few milliseconds even for a vocabulary of 262,144
tokens, because nothing is decoded until it is asked for. Tensor data is read chunk by chunk with
``pread``: memory stays bounded by what is in flight (pages of a mapping would count as the process's
own), the GIL is free while the disk works, and a file that shrinks meanwhile is an error, not a crash.

Files of versions 1 to 3 are read, of both byte orders, and models split over several files.

A dimension of 0 makes an empty tensor of no bytes and no dimensions at all a scalar, as in llama.cpp. An
unknown tensor type fails only when that tensor is decoded. The other policies are in the docstring of
`gguf_tools.container.header`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Final

from ..errors import FormatError, QuantizationError, UnsupportedError
from ..io.closing import Closing
from ..io.remote import is_url, locate, open_input
from ..source import SelfContained, row_count, row_length
from ..spec import BLOCK_SIZES, ByteOrder, GGMLType, row_bytes
from .header import Header, layout_faults, parse_header
from .journal import check_no_journal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..io.atomic_files import AtomicFile
    from ..io.input_files import InputFile
    from ..io.remote import Location
    from .metadata import Metadata

__all__ = ["GGUFFile", "Tensor", "check_layout", "is_split", "open_one", "type_name"]

_CHUNK_BYTES: Final = 1 << 24
"""`Tensor.dequantize` decodes this much float32 at once, so that its peak is little more than its result."""

_REMOVED: Final = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
"""Types ggml once had; their ids are never used again."""


_located = lru_cache(locate)
"""Thousands of tensors are in the same few files."""


def type_name(tensor_type: GGMLType | int) -> str:
    """A tensor type's name: ``Q4_K``; ``removed Q4_2 (4)`` or ``unknown (99)`` for ids without a decoder."""
    if isinstance(tensor_type, GGMLType):
        return tensor_type.name
    if tensor_type in _REMOVED:
        return f"removed {_REMOVED[tensor_type]} ({tensor_type})"
    return f"unknown ({tensor_type})"


class Tensor(SelfContained):
    """One tensor of an open file; a `gguf_tools.source.Source`.

    Attributes:
        name: as stored.
        shape: numpy's order (slowest dimension first); ``()`` for a scalar.
        type: the stored type, or its number where it is unknown.
        offset: of its data from the start of its file, in bytes.
        nbytes: its data's size, or None where the type is unknown.
        path: the file it is in, which for a split model may not be the one that was opened.
        byte_order: of that file.
    """

    __slots__ = ("_file", "byte_order", "name", "nbytes", "offset", "shape", "type")

    def __init__(
        self,
        file: InputFile,
        name: str,
        shape: tuple[int, ...],
        tensor_type: GGMLType | int,
        offset: int,
        nbytes: int | None,
        byte_order: ByteOrder,
    ) -> None:
        self._file = file
        self.name = name
        self.shape = shape
        self.type = tensor_type
        self.offset = offset
        self.nbytes = nbytes
        self.byte_order = byte_order

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.shape}, {self.type_name})"

    @property
    def path(self) -> Path | Location:
        return _located(self._file.path)

    @property
    def type_name(self) -> str:
        """The type's name; see `type_name`."""
        return type_name(self.type)

    @property
    def storage(self) -> GGMLType | None:
        """The stored type, or None where it is unknown."""
        return self.type if isinstance(self.type, GGMLType) else None

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows ``start`` to ``stop`` as stored: uint8 of shape (rows, row bytes).

        Those of a big-endian file are turned around, so that the result is little endian for every file.

        Raises:
            UnsupportedError: the tensor's type is unknown.
            QuantizationError: there are no such rows.
            FormatError: the file ends before, or has been closed.
        """
        kind = self._known()
        rows = row_count(self.shape)
        if not 0 <= start <= stop <= rows:
            raise self._no_such("rows", start, stop, rows)
        try:
            size = row_bytes(kind, row_length(self.shape))
        except ValueError as error:
            raise FormatError(str(error), path=self._file.path, tensor=self.name) from error
        return self._stored(kind, start * size, stop * size).reshape(stop - start, size)

    def blocks(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Blocks ``start`` to ``stop`` of the whole tensor, as `raw` has them: uint8 (blocks, block bytes).

        Raises as `raw` does.
        """
        kind = self._known()
        size = BLOCK_SIZES[kind].bytes
        count = (self.nbytes or 0) // size
        if not 0 <= start <= stop <= count:
            raise self._no_such("blocks", start, stop, count)
        return self._stored(kind, start * size, stop * size).reshape(stop - start, size)

    def copy_to(self, output: AtomicFile, offset: int, start: int, stop: int) -> None:
        """Copy bytes ``start`` to ``stop`` of the data, whole blocks, to ``offset`` of a file being written.

        Little endian, as `stored` has them.

        Raises:
            UnsupportedError: the tensor's type is unknown.
            FormatError: the file ends before, or has been closed.
            OutputError: the output cannot be written.
        """
        if self.byte_order == "little":
            self._file.copy_to(output, offset, self.offset + start, self.offset + stop, self.name)
        else:
            output.write_at(offset, self.stored(start, stop))

    def stored(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``stop`` of the data, whole blocks, as little endian. Raises as `raw` does."""
        return self._stored(self._known(), start, stop)

    def _stored(self, kind: GGMLType, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``stop`` of the data, whole blocks, as little endian."""
        data = self._file.read(self.offset + start, stop - start, self.name)
        if self.byte_order == "little":
            return data
        from .block_fields import swap_blocks

        return swap_blocks(data, kind)

    def _no_such(self, what: str, start: int, stop: int, count: int) -> QuantizationError:
        return QuantizationError(
            f"no such {what}",
            path=self._file.path,
            tensor=self.name,
            found=f"{start} to {stop}",
            expected=f"0 to {count}",
        )

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to ``stop`` decoded to float32, shape (rows, row length).

        Raises:
            UnsupportedError: the type is unknown.
            QuantizationError: there are no such rows.
            FormatError: the file ends before, or has been closed.
        """
        from ..quants import decode_rows

        kind = self._known()
        return decode_rows(self.raw(start, stop), kind, row_length(self.shape))

    def dequantize(self) -> NDArray[np.float32]:
        """The whole tensor as float32 of its shape. Raises as `rows` does."""
        import numpy as np

        self._known()
        if prod(self.shape) and self.nbytes is not None and self.offset + self.nbytes > self._file.size:
            # Before an array is allocated for data that is not there.
            raise FormatError(
                "the tensor's data goes past the end of the file",
                path=self._file.path,
                tensor=self.name,
                offset=self.offset,
                found=f"{self._file.size} bytes in the file",
                expected=f"at least {self.offset + self.nbytes}",
            )
        rows, length = row_count(self.shape), row_length(self.shape)
        result = np.empty((rows, length), np.float32)
        step = max(1, _CHUNK_BYTES // max(4 * length, 1))
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            result[start:stop] = self.rows(start, stop)
        return result.reshape(self.shape)

    def _known(self) -> GGMLType:
        if not isinstance(self.type, GGMLType):
            raise UnsupportedError(
                f"the tensor's type is {self.type_name}; its data cannot be decoded",
                path=self._file.path,
                tensor=self.name,
            )
        return self.type


class GGUFFile(Closing):
    """An open GGUF file, or all files of a split model as one.

    A context manager. Closing ends reading of tensors; metadata stays usable, of headers up to 64 MiB.

    Attributes:
        path: what was opened: a `pathlib.Path`, or where a URL leads.
        version: of the format, 1 to 3.
        byte_order: "little" or "big".
        alignment: of tensor data, in bytes.
        metadata: the key-value pairs (of a split model: the first shard's, without its ``split.*`` keys).
        tensors: by name, in the file's order.
        data_offset: where tensor data starts (in the first shard).
        file_size: in bytes (of all shards together).
        shards: the files of a split model in order, each opened by itself; empty otherwise.
        header: the parsed header (of the first shard).
    """

    def __init__(
        self,
        path: Path | Location,
        header: Header,
        metadata: Metadata,
        tensors: dict[str, Tensor],
        file: InputFile | None,
        shards: tuple[GGUFFile, ...] = (),
    ) -> None:
        self.path = path
        self.header = header
        self.metadata = metadata
        self.tensors = tensors
        self.shards = shards
        self._file = file
        self.version = header.version
        self.byte_order: ByteOrder = header.wire.order
        self.alignment = header.alignment
        self.data_offset = header.data_offset
        self.file_size: int = sum(shard.file_size for shard in shards) if shards else header.wire.size

    def __repr__(self) -> str:
        return f"GGUFFile({str(self.path)!r}, {len(self.metadata)} keys, {len(self.tensors)} tensors)"

    @property
    def inputs(self) -> tuple[InputFile, ...]:
        """The files themselves."""
        files = self.shards or (self,)
        return tuple(file._file for file in files if file._file is not None)

    def copy_to(self, output: AtomicFile, offset: int, start: int, stop: int) -> None:
        """Copy bytes ``start`` to ``stop`` of the (unsplit) file to ``offset`` of one being written.

        Raises:
            FormatError: the file ends before, or has been closed.
            OutputError: the output cannot be written.
        """
        assert self._file is not None
        self._file.copy_to(output, offset, start, stop)

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``stop`` of the (unsplit) file. Raises as `copy_to` does."""
        assert self._file is not None
        return self._file.read(start, stop - start)

    def close(self) -> None:
        """Close the file or files; reading tensors fails afterwards."""
        if self._file is not None:
            self._file.close()
        for shard in self.shards:
            shard.close()


def check_layout(file: GGUFFile) -> None:
    """Raise the first of a file's `layout_faults`, if there is one."""
    for fault in layout_faults(file.header):
        raise fault.error


def open_one(path: str | os.PathLike[str], *, alignment: int | None = None) -> GGUFFile:
    """Open one file, by itself and unchecked. ``alignment`` is what applies where the file does not say."""
    file = open_input(path, FormatError)
    try:
        if not is_url(path):
            check_no_journal(path, file.inode)
        pages = file.pages()
        header = parse_header(pages, file.path, alignment=alignment)
        pages.keep(header.end)
        file.require_unchanged()
    except BaseException:
        file.close()
        raise
    tensors: dict[str, Tensor] = {}
    for entry in header.entries:
        offset = header.data_offset + entry.relative
        tensor = Tensor(file, entry.name, entry.shape, entry.type, offset, entry.nbytes, header.wire.order)
        tensors.setdefault(entry.name, tensor)
    return GGUFFile(locate(path), header, header.metadata, tensors, file)


def is_split(file: GGUFFile) -> bool:
    """Whether the file says it is one of several. (llama.cpp's merge leaves a count of 0.)"""
    count: Any = file.metadata.get("split.count")
    return isinstance(count, int) and not isinstance(count, bool) and count > 1
