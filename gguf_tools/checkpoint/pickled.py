"""PyTorch's pickled checkpoints (``*.bin``, ``*.pth``), for users who have torch and ask for them.

Loading a pickle can run any code, so nothing here happens unasked. torch then unpickles with its restricted
loader (``weights_only``), and only to tell where the tensors lie: with ``FakeTensorMode`` it reads none of
their data. That is read by position, when their rows are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import CheckpointError, UnsupportedError
from ..io.input_files import LocalFile
from .dtypes import dtype_named
from .header import SafetensorsEntry
from .reader import SafetensorsTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PickledFile"]

_DTYPES: Final = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
}
"""torch's names to those of safetensors."""


class PickledFile:
    """An open pickled checkpoint: its tensors by name, in the order of names; as a `SafetensorsFile`.

    Raises:
        UnsupportedError: torch is not installed or too old, or a tensor is of a dtype or layout with no
            counterpart.
        CheckpointError: torch refuses the file, it is not a dictionary of tensors, or it ends before them.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.input = LocalFile(self.path, CheckpointError)
        try:
            found = sorted(_load(self.path))
            self.tensors = {name: _tensor(self.input, name, value) for name, value in found}
        except BaseException:
            self.input.close()
            raise

    def close(self) -> None:
        """Close the file; reading tensors fails afterwards."""
        self.input.close()


class _Turned:
    """A tensor whose elements are stored in another order, in the manner of an `InputFile` that has them in
    theirs.

    Args:
        file: where it is stored.
        start: byte of its first element in the file.
        shape: of the tensor.
        steps: bytes from one element to the next, along each dimension.
        width: bytes of an element.
    """

    def __init__(
        self, file: LocalFile, start: int, shape: tuple[int, ...], steps: tuple[int, ...], width: int
    ) -> None:
        self.path = file.path
        self._file = file
        self._start = start
        self._shape, self._steps = (*shape, width), (*steps, 1)
        self._span = _span(shape, steps, width)

    def read(self, offset: int, count: int, tensor: str | None = None) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``."""
        return self._bytes(tensor)[offset : offset + count].copy()

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """``times`` runs of ``count`` bytes, ``step`` apart: uint8 (times, count)."""
        data = self._bytes(tensor)
        runs = [data[start : start + count] for start in range(offset, offset + times * step, step)]
        return np.array(runs, np.uint8).reshape(times, count)

    def _bytes(self, tensor: str | None) -> NDArray[np.uint8]:
        data = self._file.read(self._start, self._span, tensor)
        return np.ndarray(self._shape, np.uint8, data, strides=self._steps).reshape(-1)


def _span(shape: tuple[int, ...], steps: tuple[int, ...], width: int) -> int:
    """Bytes from the first element of a tensor to the end of the last."""
    if 0 in shape:
        return 0
    return sum((size - 1) * step for size, step in zip(shape, steps, strict=True)) + width


def _load(path: Path) -> list[tuple[str, Any]]:
    try:
        import torch
    except ImportError:
        raise UnsupportedError(
            "reading pickled weights takes torch, which is not installed",
            path=path,
            expected="pip install torch",
        ) from None
    try:
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode():
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the pickle brings about
        said = str(error).strip().partition("\n")[0][:300]
        raise CheckpointError(f"torch does not load it with weights_only: {said}", path=path) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    ):
        raise CheckpointError(
            "not a dictionary of tensors", path=path, found=type(loaded).__name__, expected="a state_dict"
        )
    return list(loaded.items())


def _tensor(file: LocalFile, name: str, value: Any) -> SafetensorsTensor:
    spelled = _DTYPES.get(str(value.dtype).removeprefix("torch."))
    dtype = None if spelled is None else dtype_named(spelled)
    if dtype is None or str(value.layout) != "torch.strided":
        raise UnsupportedError(
            "a tensor that safetensors has no counterpart of",
            path=file.path,
            tensor=name,
            found=f"{value.dtype}, {value.layout}",
        )
    shape, width = tuple(value.shape), dtype.bits // 8
    steps = tuple(step * width for step in value.stride())
    first = getattr(value.untyped_storage(), "_checkpoint_offset", None)
    size = value.numel() * width
    if first is None:
        if size:
            raise UnsupportedError(
                "torch does not tell where in the file the tensor lies",
                path=file.path,
                tensor=name,
                expected="a file of torch.save's zip format, and a recent torch",
            )
        first = 0
    start = first + value.storage_offset() * width
    end = start + _span(shape, steps, width)
    if start < 0 or end > file.size:
        raise CheckpointError(
            "the tensor's data goes past the end of the file",
            path=file.path,
            tensor=name,
            found=f"{file.size} bytes in the file",
            expected=f"at least {end}",
        )
    if value.is_contiguous():
        return SafetensorsTensor(file, SafetensorsEntry(name, dtype, shape, start, size))
    return SafetensorsTensor(
        _Turned(file, start, shape, steps, width), SafetensorsEntry(name, dtype, shape, 0, size)
    )
