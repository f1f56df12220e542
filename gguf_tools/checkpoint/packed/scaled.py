"""Values times scales: one for the tensor, one for each row, or one for each block of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CheckpointError
from ...source import Source
from ...spec import GGMLType
from ..reader import SafetensorsTensor
from .components import DequantizedSource, checked_scales, whole_floats
from .lossless_repack import exact_type, repacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ScaledWeights", "grid"]


_FLOAT8: Final = {"F8_E4M3": "e4m3", "F8_E5M2": "e5m2"}
"""Kernels."""


def grid(
    weight: tuple[int, ...], scale: SafetensorsTensor, block: tuple[int, int] | None = None
) -> tuple[int, int]:
    """How many rows and columns of a weight share a scale, from the shapes of both.

    Args:
        weight: shape of the weight, (…, rows, columns); experts in front have scales of their own.
        scale: the scales.
        block: rows and columns the config speaks of.

    Raises:
        CheckpointError: the shapes do not go together.
    """
    rows, columns = (1, *weight)[-2:]
    leading = tuple(weight[:-2])
    found = tuple(scale.shape)
    if int(np.prod(found)) == 1 and not leading:
        return rows, columns
    expected: dict[tuple[int, ...], tuple[int, int]] = {}
    if block is not None:
        expected[(*leading, -(-rows // block[0]), -(-columns // block[1]))] = block
    expected |= {
        (*leading, rows, 1): (1, columns),
        (*leading, rows): (1, columns),
        (*leading, 1, 1): (rows, columns),
    }
    if leading:
        expected.setdefault(leading, (rows, columns))
    if found in expected:
        return expected[found]
    if (
        block is None
        and found[:-2] == leading
        and len(found) >= 2
        and found[-2] == rows
        and columns % found[-1] == 0
    ):
        return 1, columns // found[-1]  # groups of columns
    raise CheckpointError(
        "the scales do not go with the weight's shape",
        tensor=scale.name,
        found=found,
        expected=" or ".join(map(str, expected)),
    )


class ScaledWeights(DequantizedSource):
    """``value × scale``, or ``value ÷ scale``; with zero points ``(value − zero) × scale``.

    Args:
        name: of the result.
        base: rows of plain values.
        scale: see `grid`.
        block: rows and columns that share a scale.
        zeros: zero points in the scales' shape.
        divide: whether the scale divides.
        zero: whether a scale may be 0.
    """

    def __init__(
        self,
        name: str,
        base: Source,
        scale: SafetensorsTensor,
        block: tuple[int, int],
        *,
        zeros: SafetensorsTensor | None = None,
        divide: bool = False,
        zero: bool = False,
    ) -> None:
        super().__init__(name, tuple(base.shape))
        self._base, self._scale, self._zeros, self._block = base, scale, zeros, block
        self._divide, self._zero = divide, zero
        dtype = base.dtype if isinstance(base, SafetensorsTensor) and not divide else ""
        self._float8 = _FLOAT8.get(dtype) if zeros is None else None
        self._integers = dtype == "I8"

    @property
    def storage(self) -> GGMLType | None:
        columns = self.shape[-1] if self.shape else 1
        width = min(self._block[1], columns)
        if not self._integers or self._zeros is not None or columns % width:
            return None
        return exact_type(8, width, self._scale.dtype)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        data = self._base.raw(start, stop) ^ np.uint8(0x80)
        return repacked(data, 8, self._per_row(self._scale, start, stop), self._scale.name)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        columns = self.shape[-1] if self.shape else 1
        width = min(self._block[1], columns)
        scales = self._per_row(self._scale, start, stop)
        zeros = None if self._zeros is None else self._per_row(self._zeros, start, stop, zeros=True)
        count = stop - start
        if (self._float8 or self._integers) and columns % width == 0 and scales.size:
            return self._decoded(self._base.raw(start, stop).reshape(-1, width), scales, zeros, count)
        values = self._base.rows(start, stop)
        if columns % width:
            scales = np.repeat(scales, width, axis=1)[:, :columns]
            zeros = None if zeros is None else np.repeat(zeros, width, axis=1)[:, :columns]
        else:
            values = values.reshape(count, columns // width, width)
            scales = scales[:, :, None]
            zeros = None if zeros is None else zeros[:, :, None]
        if zeros is not None:
            values = values - zeros
        made = values / scales if self._divide else values * scales
        return made.reshape(count, columns)

    def _decoded(
        self,
        codes: NDArray[np.uint8],
        scales: NDArray[np.float32],
        zeros: NDArray[np.float32] | None,
        count: int,
    ) -> NDArray[np.float32]:
        """8-bit codes, (groups, width), in one go."""
        from . import kernels

        scales = np.ascontiguousarray(scales).reshape(-1)
        out = np.empty((count, self.shape[-1]), np.float32)
        grouped = out.reshape(codes.shape)
        if self._float8 is not None:
            getattr(kernels, self._float8)(codes, scales, grouped)
        else:
            flat = np.zeros_like(scales) if zeros is None else np.ascontiguousarray(zeros).reshape(-1)
            kernels.bytes_(codes.view(np.int8), flat, scales, grouped)
        return out

    def _per_row(
        self, tensor: SafetensorsTensor, start: int, stop: int, *, zeros: bool = False
    ) -> NDArray[np.float32]:
        """The scales of each row, one for each block of columns: (rows, blocks)."""
        if self._block[0] == 1 and len(tensor.shape) == len(self.shape):
            table = tensor.rows(start, stop)
            return table if zeros else checked_scales(table, tensor.name, zero=self._zero)
        table = whole_floats(tensor)
        if not zeros:
            checked_scales(table, tensor.name, zero=self._zero)
        height = self.shape[-2] if len(self.shape) > 1 else 1
        per_matrix = -(-height // min(self._block[0], height))
        blocks = -(-self.shape[-1] // self._block[1])
        table = table.reshape(-1, blocks)
        matrix, row = np.divmod(np.arange(start, stop), height)
        found: NDArray[np.float32] = table[matrix * per_matrix + row // self._block[0]]
        return found
