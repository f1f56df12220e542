"""bitsandbytes: NF4 and FP4 with a scale per block, and int8 with a scale per row.

    NAME.weight                       U8 (n / 2, 1): two codes in a byte, the first one high
    NAME.weight.absmax                F32 (blocks,); or U8 with a second level of scales:
    NAME.weight.quant_map             F32 (16,): what the codes stand for
    NAME.weight.nested_absmax         F32 (⌈blocks / nested_blocksize⌉,)
    NAME.weight.nested_quant_map      F32 (256,)
    NAME.weight.quant_state.bitsandbytes__nf4   U8: JSON: shape, blocksize, nested_…

    NAME.weight  I8 (rows, columns) and NAME.SCB  F32 (rows,): value = code × SCB / 127

From ``QuantState.from_dict`` and ``dequantize_4bit`` of bitsandbytes 0.50.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CheckpointError
from ..json_files import parse_object
from ..reader import SafetensorsTensor
from .bit_unpack import pairs
from .components import (
    DequantizedSource,
    Parts,
    checked_scales,
    require_shape,
    some_floats,
    whole,
    whole_floats,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unpack"]

_STATES: Final = (".weight.quant_state.bitsandbytes__nf4", ".weight.quant_state.bitsandbytes__fp4")
_MAX_STATE: Final = 1 << 16


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Layers of 4 bits, and those of 8."""
    for ending in _STATES:
        for base in list(parts.bases(ending)):
            state = parts.take(base, ending)
            weight, scales, codes = (
                parts.take(base, f".weight{part}") for part in ("", ".absmax", ".quant_map")
            )
            nested = [parts.find(base, f".weight.nested_{part}") for part in ("absmax", "quant_map")]
            if state is None or weight is None or scales is None or codes is None:
                continue
            made = _FourBits(weight, scales, codes, nested, _state(state))
            parts.make(base, weight.name, made, at=weight.name, form=ending.rpartition("__")[2].upper())
    for base in list(parts.bases(".SCB")):
        weight, scales = parts.take(base, ".weight"), parts.take(base, ".SCB")
        if weight is not None and scales is not None:
            parts.make(base, weight.name, _EightBits(weight, scales), at=weight.name, form="INT8")
    parts.drop((".weight_format",), "how the matrix was laid out in memory")


def _state(tensor: SafetensorsTensor) -> dict[str, Any]:
    if tensor.dtype != "U8" or tensor.nbytes > _MAX_STATE:
        raise CheckpointError("not a quantization state", tensor=tensor.name, found=tensor.dtype)
    return parse_object(whole(tensor, "u1").tobytes(), tensor.name, strict=False)


class _FourBits(DequantizedSource):
    def __init__(
        self,
        weight: SafetensorsTensor,
        scales: SafetensorsTensor,
        codes: SafetensorsTensor,
        nested: list[SafetensorsTensor | None],
        state: Mapping[str, Any],
    ) -> None:
        shape, block = state.get("shape"), state.get("blocksize")
        if not isinstance(shape, list) or not shape or not all(type(n) is int and n > 0 for n in shape):
            raise CheckpointError("has no usable shape", tensor=weight.name, found=shape)
        if type(block) is not int or block < 2 or block % 2:
            raise CheckpointError("has no usable block size", tensor=weight.name, found=block)
        count = prod(shape)
        blocks = -(-count // block)
        require_shape(weight, [(-(-count // 2), 1)], ["U8"])
        require_shape(scales, [(blocks,)], ["F32"] if nested[0] is None else ["U8"])
        require_shape(codes, [(16,)], ["F32"])
        if shape[-1] % 2:
            raise CheckpointError("rows do not begin at whole bytes", tensor=weight.name, found=tuple(shape))
        super().__init__(weight.name, tuple(shape))
        self._weight, self._scales, self._codes, self._block = weight, scales, codes, block
        self._nested = nested
        self._nested_block = state.get("nested_blocksize")
        self._offset = state.get("nested_offset")
        if nested[0] is not None:
            outer = self._nested_block
            if type(outer) is not int or outer < 1 or not isinstance(self._offset, int | float):
                raise CheckpointError("has no usable second level of scales", tensor=weight.name, found=outer)
            require_shape(nested[0], [(-(-blocks // outer),)], ["F32"])
            if nested[1] is None:
                raise CheckpointError("lacks its nested_quant_map", tensor=weight.name)
            require_shape(nested[1], [(256,)], ["F32"])

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        from . import kernels

        row = self.shape[-1]
        first, last = start * row, stop * row  # values
        packed = self._weight.raw(first // 2, last // 2).reshape(-1)
        scales = self._scale(first // self._block, -(-last // self._block))
        values = np.empty(last - first, np.float32)
        lead = first % self._block
        zeros = np.zeros(max(scales.size, 1), np.float32)
        if lead == 0 and values.size % self._block == 0:
            blocks = values.reshape(-1, self._block)
            kernels.looked_up(
                packed.reshape(len(blocks), self._block // 2), self._table, zeros, scales, blocks
            )
        else:
            kernels.looked_up(packed[None], self._table, zeros, np.ones(1, np.float32), values[None])
            values *= np.repeat(scales, self._block)[lead : lead + values.size]
        return values.reshape(stop - start, row)

    @cached_property
    def _table(self) -> NDArray[np.uint64]:
        """What each byte stands for."""
        return pairs(whole_floats(self._codes), swapped=True)

    @cached_property
    def _inner(self) -> NDArray[np.float32]:
        """What each byte of nested scales stands for."""
        codes = self._nested[1]
        return np.zeros(256, np.float32) if codes is None else whole_floats(codes)

    def _scale(self, first: int, last: int) -> NDArray[np.float32]:
        """Scales of blocks ``first`` to ``last``."""
        outer = self._nested[0]
        if outer is None:
            scales = some_floats(self._scales, first, last)
        else:
            inner = self._inner.take(self._scales.band(first, last)[0])
            size = int(self._nested_block or 1)
            begin, end = first // size, -(-last // size)
            places = np.arange(first, last) // size - begin
            scales = inner * some_floats(outer, begin, end).take(places) + np.float32(self._offset or 0)
        return checked_scales(scales, self._scales.name, zero=True)


class _EightBits(DequantizedSource):
    def __init__(self, weight: SafetensorsTensor, scales: SafetensorsTensor) -> None:
        if len(weight.shape) != 2:
            raise CheckpointError("not a matrix", tensor=weight.name, found=weight.shape)
        require_shape(weight, [weight.shape], ["I8"])
        require_shape(scales, [(weight.shape[0],), (weight.shape[0], 1)], ["F32"])
        super().__init__(weight.name, weight.shape)
        self._weight, self._scales = weight, scales

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        from . import kernels

        scales = whole_floats(self._scales).reshape(-1)[start:stop]
        checked_scales(scales, self._scales.name, zero=True)
        out = np.empty((stop - start, self.shape[1]), np.float32)
        kernels.bytes_(
            self._weight.raw(start, stop).view(np.int8), np.zeros_like(scales), scales / np.float32(127), out
        )
        return out
