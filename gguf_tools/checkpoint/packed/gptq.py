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
from ...spec import GGMLType
from ..reader import SafetensorsTensor
from .exact import exact_type, repacked
from .integers import scaled, stream
from .parts import Bands, Computed, Parts, checked_scales, require_shape, setting, whole

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
    bands = Bands()
    for base in list(parts.bases(".qweight")):
        found = [parts.take(base + ending) for ending in (".qweight", ".qzeros", ".scales")]
        if any(part is None for part in found):
            continue
        weight, zeros, scales = (part for part in found if part is not None)
        order = parts.find(base + ".g_idx")
        kind = (bits, group, _FORMATS[stored], settings.get("sym"))
        made = _Linear(base + ".weight", weight, zeros, scales, order, *kind, bands)
        parts.make(made.name, made, at=weight.name, form=f"GPTQ-{bits}")


class _Linear(Computed):
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
        bands: Bands,
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
        super().__init__(name, (outputs, inputs))
        self._weight, self._zeros, self._scales, self._order = weight, zeros, scales, order
        self._bits, self._group, self._groups, self._added = bits, size, groups, added
        self._bands, self._symmetric = bands, symmetric

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        count = stop - start
        words = self._bands.words(self._weight, start, stop)
        zeros = self._zeros_of(start, stop)
        scales = checked_scales(self._columns(self._scales, start, stop), self._scales.name)
        data = words.view(np.uint8).reshape(count, 4 * words.shape[1])
        return scaled(data, self._bits, zeros.T, scales.T, self._places())

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
        words = self._bands.words(self._weight, start, stop)
        scales = self._columns(self._scales, start, stop)
        data = words.view(np.uint8).reshape(stop - start, 4 * words.shape[1])
        return repacked(data, self._bits, scales.T, self._scales.name)

    def _zeros_of(self, start: int, stop: int) -> NDArray[np.float32]:
        """Zero points of some outputs: (groups, outputs)."""
        # whole words of whole streams: 32 outputs take `bits` words whatever the bits
        first, last = start // 32 * 32, min(-(-stop // 32) * 32, self.shape[0])
        words = slice(first * self._bits // 32, -(-last * self._bits // 32))
        packed = self._bands.columns(self._zeros, words.start, words.stop, 4)
        zeros = stream(np.ascontiguousarray(packed), self._bits)
        return zeros[:, start - first : stop - first] + np.float32(self._added)

    def _columns(self, tensor: SafetensorsTensor, start: int, stop: int) -> NDArray[np.float32]:
        size = tensor.nbytes // (tensor.shape[0] * tensor.shape[1]) if tensor.nbytes else 1
        packed = np.ascontiguousarray(self._bands.columns(tensor, start, stop, size))
        return tensor.decoded(packed.reshape(-1)).reshape(packed.shape[0], stop - start)

    def _places(self) -> NDArray[np.int64] | None:
        """The group of each input, or None where they follow one another."""
        if self._order is None:
            return None
        places = whole(self._order, "<i8" if self._order.dtype == "I64" else "<i4").astype(np.int64)
        if places.min(initial=0) < 0 or places.max(initial=0) >= self._groups:
            raise CheckpointError(
                "names a group there is not",
                tensor=self._order.name,
                found=int(places.max()),
                expected=f"0 to {self._groups - 1}",
            )
        if (places == np.arange(places.size) // self._group).all():
            return None
        return places
