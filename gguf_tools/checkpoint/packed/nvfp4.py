"""NVFP4: values of 4 bits in groups of 16 with FP8 scales, and a scale of the whole tensor.

    NAME.weight or NAME.weight_packed       U8 (rows, columns / 2): pairs of E2M1, the first one low
    NAME.weight_scale                       F8_E4M3 (rows, columns / 16)
    NAME.weight_scale_2                     F32, what to multiply with (modelopt)
    NAME.weight_global_scale                F32, what to divide by (compressed-tensors)

From compressed-tensors' ``nvfp4_quantized`` compressor and modelopt's ``NVFP4QTensor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CheckpointError
from ..reader import SafetensorsTensor
from ..small_floats import E2M1
from .integers import pairs
from .parts import Computed, checked_scales, require_shape, whole_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NVFP4", "e2m1"]

_GROUP: Final = 16

_PAIRS: Final = pairs(E2M1)


def e2m1(data: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of 4 bits times their scales.

    Args:
        data: uint8 (rows, columns / 2), the first of two values in the low half of a byte.
        scales: float32 (rows, groups), of groups of 16 or 32.

    Returns:
        float32 (rows, columns).
    """
    from . import kernels

    rows, columns = data.shape[0], 2 * data.shape[1]
    parts = columns // max(scales.shape[1], 1) // _GROUP
    out = np.empty((rows, columns), np.float32)
    kernels.sixteens(
        data.reshape(scales.size, parts, _GROUP // 2),
        _PAIRS,
        np.ascontiguousarray(scales).reshape(-1),
        out.reshape(scales.size, parts, _GROUP),
    )
    return out


class NVFP4(Computed):
    """The values; ``divide`` tells which kind of scale the tensor's is."""

    def __init__(
        self,
        name: str,
        packed: SafetensorsTensor,
        scale: SafetensorsTensor,
        tensor_scale: SafetensorsTensor,
        *,
        divide: bool,
    ) -> None:
        shape = (*packed.shape[:-1], 2 * packed.shape[-1]) if packed.shape else ()
        if len(shape) < 2 or shape[-1] % _GROUP:
            raise CheckpointError("not rows of groups of 16", tensor=packed.name, found=packed.shape)
        require_shape(packed, [tuple(packed.shape)], ["U8"])
        require_shape(scale, [(*shape[:-1], shape[-1] // _GROUP)], ["F8_E4M3"])
        if int(np.prod(tensor_scale.shape)) != 1:
            raise CheckpointError("not one scale", tensor=tensor_scale.name, found=tensor_scale.shape)
        super().__init__(name, shape)
        self._packed, self._scale, self._tensor_scale, self._divide = packed, scale, tensor_scale, divide

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        whole = checked_scales(whole_floats(self._tensor_scale).reshape(1), self._tensor_scale.name)[0]
        # groups of zeros have a scale of zero
        scales = checked_scales(self._scale.rows(start, stop), self._scale.name, zero=True)
        scales = scales / whole if self._divide else scales * whole
        return e2m1(self._packed.raw(start, stop), scales)
