"""Tensors out of a GGUF file, for numpy and whatever reads safetensors."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from ..checkpoint import safetensors_header
from ..container.opening import open_gguf
from ..container.reader import GGUFFile, Tensor
from ..errors import GGUFToolsError, OutputError, UnsupportedError
from ..io.closing import closed_on_error
from ..source import SelfContained, Source, row_count, row_length
from ..spec import GGMLType, row_bytes
from .engine import execute
from .plan import Plan, PlannedFile, PlannedTensor
from .run_options import Progress, RunOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EXTRACT_DTYPES", "extract", "plan_extraction"]

EXTRACT_DTYPES: Final[dict[str, GGMLType | None]] = {
    "f32": GGMLType.F32,
    "f16": GGMLType.F16,
    "bf16": GGMLType.BF16,
    "raw": None,
}
"""What values are decoded to; ``raw`` leaves them as they are stored."""

_STORED: Final = {  # how numpy and safetensors spell types that are plain numbers
    GGMLType.F32: ("<f4", "F32"),
    GGMLType.F16: ("<f2", "F16"),
    GGMLType.BF16: (None, "BF16"),
    GGMLType.F64: ("<f8", "F64"),
    GGMLType.I8: ("|i1", "I8"),
    GGMLType.I16: ("<i2", "I16"),
    GGMLType.I32: ("<i4", "I32"),
    GGMLType.I64: ("<i8", "I64"),
}

_FILE_NAME: Final = re.compile(r"[\w][\w.\-+]{0,200}")
_SHOWN: Final = 3


def extract(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    patterns: Sequence[str] = ("*",),
    *,
    dtype: str = "f32",
    rows: tuple[int, int] | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write tensors of a GGUF file to a .safetensors file, a .npy file, or a directory of .npy files.

    Args:
        src: the GGUF file, or any of a split model.
        dst: what its name ends in decides: ``.safetensors``; ``.npy``, for a single tensor; anything else
            is a directory with a file for each. It appears complete or not at all.
        patterns: which tensors, as file names are matched: ``blk.0.*``. One of them must match.
        dtype: ``"f32"``, ``"f16"``, ``"bf16"`` (not in .npy), or ``"raw"``: as stored. Raw blocks are
            uint8 with the bytes of a row as last dimension, as is BF16 in .npy.
        rows: only these, from the first up to but without the second. Rows are counted over all dimensions
            but the last, and the result has two dimensions.
        threads: workers; default all available cores.
        force: replace an existing output.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out.

    Raises:
        FormatError: the file is not well formed.
        GGUFToolsError: nothing matches, a tensor does not have these rows, or several match one .npy file.
        UnsupportedError: a type cannot be decoded, or a dtype is unknown or has no place in .npy.
        OutputError: the output exists or cannot be written.
    """
    with plan_extraction(src, dst, patterns, dtype=dtype, rows=rows) as plan:
        execute(plan, dst, RunOptions(threads, force, progress=progress))
    return plan


def plan_extraction(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    patterns: Sequence[str] = ("*",),
    *,
    dtype: str = "f32",
    rows: tuple[int, int] | None = None,
) -> Plan:
    """Plan the extraction without reading any weight; see `extract` for arguments and errors.

    The plan keeps the file open; close it.
    """
    try:
        wanted = EXTRACT_DTYPES[dtype.lower()]
    except KeyError:
        raise UnsupportedError("unknown dtype", found=dtype, expected=", ".join(EXTRACT_DTYPES)) from None
    with closed_on_error(open_gguf(src)) as file:
        items = [_item(tensor, wanted, rows) for tensor in _matching(file, patterns)]
        return Plan(
            kind="tensors",
            source=os.fspath(src),
            architecture=str(file.metadata.get("general.architecture", "")),
            recipe=dtype.lower(),
            files=tuple(_files(items, os.fspath(dst))),
            inputs=file.inputs,
            reads=(src,),
        )


@dataclass(frozen=True, slots=True)
class _Item:
    """A tensor to be written: its rows, and what they are written as."""

    name: str
    source: Source
    type: GGMLType

    @property
    def nbytes(self) -> int:
        return row_count(self.source.shape) * row_bytes(self.type, row_length(self.source.shape))

    def stored_shape(self, plain: bool) -> tuple[int, ...]:
        """The shape; of blocks (or where not ``plain``), in bytes."""
        shape = self.source.shape
        return shape if plain else (*shape[:-1], row_bytes(self.type, row_length(shape)))


@dataclass(frozen=True, slots=True)
class _Rows(SelfContained):
    """Some rows of another source."""

    source: Source
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stop - self.start, row_length(self.source.shape)

    @property
    def storage(self) -> GGMLType | None:
        return self.source.storage

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.source.rows(self.start + start, self.start + stop)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.source.raw(self.start + start, self.start + stop)


def _matching(file: GGUFFile, patterns: Sequence[str]) -> list[Tensor]:
    """Tensors in the file's order.

    Raises:
        GGUFToolsError: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in file.tensors):
            some = _listed(list(file.tensors))
            raise GGUFToolsError("no tensor's name matches", path=file.path, found=pattern, expected=some)
    return [
        tensor
        for name, tensor in file.tensors.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" … ({len(names)} tensors)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _item(tensor: Tensor, wanted: GGMLType | None, rows: tuple[int, int] | None) -> _Item:
    if tensor.storage is None or tensor.nbytes is None:
        raise UnsupportedError(
            "the tensor is of an unknown type", path=tensor.path, tensor=tensor.name, found=tensor.type_name
        )
    source: Source = tensor
    if rows is not None:
        start, stop = rows
        count = row_count(tensor.shape)
        if not 0 <= start < stop <= count:
            raise GGUFToolsError(
                "the tensor does not have these rows",
                path=tensor.path,
                tensor=tensor.name,
                found=f"{start}:{stop}",
                expected=f"within 0:{count}",
            )
        source = _Rows(tensor, start, stop)
    return _Item(tensor.name, source, tensor.storage if wanted is None else wanted)


def _files(items: Sequence[_Item], name: str) -> list[PlannedFile]:
    """The files of an output of this name."""
    if name.endswith(".safetensors"):
        return [_safetensors(items)]
    if not name.endswith(".npy"):
        return [_npy(_file_name(item.name), item) for item in items]
    if len(items) > 1:
        raise OutputError(
            "a .npy file holds a single array; give a directory or a .safetensors file",
            path=name,
            found=_listed([item.name for item in items]),
        )
    return [_npy("", items[0])]


def _safetensors(items: Sequence[_Item]) -> PlannedFile:
    """One file; its metadata tells the type of raw blocks."""
    entries, blocks = [], {}
    for item in items:
        if item.type in _STORED:
            entries.append((item.name, _STORED[item.type][1], item.stored_shape(plain=True)))
        else:
            entries.append((item.name, "U8", item.stored_shape(plain=False)))
            blocks[item.name] = f"{item.type.name} {list(item.source.shape)}"
    layout = safetensors_header(entries, {"format": "pt", **blocks})
    planned = tuple(
        PlannedTensor(item.name, item.source.shape, item.type, item.source, offset, item.nbytes, item.type)
        for item, offset in zip(items, layout.offsets, strict=True)
    )
    return PlannedFile("", layout.header, planned, layout.total_size)


def _npy(name: str, item: _Item) -> PlannedFile:
    spelling = _STORED.get(item.type, (None, ""))[0]
    if spelling is None and item.source.storage is not item.type:
        raise UnsupportedError(
            "numpy has no bfloat16; write a .safetensors file, or choose f32 or f16", tensor=item.name
        )
    out = io.BytesIO()
    described = {
        "descr": spelling or "|u1",
        "fortran_order": False,
        "shape": item.stored_shape(plain=spelling is not None),
    }
    np.lib.format.write_array_header_1_0(out, described)
    header = out.getvalue()
    planned = PlannedTensor(
        item.name, item.source.shape, item.type, item.source, len(header), item.nbytes, item.type
    )
    return PlannedFile(name, header, (planned,), len(header) + item.nbytes)


def _file_name(tensor: str) -> str:
    """The name of a tensor's file; one with a slash, say, would lie somewhere else."""
    if not _FILE_NAME.fullmatch(tensor):
        raise OutputError("the tensor's name is no file name; write a .safetensors file", tensor=tensor)
    return f"{tensor}.npy"
