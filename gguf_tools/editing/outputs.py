"""GGUF files made of other files' tensors, copied as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..container.reader import Tensor
from ..container.writer import TensorInfo, header_bytes
from ..errors import FormatError, OutputError, UnsupportedError
from ..files import AtomicFile, require_space
from ..spec import BLOCK_SIZES, GGMLType, align

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..container.metadata import Metadata

__all__ = ["OutputFile", "Progress", "check_copy", "lay_out", "write_outputs"]

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a tensor's name."""

_CHUNK: Final = 1 << 26
"""Bytes copied between two reports of progress."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file to be written.

    Attributes:
        path: its name.
        header: all bytes before the first tensor's.
        tensors: where the data comes from, in order.
        offsets: of each tensor in the file to be written.
        size: of the file, in bytes.
    """

    path: Path
    header: bytes
    tensors: tuple[Tensor, ...]
    offsets: tuple[int, ...]
    size: int

    @property
    def tensor_bytes(self) -> int:
        """Data without header and padding."""
        return sum(tensor.nbytes or 0 for tensor in self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "path": str(self.path),
            "size": self.size,
            "tensors": [tensor.name for tensor in self.tensors],
            "tensor_bytes": self.tensor_bytes,
        }


def lay_out(path: Path, metadata: Metadata, tensors: Sequence[Tensor], *, alignment: int) -> OutputFile:
    """Place tensors in a file. One without any is padded too, as llama.cpp's splitter does.

    Raises:
        UnsupportedError: a tensor is of an unknown type, so that its size is unknown.
        FormatError: a tensor's rows are not whole blocks.
    """
    for tensor in tensors:
        if tensor.storage is None:
            raise UnsupportedError(
                "the tensor is of an unknown type, so its size is not known",
                path=tensor.path,
                tensor=tensor.name,
                found=tensor.type_name,
            )
        if tensor.nbytes is None:
            raise FormatError("its rows are not whole blocks", path=tensor.path, tensor=tensor.name)
    infos = [TensorInfo(tensor.name, tensor.shape, GGMLType(tensor.type)) for tensor in tensors]
    layout = header_bytes(metadata, infos, long_names=True)
    header = layout.header + bytes(align(len(layout.header), alignment) - len(layout.header))
    return OutputFile(
        path, header, tuple(tensors), tuple(layout.offsets), max(layout.total_size, len(header))
    )


def write_outputs(
    outputs: Sequence[OutputFile],
    *,
    force: bool = False,
    progress: Progress | None = None,
    check: bool = False,
    like: Path | None = None,
) -> None:
    """Write all files, or leave none of them.

    They get their names when all are complete, the first one last: until then nobody takes the model for
    a whole one. With ``force``, files replaced before a failure are gone. With ``check``, everything copied
    is read again and compared. ``like`` is a file whose mode and owner they have.

    Raises:
        OutputError: one exists (without ``force``) or cannot be written, or the disk is full.
        FormatError: a source ends before its data does.
    """
    _check_space(outputs)
    total, done = sum(output.tensor_bytes for output in outputs), 0
    made: dict[Path, int] = {}
    try:
        with ExitStack() as stack:
            files = [
                stack.enter_context(AtomicFile(output.path, size=output.size, force=force, like=like))
                for output in outputs
            ]
            for output, file in zip(outputs, files, strict=True):
                file.write_at(0, output.header)
                for tensor, offset in zip(output.tensors, output.offsets, strict=True):
                    for start, stop in _chunks(tensor):
                        tensor.copy_to(file, offset + start, start, stop)
                        if check:
                            check_copy(file, offset + start, tensor.stored(start, stop))
                        done += stop - start
                        if progress is not None:
                            progress(done, total, tensor.name)
                _write_padding(output, file)
                made[output.path] = os.fstat(file.fd).st_ino
    except BaseException:
        for path, inode in made.items():
            _remove(path, inode)
        raise


def check_copy(file: AtomicFile, offset: int, data: NDArray[np.uint8]) -> None:
    """Compare what was written with what should have been.

    Raises:
        OutputError: they differ.
    """
    if os.pread(file.fd, data.nbytes, offset) != data.tobytes():
        raise OutputError("what was written reads back differently", path=file.path, offset=offset)


def _chunks(tensor: Tensor) -> list[tuple[int, int]]:
    """Byte ranges of whole blocks."""
    assert tensor.storage is not None  # checked by `lay_out`
    assert tensor.nbytes is not None
    block = BLOCK_SIZES[tensor.storage].bytes
    step = _CHUNK // block * block
    return [(start, min(start + step, tensor.nbytes)) for start in range(0, tensor.nbytes, step)]


def _write_padding(output: OutputFile, file: AtomicFile) -> None:
    """The zeros after the last tensor. Those between tensors are what a file has where nothing is written."""
    ends = [
        offset + (tensor.nbytes or 0) for tensor, offset in zip(output.tensors, output.offsets, strict=True)
    ]
    end = max(ends, default=len(output.header))
    file.write_at(end, bytes(output.size - end))


def _check_space(outputs: Sequence[OutputFile]) -> None:
    """Ask for all files at once: each by itself would see the whole free space."""
    wanted: dict[Path, list[OutputFile]] = {}
    for output in outputs:
        wanted.setdefault(output.path.parent, []).append(output)
    for together in wanted.values():
        require_space(together[0].path, sum(output.size for output in together))


def _remove(path: Path, inode: int) -> None:
    """Take back a file that got its name before another one failed to; never one of somebody else."""
    try:
        if os.lstat(path).st_ino == inode:
            path.unlink()
    except OSError:
        pass
