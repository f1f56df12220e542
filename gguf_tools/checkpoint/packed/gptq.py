"""GPTQ: integers of 2, 3, 4 or 8 bits with scales and zero points of groups of inputs.

    NAME.qweight  int32 (inputs × bits / 32, outputs): a column is a stream of bits, lowest first
    NAME.qzeros   int32 (groups, outputs × bits / 32): a row is such a stream
    NAME.scales   float (groups, outputs)
    NAME.g_idx    int32 (inputs,): the group of each input, where the order of activations counts

    value[output, input] = scale × (integer − zero)

The first version of the format stores zero − 1; ``checkpoint_format: gptq_v2`` stores zero itself. As in
the kernels that run such models (and in llama.cpp), 1 is added without wrapping around.

From the packing in AutoGPTQ's and GPTQModel's ``qlinear`` modules, and ``dequant_model`` of llama.cpp's
converter (b11434), which reads 2, 4 and 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CheckpointError, UnsupportedError
from ...source import row_count
from ...spec import GGMLType, row_bytes
from ..reader import SafetensorsTensor
from .bit_unpack import scaled, stream
from .components import Parts, checked_scales, group_order, require_shape, setting
from .lossless_repack import exact_type, repacked
from .transposed import TILE, Band, BandCache, Turned, tiled_words, turned_floats, turned_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unpack"]

_BITS: Final = (2, 3, 4, 8)
_FORMATS: Final = {"gptq": 1, "gptq_v2": 0}
_FLOATS: Final = ("F16", "BF16", "F32")
_READ: Final = 1 << 22
"""Bytes of zero points looked at together."""


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Linear layers as matrices of (outputs, inputs)."""
    bits = setting(settings, "bits", kind=int)
    group = setting(settings, "group_size", kind=int, default=-1)
    stored = setting(settings, "checkpoint_format", kind=str, default="gptq")
    if bits not in _BITS:
        raise UnsupportedError("GPTQ of this many bits", found=bits, expected=", ".join(map(str, _BITS)))
    if stored not in _FORMATS:
        raise UnsupportedError(
            "this layout of GPTQ",
            path="config.json",
            key="quantization_config.checkpoint_format",
            found=stored,
            expected=" or ".join(_FORMATS),
        )
    kept = BandCache()
    for base in list(parts.bases(".qweight")):
        found = [parts.take(base, ending) for ending in (".qweight", ".qzeros", ".scales")]
        if any(part is None for part in found):
            continue
        weight, zeros, scales = (part for part in found if part is not None)
        order = parts.find(base, ".g_idx")
        kind = (bits, group, _FORMATS[stored], settings.get("sym"))
        made = _Linear(base + ".weight", weight, zeros, scales, order, *kind, kept)
        parts.make(base, made.name, made, at=weight.name, form=f"GPTQ-{bits}")


class _Linear(Turned):
    def __init__(
        self,
        name: str,
        weight: SafetensorsTensor,
        zeros: SafetensorsTensor,
        scales: SafetensorsTensor,
        order: SafetensorsTensor | None,
        bits: int,
        group: int,
        added: int,
        symmetric: object,
        kept: BandCache,
    ) -> None:
        if len(weight.shape) != 2:
            raise CheckpointError("not a matrix", tensor=weight.name, found=weight.shape)
        inputs, outputs = weight.shape[0] * 32 // bits, weight.shape[1]
        size = inputs if group == -1 else group
        if size < 1 or inputs % size:
            raise CheckpointError(
                "the groups do not divide the inputs",
                tensor=weight.name,
                found=group,
                expected=f"a divisor of {inputs}",
            )
        groups = inputs // size
        require_shape(weight, [weight.shape], ["I32"])
        require_shape(zeros, [(groups, outputs * bits // 32)], ["I32"])
        require_shape(scales, [(groups, outputs)], _FLOATS)
        if order is not None:
            require_shape(order, [(inputs,)], ["I32", "I64"])
        super().__init__(name, (outputs, inputs), weight, kept)
        self._zeros, self._scales, self._order = zeros, scales, order
        self._bits, self._group, self._groups, self._added = bits, size, groups, added
        self._symmetric = symmetric

    def _read(self, start: int, stop: int) -> Band:
        # whole words of whole streams: 32 outputs take `bits` words whatever the bits
        words = slice(start // 32 * self._bits, -(-stop * self._bits // 32))
        packed = np.ascontiguousarray(self._zeros.band(4 * words.start, 4 * words.stop))
        zeros = stream(packed, self._bits)[:, : stop - start] + np.float32(self._added)
        scales = checked_scales(turned_floats(self._scales, start, stop), self._scales.name)
        if self._tiled():
            return Band(tiled_words(self._weight, start, stop), _tiles(zeros.T), _tiles(scales))
        return Band(turned_words(self._weight, start, stop), np.ascontiguousarray(zeros.T), scales)

    def _together(self) -> int:
        return TILE if self._tiled() else 1

    def _decode(self, band: Band, start: int, stop: int, out: NDArray[np.float32]) -> None:
        from . import kernels

        places = self._places()
        if places is not None and self._tiled():
            tiles = slice(start // TILE, stop // TILE)
            kernels.ordered(band.words[tiles], band.zeros[tiles], band.scales[tiles], places, out)
        else:
            data = band.words[start:stop].view(np.uint8)
            scaled(data, self._bits, band.zeros[start:stop], band.scales[start:stop], places, out)

    @cached_property
    def _exact(self) -> GGMLType | None:
        """The type of GGUF that holds these numbers, where all zero points are half the range."""
        found = exact_type(self._bits, self._group, self._scales.dtype)
        if found is None or self._symmetric is False or self._places() is not None:
            return None
        half = (1 << (self._bits - 1)) - self._added
        expected = half if self._bits == 8 else half | half << 4
        rows = row_count(self._zeros.shape)
        step = max(1, _READ // max(1, 4 * self._zeros.shape[-1]))
        parts = (self._zeros.raw(start, min(start + step, rows)) for start in range(0, rows, step))
        return found if all((part == expected).all() for part in parts) else None

    @property
    def storage(self) -> GGMLType | None:
        return self._exact

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self._exact is None:
            return super().raw(start, stop)
        out = np.empty((stop - start, row_bytes(self._exact, self._shape[1])), np.uint8)
        for band, rows, place in self._banded(start, stop):
            data = band.words[rows].view(np.uint8)
            out[place] = repacked(data, self._bits, band.scales[rows], self._scales.name)
        return out

    def _tiled(self) -> bool:
        """Whether integers stay as they are stored until they are decoded.

        In the order of activations every input has a group of its own, and a number would have to be looked
        up for each value. As stored, sixteen outputs lie side by side for one input, and so do their scales.
        """
        outputs, inputs = self._shape
        whole = self._bits == 4 and outputs % TILE == 0 and inputs % TILE == 0
        return whole and self._places() is not None

    def _places(self) -> NDArray[np.uint32] | None:
        """The group of each input, or None where they follow one another."""
        order = self._order
        if order is None:
            return None
        return self._kept.get((self.name, "order"), lambda: group_order(order, self._groups))


def _tiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, groups) as (rows / 16, groups, 16)."""
    rows, groups = values.shape
    return np.ascontiguousarray(values.reshape(rows // TILE, TILE, groups).transpose(0, 2, 1))
