"""NVFP4: values of 4 bits in groups of 16 with FP8 scales, and a scale of the whole tensor.

    NAME.weight or NAME.weight_packed       U8 (rows, columns / 2): pairs of E2M1, the first one low
    NAME.weight_scale                       F8_E4M3 (rows, columns / 16)
    NAME.weight_scale_2                     F32, what to multiply with (modelopt)
    NAME.weight_global_scale                F32, what to divide by (compressed-tensors)
    NAME.input_scale, .input_global_scale   likewise, of the activations; absent where only weights are packed

GGUF's NVFP4 has the same numbers, four groups in a block, with their scales before them and value i of a
group beside value i + 8. The scales of the tensor and of its inputs go into tensors of their own:

    byte 0              4                                  36
         ┌──────────────┬──────────────────────────────────┐    NAME.scale        F32 (1,), or one
         │ 4 × UE4M3    │ 4 × 8 × (q[i] | q[i+8] << 4)     │    NAME.input_scale  for each expert
         └──────────────┴──────────────────────────────────┘

From compressed-tensors' ``nvfp4_quantized`` compressor, modelopt's ``NVFP4QTensor``, ggml's ``block_nvfp4``
and llama.cpp's converter (b11434).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CheckpointError
from ...spec import GGMLType
from ..reader import SafetensorsTensor
from ..small_floats import E2M1, E4M3
from .components import DequantizedSource, checked_scales, require_shape, whole_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NVFP4", "e2m1"]

_GROUP: Final = 16
_BLOCK: Final = 64
_SIGN: Final = 0x80
_NAN: Final = 0x7F


def e2m1(
    data: NDArray[np.uint8], scales: NDArray[np.uint8], meanings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values of 4 bits times their scales.

    Args:
        data: uint8 (rows, columns / 2), the first of two values in the low half of a byte.
        scales: uint8 (rows, groups), of groups of 16 or 32.
        meanings: float32 (256,), the scale that each code stands for.

    Returns:
        float32 (rows, columns).
    """
    from . import kernels

    rows, columns = data.shape[0], 2 * data.shape[1]
    parts = columns // max(scales.shape[1], 1) // _GROUP
    out = np.empty((rows, columns), np.float32)
    kernels.e2m1(
        data.reshape(scales.size, parts, _GROUP // 2),
        E2M1,
        np.ascontiguousarray(scales).reshape(-1),
        meanings,
        out.reshape(scales.size, parts, _GROUP),
    )
    return out


class NVFP4(DequantizedSource):
    """The values; and where rows are blocks of 64, the same as GGUF stores them.

    Args:
        name: of the result.
        packed: the values of 4 bits.
        scale: of each group.
        tensor_scale: of the whole tensor.
        input_scale: of its inputs, which only goes into `factors`.
        divide: whether the two last divide.
        weight_only: whether inputs are not to be rounded to 4 bits.
    """

    def __init__(
        self,
        name: str,
        packed: SafetensorsTensor,
        scale: SafetensorsTensor,
        tensor_scale: SafetensorsTensor,
        input_scale: SafetensorsTensor | None,
        *,
        divide: bool,
        weight_only: bool = False,
    ) -> None:
        shape = (*packed.shape[:-1], 2 * packed.shape[-1]) if packed.shape else ()
        if len(shape) < 2 or shape[-1] % _GROUP:
            raise CheckpointError("not rows of groups of 16", tensor=packed.name, found=packed.shape)
        require_shape(packed, [tuple(packed.shape)], ["U8"])
        require_shape(scale, [(*shape[:-1], shape[-1] // _GROUP)], ["F8_E4M3"])
        super().__init__(name, shape)
        self._packed, self._scale, self._divide = packed, scale, divide
        self.weight_only = weight_only
        self._whole = _single(tensor_scale)
        given = {".scale": self._whole, ".input_scale": None if input_scale is None else _single(input_scale)}
        self.factors = {
            ending: (float(np.float32(1) / value if divide else value),)
            for ending, value in given.items()
            if value is not None
        }

    @property
    def storage(self) -> GGMLType | None:
        return None if self.shape[-1] % _BLOCK else GGMLType.NVFP4

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        meanings = E4M3 / self._whole if self._divide else E4M3 * self._whole
        return e2m1(self._packed.raw(start, stop), self._scales(start, stop), meanings)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        scales = self._scales(start, stop)
        if int(scales.max(initial=0)) > _SIGN:
            at = tuple(np.argwhere(scales > _SIGN)[0].tolist())
            raise CheckpointError(
                f"a scale has a sign at {at}, which GGUF's NVFP4 has no room for",
                tensor=self._scale.name,
                found=float(E4M3[scales[at]]),
            )
        count, blocks = stop - start, self.shape[-1] // _BLOCK
        out = np.empty((count, blocks, 36), np.uint8)
        out[:, :, :4] = (scales & ~np.uint8(_SIGN)).reshape(count, blocks, 4)
        pairs_of = self._packed.raw(start, stop).reshape(count, blocks, 4, 8)
        near, far = pairs_of[..., :4], pairs_of[..., 4:]
        made = np.empty((count, blocks, 4, 8), np.uint8)
        made[..., 0::2] = near & 15 | far << 4
        made[..., 1::2] = near >> 4 | far & 0xF0
        out[:, :, 4:] = made.reshape(count, blocks, 32)
        return out.reshape(count, blocks * 36)

    def _scales(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Codes of scales, (rows, groups): numbers all of them. Groups of zeros have a scale of zero."""
        codes = self._scale.raw(start, stop)
        if codes.size and int((codes & ~np.uint8(_SIGN)).max()) == _NAN:
            checked_scales(E4M3.take(codes), self._scale.name, zero=True)
        return codes


def _single(tensor: SafetensorsTensor) -> np.float32:
    """The one value of a tensor, a scale."""
    if int(np.prod(tensor.shape)) != 1:
        raise CheckpointError("not one scale", tensor=tensor.name, found=tensor.shape)
    return np.float32(checked_scales(whole_floats(tensor).reshape(1), tensor.name)[0])
