"""Parsing a GGUF header: everything before the tensor data, checked, nothing decoded that need not be.

Two layers. `parse_header` reads what is there and fails where reading on would be guessing. Then
`layout_faults` compares what the header promises with the file, fault by fault, so that opening a file
can stop at the first and ``verify`` can list them all.

Policies where the format leaves room:

- *A dimension of 0* is legal, as in llama.cpp: the tensor has no elements and takes no bytes, but it has its
  place in the order like any other. What stands beside the 0 may not be absurd, though (`MAX_BESIDE_ZERO`).
- *No dimensions* (n_dims 0) is a scalar, as in llama.cpp: shape ``()``, one element.
- *An unknown or removed tensor type* leaves the tensor's size unknown; only decoding it fails.
- *Names and strings that are not UTF-8* are kept losslessly (``surrogateescape``); keys must be UTF-8.
- *A bool that is neither 0 nor 1* reads as true.
- *Gaps between tensors, and tensors out of order,* are faults as they are to llama.cpp: bytes no tensor
  accounts for mean that the writer and the reader disagree on sizes or padding. So is an empty tensor
  anywhere but where the one before it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import FormatError, UnsupportedError
from ..io.file_magic import looks_like
from ..spec import (
    DEFAULT_ALIGNMENT,
    GGUF_MAGIC,
    GGUF_VERSION,
    MAX_BESIDE_ZERO,
    MAX_DIMS,
    MAX_ELEMENTS,
    MAX_KEY_BYTES,
    ByteOrder,
    GGMLType,
    align,
)
from .header_buffer import Wire
from .layout import ALIGNMENT_KEY, alignment_of, tensor_bytes
from .metadata import Metadata, decode_text

if TYPE_CHECKING:
    from ..io.input_files import Pages

__all__ = ["Fault", "Header", "TensorEntry", "fills_file", "layout_faults", "parse_header"]

_START: Final = 64
"""First bytes that tell the version, or what the file is instead."""

_SMALLEST_HEADER: Final = 16
"""Magic, version and two counts of 4 bytes, as version 1 has them."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as the header describes it.

    Attributes:
        name: as stored.
        shape: numpy's order (slowest dimension first).
        type: the type, or its number where it is unknown.
        relative: offset from the start of the data section, in bytes.
        place: where this entry stands in the file, for errors.
        nbytes: size, or None where the type is unknown or the row is not a whole number of blocks.
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLType | int
    relative: int
    place: int
    nbytes: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. ``end`` is where it ends; ``data_offset`` where the tensor data starts."""

    wire: Wire
    version: int
    metadata: Metadata
    entries: list[TensorEntry]
    end: int
    alignment: int

    @property
    def data_offset(self) -> int:
        """The header's end, rounded up to the alignment."""
        return align(self.end, self.alignment)


class Fault(NamedTuple):
    """A contradiction between header and file: a code for programs, an error for people."""

    code: str
    error: FormatError


def parse_header(pages: Pages, path: str | None, *, alignment: int | None = None) -> Header:
    """Parse the header of a file.

    Args:
        pages: what its bytes come from.
        path: its name, for errors.
        alignment: what applies where the metadata does not say, instead of 32.

    Raises:
        FormatError: not GGUF (says what it looks like), truncated, not well formed, or cut short while it
            was read.
        UnsupportedError: of a version this package does not read.
        RemoteError: bytes cannot be had.
    """
    start = bytes(pages.view(0, min(_START, pages.size))[:_START])
    version, order = _version(start, pages.size, path)
    wire = Wire(pages, order, 4 if version == 1 else 8, path)
    position = 8
    tensor_count = wire.length(position, "the number of tensors")
    key_count = wire.length(position + wire.width, "the number of keys")
    position += 2 * wire.width
    # The smallest entries: a key of one byte with a one-byte value; a tensor of one dimension less name.
    _check_count(wire, position, tensor_count, wire.width + 4 + 4 + 8, "tensors")
    _check_count(wire, position, key_count, wire.width + 1 + 4 + 1, "keys")

    metadata = Metadata(path=path)
    for number in range(key_count):
        position = _read_pair(wire, position, number, metadata)
    stated = alignment_of(metadata)
    if alignment is not None and ALIGNMENT_KEY not in metadata:
        stated = alignment
    entries = []
    for number in range(tensor_count):
        entry, position = _read_entry(wire, position, number)
        entries.append(entry)
    return Header(wire, version, metadata, entries, position, stated)


def _version(start: bytes, size: int, path: str | None) -> tuple[int, ByteOrder]:
    """Version and byte order from a file's first bytes."""
    facts: dict[str, Any] = {"path": path, "offset": 0}
    if not start:
        raise FormatError("the file is empty", **facts)
    if start[:4] != GGUF_MAGIC:
        meaning = looks_like(start)
        raise FormatError(
            f"not a GGUF file; it looks like {meaning}" if meaning else "not a GGUF file",
            found=start[:4],
            expected=GGUF_MAGIC,
            **facts,
        )
    if size < _SMALLEST_HEADER:
        raise FormatError(
            "the file ends inside the header",
            found=f"{size} bytes",
            expected="at least 24 bytes",
            **facts,
        )
    facts["offset"] = 4
    version = int.from_bytes(start[4:8], "little")
    order: ByteOrder = "little"
    if version and version & 0xFFFF == 0:
        version, order = int.from_bytes(start[4:8], "big"), "big"
        if version < GGUF_VERSION:
            raise UnsupportedError(
                "big endian exists since version 3 of GGUF", found=f"version {version}", **facts
            )
    if not 1 <= version <= GGUF_VERSION:
        raise UnsupportedError("unknown version of GGUF", found=version, expected="1 to 3", **facts)
    return version, order


def _check_count(wire: Wire, position: int, count: int, smallest: int, what: str) -> None:
    most = (wire.size - position) // smallest
    if count > most:
        raise wire.fault(
            f"the number of {what} is more than the file could hold",
            8 if what == "tensors" else 8 + wire.width,
            found=count,
            expected=f"at most {most}",
        )


def _read_pair(wire: Wire, position: int, number: int, metadata: Metadata) -> int:
    what = f"key {number} of the metadata"
    start, end = wire.string(position, what)
    if not 0 < end - start <= MAX_KEY_BYTES:
        raise wire.fault(
            f"{what} is of a length that is not allowed",
            position,
            found=f"{end - start} bytes",
            expected=f"1 to {MAX_KEY_BYTES}",
        )
    data = wire.piece(start, end)
    try:
        key = data.decode()
    except UnicodeDecodeError as error:
        raise wire.fault(f"{what} is not UTF-8", start, found=data) from error
    return metadata.read_value(key, wire, end)


def _read_entry(wire: Wire, place: int, number: int) -> tuple[TensorEntry, int]:
    """The tensor entry that stands at ``place``, and where it ends."""
    start, position = wire.string(place, f"the name of tensor {number}")
    name = decode_text(wire.piece(start, position))
    try:
        dims = wire.number(position, "I", "the number of dimensions")
        if dims > MAX_DIMS:
            raise wire.fault("too many dimensions", position, found=dims, expected=f"at most {MAX_DIMS}")
        position += 4
        *shape, type_number, relative = _dimensions_type_offset(wire, position, dims)
        for size in shape:
            if size > MAX_ELEMENTS:
                raise wire.fault(
                    "a dimension is absurd",
                    position + shape.index(size) * wire.width,
                    found=size,
                    expected=f"at most {MAX_ELEMENTS}",
                )
        position += dims * wire.width
        elements = prod(shape) if all(shape) else prod(size or 1 for size in shape)
        if elements > MAX_ELEMENTS:
            raise wire.fault(
                "the number of elements overflows", place, found=shape, expected="a product below 2^63"
            )
        if elements > MAX_BESIDE_ZERO and not all(shape):
            raise wire.fault(
                "an empty tensor's other dimensions are absurd",
                place,
                found=shape,
                expected=f"a product of at most {MAX_BESIDE_ZERO}",
            )
    except FormatError as error:
        error.tensor = name
        raise
    kind: GGMLType | int
    nbytes = None
    numpy_shape = tuple(reversed(shape))
    try:
        kind = GGMLType(type_number)
    except ValueError:
        kind = type_number
    else:
        try:
            nbytes = tensor_bytes(numpy_shape, kind)
        except ValueError:
            nbytes = None
    if nbytes is not None and nbytes > MAX_ELEMENTS:
        raise wire.fault("the tensor's size overflows", place, tensor=name, found=f"{nbytes} bytes")
    return TensorEntry(name, numpy_shape, kind, relative, place, nbytes), position + 12


def _dimensions_type_offset(wire: Wire, position: int, dims: int) -> tuple[int, ...]:
    """The rest of an entry, in one step: there may be tens of thousands.

    Raises:
        FormatError: it is cut off; says what is missing.
    """
    rest = dims * wire.width + 12
    if wire.size - position < rest:
        for _ in range(dims):
            wire.need(position, wire.width, "a dimension")
            position += wire.width
        wire.need(position, 4, "the tensor's type")
        wire.need(position + 4, 8, "the tensor's offset")
    code = f"{wire.prefix}{dims}{'Q' if wire.width == 8 else 'I'}IQ"
    return struct.unpack(code, wire.piece(position, position + rest))


def layout_faults(header: Header) -> Iterator[Fault]:
    """What is wrong with names, sizes and places of the tensors, in order of the file.

    Codes: ``alignment``, ``duplicate-tensor``, ``row-length``, ``misaligned``, ``truncated``, ``overlap``,
    ``gap``, ``order``. A tensor of unknown size is taken to reach up to the next one.
    """
    if not fills_file(header) and fills_file(replace(header, alignment=DEFAULT_ALIGNMENT)):
        # llama-quantize does this: it pads for 32 but keeps the key. Every tensor would read shifted.
        yield Fault(
            "alignment",
            header.wire.fault(
                f"the data is laid out for an alignment of {DEFAULT_ALIGNMENT}",
                header.end,
                key=ALIGNMENT_KEY,
                found=header.alignment,
                expected=DEFAULT_ALIGNMENT,
            ),
        )
        return
    wire, data = header.wire, header.data_offset
    seen: set[str] = set()

    def fault(
        code: str, message: str, entry: TensorEntry, found: object = None, expected: object = None
    ) -> Fault:
        place = entry.place if code in _IN_HEADER else data + entry.relative
        return Fault(code, wire.fault(message, place, tensor=entry.name, found=found, expected=expected))

    sound = []
    for entry in header.entries:
        if entry.name in seen:
            yield fault("duplicate-tensor", "two tensors have this name", entry)
        seen.add(entry.name)
        if entry.nbytes is None and isinstance(entry.type, GGMLType):
            yield fault("row-length", _row_message(entry), entry)
        end = data + entry.relative + (entry.nbytes or 0)
        if entry.relative % header.alignment:
            yield fault(
                "misaligned",
                "the tensor's offset is not aligned",
                entry,
                entry.relative,
                f"a multiple of {header.alignment}",
            )
        elif end > wire.size:
            yield fault(
                "truncated",
                "the tensor's data goes past the end of the file",
                entry,
                f"{wire.size} bytes in the file",
                f"at least {end}",
            )
        else:
            sound.append(entry)
    # Faulty offsets would only echo as gaps and overlaps of their neighbours.
    if len(sound) == len(header.entries):
        yield from _density_faults(sound, header.alignment, fault)


def fills_file(header: Header) -> bool:
    """Whether the tensors lie densely in order and end, with or without padding, where the file ends.

    This tells which alignment a file was written with when its metadata does not, or lies.
    """
    position = 0
    for entry in header.entries:
        if entry.nbytes is None or entry.relative != align(position, header.alignment):
            return False
        position = entry.relative + entry.nbytes
    ends = header.data_offset + position, header.data_offset + align(position, header.alignment)
    return bool(header.entries) and header.wire.size in ends


_IN_HEADER: Final = frozenset({"duplicate-tensor", "row-length", "misaligned", "order"})


def _density_faults(entries: list[TensorEntry], alignment: int, fault: Any) -> Iterator[Fault]:
    """Overlaps and gaps in order of offsets; then the first tensor that is not in the file's order.

    Without a fault, every tensor of which the size of those before it is known lies at their padded sum.
    """
    previous: TensorEntry | None = None
    sound = True
    end: int | None = 0
    for entry in sorted(entries, key=lambda entry: (entry.relative, entry.nbytes or 0)):
        expected = None if end is None else align(end, alignment)
        if end is not None and entry.relative < end and previous is not None:
            sound = False
            yield fault(
                "overlap",
                f"the tensor's data overlaps that of {previous.name!r}",
                entry,
                entry.relative,
                f"{expected}",
            )
        elif expected is not None and entry.relative > expected:
            sound = False
            yield fault(
                "gap",
                f"{entry.relative - expected} unexplained bytes before the tensor's data",
                entry,
                entry.relative,
                f"{expected}",
            )
        previous = entry
        end = None if entry.nbytes is None else max(end or 0, entry.relative + entry.nbytes)
    for before, entry in pairwise(entries):
        if entry.relative < before.relative:
            yield fault(
                "order", f"the tensor's data lies before that of {before.name!r}, listed before it", entry
            )
            return
    if not sound:
        return
    # What is left are empty tensors at the start of one listed before them, which they do not overlap.
    for before, entry in pairwise(entries):
        expected = None if before.nbytes is None else align(before.relative + before.nbytes, alignment)
        if expected is not None and entry.relative != expected:
            yield fault(
                "order",
                f"the empty tensor does not lie where {before.name!r}, listed before it, ends",
                entry,
                entry.relative,
                f"{expected}",
            )
            return


def _row_message(entry: TensorEntry) -> str:
    try:
        tensor_bytes(entry.shape, GGMLType(entry.type))
    except ValueError as error:
        return str(error)
    return "the row length does not fit the type"
