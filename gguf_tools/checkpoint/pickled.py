"""PyTorch's pickled checkpoints (``*.bin``, ``*.pth``), for users who have torch and ask for them.

Loading a pickle can run any code, so nothing here happens unasked. torch then unpickles with its restricted
loader (``weights_only``), and maps the file: tensors are read when their rows are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import CheckpointError, UnsupportedError
from ..reading import LocalFile
from .dtypes import dtype_named
from .header import Entry
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
        UnsupportedError: torch is not installed, or a tensor is of a dtype or layout with no counterpart.
        CheckpointError: torch refuses the file, or it is not a dictionary of tensors.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.input = LocalFile(self.path, CheckpointError)
        self.tensors = {name: _tensor(self.path, name, value) for name, value in sorted(_load(self.path))}

    def close(self) -> None:
        """Let go of the tensors; those that are used elsewhere stay readable."""
        self.input.close()
        self.tensors = {}


class _Stored:
    """The bytes of one torch tensor, in the manner of an `InputFile`."""

    def __init__(self, path: Path, value: Any) -> None:
        self.path = os.fspath(path)
        self._value = value

    def read(self, offset: int, count: int, tensor: str | None = None) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``."""
        return self._bytes()[offset : offset + count].copy()

    def read_strided(
        self, offset: int, count: int, step: int, times: int, tensor: str | None = None
    ) -> NDArray[np.uint8]:
        """``times`` runs of ``count`` bytes, ``step`` apart: uint8 (times, count)."""
        data = self._bytes()
        runs = [data[start : start + count] for start in range(offset, offset + times * step, step)]
        return np.array(runs, np.uint8).reshape(times, count)

    def _bytes(self) -> NDArray[np.uint8]:
        import torch

        flat = self._value.detach().contiguous().reshape(-1)
        found: NDArray[np.uint8] = flat.view(torch.uint8).numpy()
        return found


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
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
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


def _tensor(path: Path, name: str, value: Any) -> SafetensorsTensor:
    spelled = _DTYPES.get(str(value.dtype).removeprefix("torch."))
    dtype = None if spelled is None else dtype_named(spelled)
    if dtype is None or str(value.layout) != "torch.strided" or value.device.type != "cpu":
        raise UnsupportedError(
            "a tensor that safetensors has no counterpart of",
            path=path,
            tensor=name,
            found=f"{value.dtype}, {value.layout}",
        )
    shape = tuple(value.shape)
    size = value.numel() * dtype.bits // 8
    return SafetensorsTensor(_Stored(path, value), Entry(name, dtype, shape, 0, size))
