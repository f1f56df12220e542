"""compressed-tensors: what llm-compressor and vLLM's tools write.

    pack-quantized    NAME.weight_packed      I32 (rows, ⌈columns × bits / 32⌉): integers plus 2^(bits−1)
                      NAME.weight_scale       (rows, groups), or (rows, 1)
                      NAME.weight_zero_point  I32 (⌈rows × bits / 32⌉, groups): packed along the rows
                      NAME.weight_shape       I64 (2,): rows and columns
                      NAME.weight_g_idx       I32 (columns,): groups, where the order of activations counts
    int-quantized     NAME.weight I8, NAME.weight_scale, perhaps NAME.weight_zero_point
    float-quantized   NAME.weight F8_E4M3, NAME.weight_scale
    naive-quantized   either of these
    nvfp4-pack-quantized   see ``nvfp4``

    value = (integer − zero point) × scale

Integers of 3, 5, 6 and 7 bits are a stream in which some lie across two words; older releases put 32 // bits
of them into a word, which shows in the shape.

From the compressors of compressed-tensors 0.20; the older packing from ``dequant_model`` of llama.cpp's
converter (b11434).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CheckpointError, UnsupportedError
from ...spec import GGMLType
from ..reader import SafetensorsTensor
from .bit_unpack import dense, fields, scaled, words
from .components import DequantizedSource, Parts, checked_scales, group_order, require_shape, whole
from .expressions import matches
from .lossless_repack import exact_type, repacked
from .nvfp4 import NVFP4
from .scaled import ScaledWeights, grid
from .transposed import BandCache

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unpack"]

_FORMATS: Final = (
    "pack-quantized",
    "int-quantized",
    "float-quantized",
    "naive-quantized",
    "nvfp4-pack-quantized",
    "mixed-precision",
)
_UNUSED: Final = (
    ".input_scale",
    ".input_zero_point",
    ".input_global_scale",
    ".k_scale",
    ".v_scale",
    ".q_scale",
    ".output_scale",
)


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Each layer by the tensors it has; how many bits it has stands in the config group it belongs to."""
    stored = settings.get("format")
    if stored not in _FORMATS:
        raise UnsupportedError(
            "this format of compressed-tensors",
            path="config.json",
            key="quantization_config.format",
            found=stored,
            expected=", ".join(_FORMATS),
        )
    sparsity = settings.get("sparsity_config")
    if isinstance(sparsity, Mapping) and sparsity.get("format") not in (None, "dense"):
        raise UnsupportedError(
            "sparse compressed-tensors",
            path="config.json",
            key="quantization_config.sparsity_config.format",
            found=sparsity.get("format"),
            expected="dense",
        )
    groups = _Groups(settings)
    for base in list(parts.bases(".weight_global_scale")):
        names = (".weight_packed", ".weight_scale", ".weight_global_scale")
        packed, scale, tensor_scale = (parts.take(base, name) for name in names)
        if packed is not None and scale is not None and tensor_scale is not None:
            inputs = parts.find(base, ".input_global_scale")
            made = NVFP4(base + ".weight", packed, scale, tensor_scale, inputs, divide=True)
            parts.make(base, made.name, made, at=packed.name, form="NVFP4", first=made.storage is not None)
    kept = BandCache()
    for base in list(parts.bases(".weight_packed")):
        packed, scale, shape = (parts.take(base, f".weight_{part}") for part in ("packed", "scale", "shape"))
        zeros, order = (parts.find(base, f".weight_{part}") for part in ("zero_point", "g_idx"))
        if packed is not None and scale is not None and shape is not None:
            bits = groups.bits(base)
            linear = _Linear(base + ".weight", packed, scale, shape, zeros, order, bits, kept)
            parts.make(base, linear.name, linear, at=packed.name, form=f"INT{bits}")
    for base in list(parts.bases(".weight_scale")):
        weight, scale = parts.take(base, ".weight"), parts.take(base, ".weight_scale")
        zeros = parts.find(base, ".weight_zero_point")
        if weight is None or scale is None:
            continue
        size = grid(tuple(weight.shape), scale, groups.block(base))
        if zeros is not None:
            require_shape(zeros, [tuple(scale.shape)], ["I8"])
        plain = ScaledWeights(weight.name, weight, scale, size, zeros=zeros)
        parts.make(base, weight.name, plain, at=weight.name, form=_form(weight.dtype))
    parts.drop(_UNUSED, "a scale of activations, which GGUF has no use for")


def _form(dtype: str) -> str:
    """What bytes with scales are called: integers by their bits."""
    return {"I8": "INT8"}.get(dtype, dtype)


class _Groups:
    """The config groups, and which a layer belongs to."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = settings.get("config_groups")
        found = list(given.values()) if isinstance(given, Mapping) else []
        self._groups = [group for group in found if isinstance(group, Mapping)]
        if not self._groups:
            raise CheckpointError(
                "there are no config groups",
                path="config.json",
                key="quantization_config.config_groups",
                found=given,
            )

    def bits(self, layer: str) -> int:
        """Bits of a layer's weights, 1 to 8."""
        bits = self._weights(layer).get("num_bits")
        if type(bits) is not int or not 1 <= bits <= 8:
            raise UnsupportedError(
                "weights of this many bits",
                key="quantization_config.config_groups",
                tensor=layer,
                found=bits,
                expected="1 to 8",
            )
        return bits

    def block(self, layer: str) -> tuple[int, int] | None:
        """Rows and columns that share a scale, where the config speaks of blocks."""
        given = self._weights(layer).get("block_structure")
        if isinstance(given, str):  # "128x128"
            given = [int(part) for part in given.split("x") if part.isdecimal()]
        if isinstance(given, list) and len(given) == 2 and all(type(n) is int and n > 0 for n in given):
            return given[0], given[1]
        return None

    def _weights(self, layer: str) -> Mapping[str, Any]:
        named = [group for group in self._groups if self._names(group, layer)]
        found = [group.get("weights") for group in named or self._groups]
        weights = found[0]
        if not named and any(other != weights for other in found):
            raise UnsupportedError(
                "config groups that differ, and name classes of layers only: which of them is this layer's "
                "cannot be told",
                path="config.json",
                key="quantization_config.config_groups",
                tensor=layer,
                found=[group.get("targets") for group in self._groups],
                expected="one group, or groups that name layers",
            )
        return weights if isinstance(weights, Mapping) else {}

    def _names(self, group: Mapping[str, Any], layer: str) -> bool:
        """Whether a group speaks of this layer by name or expression, and not of a class of layers."""
        targets = group.get("targets")
        for target in targets if isinstance(targets, list) else []:
            if not isinstance(target, str):
                continue
            if target == layer:
                return True
            if target.startswith("re:") and matches(target[3:], layer):
                return True
        return False


class _Linear(DequantizedSource):
    def __init__(
        self,
        name: str,
        packed: SafetensorsTensor,
        scale: SafetensorsTensor,
        shape: SafetensorsTensor,
        zeros: SafetensorsTensor | None,
        order: SafetensorsTensor | None,
        bits: int,
        kept: BandCache,
    ) -> None:
        require_shape(shape, [(2,)], ["I64", "I32"])
        rows, columns = (int(n) for n in whole(shape, "<i8" if shape.dtype == "I64" else "<i4"))
        each = 32 // bits
        if rows < 1 or columns < 1:
            raise CheckpointError("not the shape of a matrix", tensor=shape.name, found=(rows, columns))
        shapes = [(rows, -(-columns * bits // 32)), (rows, -(-columns // each))]
        require_shape(packed, shapes, ["I32"])
        self._dense = tuple(packed.shape) == shapes[0]
        groups = scale.shape[1] if len(scale.shape) == 2 else 0
        if groups < 1 or (columns % groups and order is None):
            raise CheckpointError(
                "the groups do not divide the columns",
                tensor=scale.name,
                found=tuple(scale.shape),
                expected=f"({rows}, a divisor of {columns})",
            )
        require_shape(scale, [(rows, groups)], ["F16", "BF16", "F32"])
        if zeros is not None:
            height = -(-rows * bits // 32) if self._dense else -(-rows // each)
            require_shape(zeros, [(height, groups)], ["I32"])
        if order is not None:
            require_shape(order, [(columns,)], ["I32", "I64"])
        super().__init__(name, (rows, columns))
        self._packed, self._scale, self._zeros, self._order = packed, scale, zeros, order
        self._bits, self._groups, self._kept = bits, groups, kept

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        count, columns = stop - start, self.shape[1]
        scales = checked_scales(self._scale.rows(start, stop), self._scale.name)
        zeros = self._zeros_of(start, stop)
        places = self._places()
        data = self._packed.raw(start, stop)
        if self._bits in (2, 4, 8) and 8 * data.shape[1] == self._bits * columns:
            return scaled(data, self._bits, zeros, scales, places)  # words are of no importance
        if self._dense:
            values = dense(data, self._bits)[:, :columns].astype(np.float32)
        else:
            values = words(data, self._bits)[:, :columns]
        if places is not None:
            return (values - zeros.take(places, axis=1)) * scales.take(places, axis=1)
        grouped = values.reshape(count, self._groups, columns // self._groups)
        made: NDArray[np.float32] = (grouped - zeros[:, :, None]) * scales[:, :, None]
        return made.reshape(count, columns)

    @property
    def storage(self) -> GGMLType | None:
        if self._zeros is not None or self._places() is not None:
            return None
        return exact_type(self._bits, self.shape[1] // self._groups, self._scale.dtype)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        data = self._packed.raw(start, stop)
        return repacked(data, self._bits, self._scale.rows(start, stop), self._scale.name)

    def _zeros_of(self, start: int, stop: int) -> NDArray[np.float32]:
        """Zero points of each row, (rows, groups): those of a symmetric layer are half the range."""
        if self._zeros is None:
            return np.full((stop - start, self._groups), 1 << (self._bits - 1), np.float32)
        if self._dense:
            begin, end = start // 32 * self._bits, -(-stop * self._bits // 32)
            along = np.ascontiguousarray(self._zeros.raw(begin, end).view("<u4").T).view(np.uint8)
            found = dense(along, self._bits)[:, start % 32 : start % 32 + stop - start]
            return found.T.astype(np.float32)
        each = 32 // self._bits
        first, last = start // each, -(-stop // each)
        packed = np.ascontiguousarray(self._zeros.raw(first, last)).view("<u4")
        split = fields(packed, self._bits).transpose(0, 2, 1).reshape((last - first) * each, self._groups)
        return split[start - first * each : stop - first * each].astype(np.float32)

    def _places(self) -> NDArray[np.uint32] | None:
        """The group of each column, or None where they follow one another."""
        order = self._order
        if order is None:
            return None
        return self._kept.get((self.name, "order"), lambda: group_order(order, self._groups))
