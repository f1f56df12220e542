"""MXFP4: values of 4 bits in blocks of 32 that share a power of two, as gpt-oss is published.

    NAME_blocks  U8 (experts, rows, columns / 32, 16): pairs of E2M1, the first one low
    NAME_scales  U8 (experts, rows, columns / 32): E8M0, the power of two plus 127

GGUF's MXFP4 has the same numbers, with the scale before its block and value i beside value i + 16:

    byte 0        1                                  17
         ┌────────┬──────────────────────────────────┐
         │ e: u8  │ 16 × (q[i] | q[i+16] << 4)       │
         └────────┴──────────────────────────────────┘

so that such tensors change places of bits only, both ways. Their rows are what GGUF calls rows; in
transformers the tensor called NAME is their transpose.

From ``convert_moe_packed_tensors`` of transformers' mxfp4 integration, and ggml's ``block_mxfp4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CheckpointError
from ...source import SelfContained, Source
from ...spec import GGMLType
from ..reader import SafetensorsTensor
from ..small_floats import E8M0
from .components import Parts, require_shape
from .nvfp4 import e2m1

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCKS", "MXFP4_CONFIG", "packed_parts", "unpack"]

BLOCKS: Final = "_blocks"
_SCALES: Final = "_scales"

_VALUES: Final = 32
_BYTES: Final = 16
_NAN: Final = 255

MXFP4_CONFIG: Final[Mapping[str, Any]] = {
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    }
}
"""What config.json says of such a model: all but the experts is plain."""


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Blocks with their scales become one source under the name of the blocks."""
    for base in list(parts.bases(BLOCKS)):
        blocks, scales = parts.take(base, BLOCKS), parts.take(base, _SCALES)
        if blocks is not None and scales is not None:
            parts.make(base, blocks.name, _MXFP4(blocks, scales), at=blocks.name, form="MXFP4", first=True)


class _MXFP4(SelfContained):
    """Rows that are stored as GGUF stores them, but for the places of their bits."""

    def __init__(self, blocks: SafetensorsTensor, scales: SafetensorsTensor) -> None:
        if len(blocks.shape) < 3 or blocks.shape[-1] != _BYTES:
            raise CheckpointError("not rows of blocks of 16 bytes", tensor=blocks.name, found=blocks.shape)
        require_shape(blocks, [blocks.shape], ["U8"])
        require_shape(scales, [blocks.shape[:-1]], ["U8"])
        self.name = blocks.name
        self._shape = (*blocks.shape[:-2], _VALUES * blocks.shape[-2])
        self._per_row = blocks.shape[-2]
        self._blocks, self._scales = blocks, scales

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def storage(self) -> GGMLType | None:
        return GGMLType.MXFP4

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        data = self._stored(start, stop).reshape(stop - start, self._per_row * _BYTES)
        return e2m1(data, self._powers(start, stop), E8M0)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        out = np.empty((stop - start, self._per_row, 1 + _BYTES), np.uint8)
        out[:, :, 0] = self._powers(start, stop)
        blocks = self._stored(start, stop)
        near, far = blocks[:, :, : _BYTES // 2], blocks[:, :, _BYTES // 2 :]
        out[:, :, 1::2] = near & 15 | far << 4
        out[:, :, 2::2] = near >> 4 | far & 0xF0
        return out.reshape(stop - start, self._per_row * (1 + _BYTES))

    def _stored(self, start: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (rows, blocks, 16): a row of this tensor is a matrix of bytes in the file."""
        stored = self._blocks.raw(start * self._per_row, stop * self._per_row)
        return stored.reshape(stop - start, self._per_row, _BYTES)

    def _powers(self, start: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (rows, blocks), none of which is the NaN."""
        powers = self._scales.raw(start, stop)
        if powers.size and int(powers.max()) == _NAN:
            row, column = np.argwhere(powers == _NAN)[0].tolist()
            raise CheckpointError(
                f"a scale is unusable at row {start + row}, block {column}",
                tensor=self._scales.name,
                found="NaN",
                expected="a power of two",
            )
        return powers


class _Part(SelfContained):
    """Base of the two tensors that a source of MXFP4 rows is saved as: bytes, row by row."""

    def __init__(self, base: Source) -> None:
        if base.storage is not GGMLType.MXFP4:
            raise TypeError("not stored as MXFP4")
        self._base = base

    @property
    def storage(self) -> GGMLType | None:
        return GGMLType.I8

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        raise TypeError("parts of packed rows have no values of their own")

    def _parts(self, start: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (blocks, 17) of some of the base's rows."""
        return self._base.raw(start, stop).reshape(-1, 1 + _BYTES)


class _BlockBytes(_Part):
    """Inverse of the repacking: NAME_blocks of a source stored as MXFP4."""

    @property
    def shape(self) -> tuple[int, ...]:
        *outer, columns = self._base.shape
        return (*outer, columns // _VALUES, _BYTES)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        per_row = self.shape[-2]
        first, last = start // per_row, -(-stop // per_row)
        packed = self._parts(first, last)[start - first * per_row : stop - first * per_row]
        even, odd = packed[:, 1::2], packed[:, 2::2]
        half = _BYTES // 2
        out = np.empty((stop - start, _BYTES), np.uint8)
        out[:, :half] = even & 15 | odd << 4
        out[:, half:] = even >> 4 | odd & 0xF0
        return out


class _ScaleBytes(_Part):
    """Inverse of the repacking: NAME_scales of a source stored as MXFP4."""

    @property
    def shape(self) -> tuple[int, ...]:
        *outer, columns = self._base.shape
        return (*outer, columns // _VALUES)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._parts(start, stop)[:, 0]).reshape(stop - start, self.shape[-1])


def packed_parts(name: str, source: Source) -> list[tuple[str, Source]]:
    """What a source stored as MXFP4 is saved as, under ``name`` with other endings.

    Args:
        name: NAME_blocks.
        source: its rows.
    """
    base = name.removesuffix(BLOCKS)
    return [(base + BLOCKS, _BlockBytes(source)), (base + _SCALES, _ScaleBytes(source))]
