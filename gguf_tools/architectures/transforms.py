"""Named, invertible transforms between Hugging Face's tensors and GGUF's.

A transform takes the sources of one rule instance and gives the sources of the other side; `forward` is
HF → GGUF, `inverse` the way back, and one undoes the other. No transform holds more than the rows asked
for. Those that only move rows hand the stored bytes on, so a BF16 checkpoint stays the same BF16.

Transforms are frozen data: they name the HF config keys they depend on and read them when applied. In
the direction GGUF → HF they see the config that was rebuilt from the file, so both directions read the
same keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import ArchitectureError
from ..source import Source, row_count
from ..spec import GGMLType
from .rounding import exponentials, logarithms
from .views import Concat, Elementwise, Reshaped, RowPermutation, RowSlice, Transposed, Zeros, by_rows, like

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .config import HFConfig

__all__ = [
    "IDENTITY",
    "SQUEEZED",
    "AddOne",
    "Chain",
    "Each",
    "Grouped",
    "Identity",
    "KeepTokens",
    "NegativeExp",
    "PermuteHeads",
    "Reshape",
    "Reversed",
    "SkipRows",
    "SplitMiddle",
    "SplitRows",
    "StackExperts",
    "SwapHalves",
    "Transform",
    "Transpose",
    "Twice",
    "UngroupQKV",
    "UnstackRows",
]


class Transform(Protocol):
    """What a tensor rule does to the data. Raises ArchitectureError when shapes do not fit."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        """HF → GGUF."""

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        """GGUF → HF."""


@dataclass(frozen=True)
class Identity:
    """The tensors as they are."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return list(sources)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return list(sources)


IDENTITY = Identity()


@dataclass(frozen=True)
class Reversed:
    """Another transform with its directions swapped."""

    of: Transform

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.of.inverse(sources, config)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.of.forward(sources, config)


@dataclass(frozen=True)
class PermuteHeads:
    """Rows of a query or key projection from HF's rotary layout to ggml's "normal" one.

    HF rotates the first half of a head against the second; ggml's normal RoPE rotates neighbours. Within
    each head of d rows, row (j, t) of (d/2, 2) is HF's row (t, j) of (2, d/2). Weights and biases alike.

    ``heads`` names the HF config key with the number of heads.
    """

    heads: str

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, lambda row, half: (row % 2) * half + row // 2)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, lambda row, half: (row % half) * 2 + row // half)

    def _moved(
        self,
        sources: Sequence[Source],
        config: HFConfig,
        place: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
    ) -> list[Source]:
        (source,) = sources
        heads = config.integer(self.heads)
        view = by_rows(source)
        if len(view.shape) != 2 or view.shape[0] % (2 * heads):
            raise ArchitectureError(
                f"the rows cannot be divided into {heads} heads ({self.heads}) of an even size",
                found=source.shape,
                expected=f"a multiple of {2 * heads} rows",
            )
        size = view.shape[0] // heads
        return [
            like(RowPermutation(view, lambda row: row - row % size + place(row % size, size // 2)), source)
        ]


@dataclass(frozen=True)
class AddOne:
    """Norm weights of families that store w and multiply by 1 + w; GGUF stores the sum.

    Computed in float32, or in float16 for a float16 checkpoint, as llama.cpp's converter does. The way
    back is exact where the sum was.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Elementwise(source, _plus_one) for source in sources]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Elementwise(source, lambda x, _: x - np.float32(1)) for source in sources]


def _plus_one(x: NDArray[np.float32], storage: GGMLType | None) -> NDArray[np.float32]:
    if storage is GGMLType.F16:
        return (x.astype(np.float16) + np.float16(1)).astype(np.float32)
    return x + np.float32(1)


@dataclass(frozen=True)
class KeepTokens:
    """Cut embedding rows beyond the tokenizer's vocabulary; on the way back there is nothing to restore."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        tokens = config.token_count
        if tokens is None or len(source.shape) != 2 or tokens >= source.shape[0]:
            return [source]
        return [RowSlice(source, 0, (tokens, *source.shape[1:]))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return list(sources)


@dataclass(frozen=True)
class SkipRows:
    """Leave out the first rows of a matrix, which nothing uses; the way back puts zeros there.

    ``count`` gives their number from the config.
    """

    count: Callable[[HFConfig], int]

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        count = self.count(config)
        if len(source.shape) != 2 or source.shape[0] <= count:
            raise ArchitectureError(
                f"not a matrix of more than {count} rows, which are left out", found=source.shape
            )
        return [RowSlice(source, count, (source.shape[0] - count, source.shape[1]))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        count = self.count(config)
        if len(source.shape) != 2:
            raise ArchitectureError("a matrix is needed", found=source.shape)
        rows, columns = source.shape
        return [Concat([Zeros((count, columns), source.storage), source], (count + rows, columns))]


@dataclass(frozen=True)
class StackExperts:
    """One matrix per expert (``{e}`` in the HF name) ↔ one tensor of shape (experts, rows, columns)."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        shapes = {source.shape for source in sources}
        if len(shapes) != 1:
            raise ArchitectureError("the experts differ in shape", found=sorted(shapes))
        return [Concat(sources, (len(sources), *shapes.pop()))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) < 2:
            raise ArchitectureError("stacked experts need a dimension of their own", found=source.shape)
        experts, shape = source.shape[0], source.shape[1:]
        rows = row_count(shape)
        return [RowSlice(source, expert * rows, shape) for expert in range(experts)]


@dataclass(frozen=True)
class SplitRows:
    """A fused tensor (HF) ↔ its parts (GGUF), cut along the first dimension; weights and biases alike.

    ``sizes`` gives the number of rows of each part from the config. `Reversed` makes it a fusion.
    """

    sizes: Callable[[HFConfig], Sequence[int]]

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        sizes = self.sizes(config)
        view = by_rows(source)
        if len(view.shape) != 2 or view.shape[0] != sum(sizes):
            raise ArchitectureError(
                "the fused tensor has the wrong number of rows", found=source.shape, expected=sum(sizes)
            )
        starts = np.cumsum([0, *sizes]).tolist()
        return [
            like(RowSlice(view, start, (size, view.shape[1])), source)
            for start, size in zip(starts, sizes, strict=False)
        ]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        found = [source.shape[0] if source.shape else 0 for source in sources]
        if found != list(self.sizes(config)):
            raise ArchitectureError(
                "the parts have the wrong number of rows", found=found, expected=list(self.sizes(config))
            )
        views = [by_rows(source) for source in sources]
        return [like(Concat(views, (sum(found), views[0].shape[1])), sources[0])]


@dataclass(frozen=True)
class SplitMiddle:
    """Fused gate and up ↔ each alone: rows of (…, 2 n, columns) ↔ two of (…, n, columns).

    With three dimensions the first counts experts.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) not in (2, 3) or source.shape[-2] % 2:
            raise ArchitectureError(
                "fused gate and up need two or three dimensions, the last but one of them even",
                found=source.shape,
            )
        *experts, both, columns = source.shape
        rows = both // 2
        shape = (*experts, rows, columns)
        return [
            RowPermutation(source, lambda row: row + row // rows * rows, shape),
            RowPermutation(source, lambda row: row + (row // rows + 1) * rows, shape),
        ]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        gate, up = sources
        if gate.shape != up.shape or len(gate.shape) not in (2, 3):
            raise ArchitectureError("gate and up differ in shape", found=[gate.shape, up.shape])
        *experts, rows, columns = gate.shape
        parts = [
            RowSlice(source, expert * rows, (rows, columns))
            for expert in range(math.prod(experts))
            for source in (gate, up)
        ]
        return [Concat(parts, (*experts, 2 * rows, columns))]


@dataclass(frozen=True)
class SwapHalves:
    """The second half of a matrix's rows before the first: a gate and what it opens, in either order."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) != 2 or source.shape[0] % 2:
            raise ArchitectureError("not a matrix with an even number of rows", found=source.shape)
        rows = source.shape[0]
        return [RowPermutation(source, lambda row: (row + rows // 2) % rows)]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.forward(sources, config)


@dataclass(frozen=True)
class Transpose:
    """Matrices stored as (inputs, outputs), such as transformers' ``Conv1D`` has, ↔ (outputs, inputs)."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) < 2:
            raise ArchitectureError("a matrix is needed", found=source.shape)
        return [Transposed(source)]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.forward(sources, config)


@dataclass(frozen=True)
class UngroupQKV:
    """Fused query, key and value whose rows stand by group of heads ↔ all of query, then key, then value.

    HF has, for each head of keys, the heads of queries that share it, that key head and its value head.
    ``heads`` and ``kv_heads`` are HF config keys; weights and biases alike.
    """

    heads: str = "num_attention_heads"
    kv_heads: str = "num_attention_heads"

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=False)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=True)

    def _moved(self, sources: Sequence[Source], config: HFConfig, *, inverse: bool) -> list[Source]:
        (source,) = sources
        heads, groups = config.integer(self.heads), config.integer(self.kv_heads)
        view = by_rows(source)
        if heads % groups or len(view.shape) != 2 or view.shape[0] % (heads + 2 * groups):
            raise ArchitectureError(
                f"the rows cannot be divided into {heads} heads of queries, {groups} of keys and of values",
                found=source.shape,
                expected=f"a multiple of {heads + 2 * groups} rows",
            )
        size = view.shape[0] // (heads + 2 * groups)
        shared = heads // groups
        grouped = np.arange(heads + 2 * groups).reshape(groups, shared + 2)  # HF's heads, by group
        order = np.concatenate([grouped[:, :-2].reshape(-1), grouped[:, -2], grouped[:, -1]])
        if inverse:
            order = np.argsort(order)
        return [like(RowPermutation(view, lambda row: order[row // size] * size + row % size), source)]


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape: ``hf`` and ``gguf`` give it for each side, from the other's."""

    gguf: Callable[[tuple[int, ...]], tuple[int, ...]]
    hf: Callable[[tuple[int, ...]], tuple[int, ...]]

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Reshaped(source, self.gguf(source.shape)) for source in sources]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Reshaped(source, self.hf(source.shape)) for source in sources]


SQUEEZED = Reshape(gguf=lambda shape: (shape[0], shape[-1]), hf=lambda shape: (shape[0], 1, shape[1]))
"""The weights of a depthwise convolution: (channels, 1, width) ↔ (channels, width)."""


@dataclass(frozen=True)
class NegativeExp:
    """Mamba's ``A_log`` ↔ A = −exp(A_log), correctly rounded, which torch's is not always.

    The way back is off by as little as float32 can tell A apart: 6e-8.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Elementwise(source, lambda x, _: -exponentials(x)) for source in sources]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Elementwise(source, lambda x, _: logarithms(-x)) for source in sources]


@dataclass(frozen=True)
class Grouped:
    """A vector ↔ the same as a matrix with a row for each group; ``groups`` is the HF config key."""

    groups: str

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        groups = config.integer(self.groups)
        if len(source.shape) != 1 or source.shape[0] % groups:
            raise ArchitectureError(f"not a vector of {groups} groups ({self.groups})", found=source.shape)
        return [Reshaped(source, (groups, source.shape[0] // groups))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Reshaped(source, (int(np.prod(source.shape)),)) for source in sources]


@dataclass(frozen=True)
class UnstackRows:
    """Matrices on top of each other ↔ a dimension for them: (count · rows, columns) ↔ (count, rows, columns).

    ``count`` is the HF config key.
    """

    count: str

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        count = config.integer(self.count)
        if len(source.shape) != 2 or source.shape[0] % count:
            raise ArchitectureError(f"not a stack of {count} matrices ({self.count})", found=source.shape)
        return [Reshaped(source, (count, source.shape[0] // count, source.shape[1]))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) != 3:
            raise ArchitectureError("stacked matrices need a dimension of their own", found=source.shape)
        count, rows, columns = source.shape
        return [Reshaped(source, (count * rows, columns))]


@dataclass(frozen=True)
class Twice:
    """A tensor ↔ the same twice, of which the way back takes the second."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        return [source, source]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        first, second = sources
        if first.shape != second.shape:
            raise ArchitectureError("the copy differs in shape", found=first.shape, expected=second.shape)
        return [second]


@dataclass(frozen=True)
class Chain:
    """One transform, then another."""

    first: Transform
    then: Transform

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.then.forward(self.first.forward(sources, config), config)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self.first.inverse(self.then.inverse(sources, config), config)


@dataclass(frozen=True)
class Each:
    """One transform for each part, by position; every one of them takes and gives a single tensor."""

    parts: tuple[Transform, ...]

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        pairs = zip(self.parts, sources, strict=True)
        return [made for part, source in pairs for made in part.forward([source], config)]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        pairs = zip(self.parts, sources, strict=True)
        return [made for part, source in pairs for made in part.inverse([source], config)]
