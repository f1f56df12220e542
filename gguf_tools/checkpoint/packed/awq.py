"""AWQ in its "gemm" layout: integers of 4 bits with scales and zero points of groups of inputs.

    NAME.qweight  int32 (inputs, outputs / 8): eight outputs in a word, in the order 0 2 4 6 1 3 5 7
    NAME.qzeros   int32 (groups, outputs / 8): likewise
    NAME.scales   float (groups, outputs)

    value[output, input] = (integer − zero) × scale

From ``WQLinear_GEMM`` of AutoAWQ, and the kernels transformers' AWQ integration calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CheckpointError, UnsupportedError
from ..reader import SafetensorsTensor
from .components import Parts, checked_scales, require_shape, setting
from .transposed import Band, BandCache, Turned, turned_floats, turned_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unpack"]

_ORDER: Final = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which output the lowest, second lowest, … four bits of a word belong to."""


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Linear layers as matrices of (outputs, inputs)."""
    bits = setting(settings, "bits", "w_bit", kind=int)
    group = setting(settings, "group_size", "q_group_size", kind=int, default=-1)
    version = setting(settings, "version", kind=str, default="gemm").lower()
    if bits != 4:
        raise UnsupportedError("AWQ of this many bits", found=bits, expected="4")
    if version != "gemm":
        raise UnsupportedError(
            "this layout of AWQ",
            path="config.json",
            key="quantization_config.version",
            found=version,
            expected="gemm",
        )
    kept = BandCache()
    for base in list(parts.bases(".qweight")):
        found = [parts.take(base, ending) for ending in (".qweight", ".qzeros", ".scales")]
        if any(part is None for part in found):
            continue
        weight, zeros, scales = (part for part in found if part is not None)
        made = _Linear(base + ".weight", weight, zeros, scales, group, kept)
        parts.make(base, made.name, made, at=weight.name, form="AWQ-4")


class _Linear(Turned):
    def __init__(
        self,
        name: str,
        weight: SafetensorsTensor,
        zeros: SafetensorsTensor,
        scales: SafetensorsTensor,
        group: int,
        kept: BandCache,
    ) -> None:
        if len(weight.shape) != 2:
            raise CheckpointError("not a matrix", tensor=weight.name, found=weight.shape)
        inputs, words = weight.shape
        size = inputs if group == -1 else group
        if size < 1 or inputs % size:
            raise CheckpointError(
                "the groups do not divide the inputs",
                tensor=weight.name,
                found=group,
                expected=f"a divisor of {inputs}",
            )
        require_shape(weight, [weight.shape], ["I32"])
        require_shape(zeros, [(inputs // size, words)], ["I32"])
        require_shape(scales, [(inputs // size, 8 * words)], ["F16", "BF16", "F32"])
        super().__init__(name, (8 * words, inputs), weight, kept)
        self._zeros, self._scales, self._group = zeros, scales, size

    def _read(self, start: int, stop: int) -> Band:
        first, last = start // 8, stop // 8
        scales = checked_scales(turned_floats(self._scales, start, stop), self._scales.name)
        zeros = _integers(turned_words(self._zeros, first, last))
        return Band(turned_words(self._weight, first, last), zeros, scales)

    def _together(self) -> int:
        return 8

    def _decode(self, band: Band, start: int, stop: int, out: NDArray[np.float32]) -> None:
        from . import kernels

        groups = band.scales.shape[1]
        words = band.words[start // 8 : stop // 8].reshape(-1, groups, self._group)
        rows = slice(start, stop)
        kernels.awq(words, band.zeros[rows], band.scales[rows], out.reshape(-1, groups, self._group))


def _integers(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    """All that is in such words: float32 (outputs, columns)."""
    out = np.empty((words.shape[0], 8, words.shape[1]), np.float32)
    for place, output in enumerate(_ORDER):
        out[:, output] = words >> np.uint32(4 * place) & np.uint32(15)
    return out.reshape(-1, words.shape[1])
