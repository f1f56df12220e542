"""Experts whose gate and up are one matrix, with the outputs of the two in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ArchitectureError
from ..source import Source
from .config import HFConfig
from .transforms import Transform
from .views import Concat, Reshaped, RowPermutation, Transposed

__all__ = ["Deinterleave", "DeinterleaveRows"]


@dataclass(frozen=True)
class Deinterleave(Transform):
    """Experts' fused gate and up, whose outputs alternate ↔ both.

    Weights are (experts, inputs, 2 n) in HF and (experts, n, inputs) in GGUF; biases (experts, 2 n) and
    (experts, n).
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) not in (2, 3) or source.shape[-1] % 2:
            raise ArchitectureError("fused experts need an even number of outputs", found=source.shape)
        experts, size = source.shape[0], source.shape[-1] // 2
        if len(source.shape) == 3:
            rows: Source = Transposed(source)
            shape: tuple[int, ...] = (experts, size, source.shape[1])
        else:
            rows = Reshaped(source, (experts, 2 * size, 1))
            shape = (experts, size, 1)
        parts = [
            RowPermutation(rows, lambda row: 2 * row, shape),
            RowPermutation(rows, lambda row: 2 * row + 1, shape),
        ]
        return list(parts) if len(source.shape) == 3 else [Reshaped(part, (experts, size)) for part in parts]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        gate, up = sources
        if gate.shape != up.shape or len(gate.shape) not in (2, 3):
            raise ArchitectureError("the experts differ in shape", found=[gate.shape, up.shape])
        experts, size = gate.shape[:2]
        is_bias = len(gate.shape) == 2
        length = 1 if is_bias else gate.shape[2]
        parts = [Reshaped(part, (experts, size, 1)) if is_bias else part for part in sources]
        both = Concat(parts, (experts, 2 * size, length))
        rows = RowPermutation(both, lambda row: row // 2 + row % 2 * (experts * size))
        return [Reshaped(rows, (experts, 2 * size)) if is_bias else Transposed(rows)]


@dataclass(frozen=True)
class DeinterleaveRows(Transform):
    """`Deinterleave` for weights that are there as rows of outputs, (experts, 2 n, inputs): packed ones."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) != 3 or source.shape[1] % 2:
            raise ArchitectureError("fused experts need an even number of outputs", found=source.shape)
        shape = (source.shape[0], source.shape[1] // 2, source.shape[2])
        return [
            RowPermutation(source, lambda row: 2 * row, shape),
            RowPermutation(source, lambda row: 2 * row + 1, shape),
        ]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        gate, up = sources
        if gate.shape != up.shape or len(gate.shape) != 3:
            raise ArchitectureError("the experts differ in shape", found=[gate.shape, up.shape])
        experts, size, length = gate.shape
        both = Concat(sources, (experts, 2 * size, length))
        return [RowPermutation(both, lambda row: row // 2 + row % 2 * (experts * size))]
