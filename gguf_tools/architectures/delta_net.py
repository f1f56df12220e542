"""Gated delta nets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArchitectureError
from ..source import Source
from .config import HFConfig
from .tensors import Rule
from .transforms import SQUEEZED, NegativeExp, Transform
from .views import Concat, RowPermutation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SplitDelta", "delta_net"]


@dataclass(frozen=True)
class SplitDelta(Transform):
    """``in_proj_qkvz``, whose rows stand by key head ↔ query, key and value, and the gate, each by itself.

    A key head has its rows of query and of key, and those of value and gate of the heads that share it.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        mixed, gate = self._order(config, source.shape)
        return [
            RowPermutation(source, lambda row: mixed[row], (len(mixed), source.shape[1])),
            RowPermutation(source, lambda row: gate[row], (len(gate), source.shape[1])),
        ]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        found = [source.shape[:1] for source in sources]
        both = (sum(part[0] for part in found if part), sources[0].shape[-1] if sources[0].shape else 0)
        order = self._order(config, both)
        expected = [part.shape for part in order]
        if found != expected:
            raise ArchitectureError("the parts have the wrong number of rows", found=found, expected=expected)
        back = np.argsort(np.concatenate(order))
        return [RowPermutation(Concat(list(sources), both), lambda row: back[row])]

    @staticmethod
    def _order(config: HFConfig, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which rows of HF's make up query, key and value, and which the gate; ``shape`` is of them all."""
        heads, key = config.integer("linear_num_key_heads"), config.integer("linear_key_head_dim")
        value = config.integer("linear_num_value_heads") // heads * config.integer("linear_value_head_dim")
        expected = heads * 2 * (key + value)
        if len(shape) != 2 or shape[0] != expected:
            raise ArchitectureError(
                "the fused projection has the wrong number of rows", found=shape, expected=expected
            )
        rows = np.arange(expected).reshape(heads, -1)  # by key head
        parts = np.split(rows, [key, 2 * key, 2 * key + value], axis=1)
        return np.concatenate([part.reshape(-1) for part in parts[:3]]), parts[3].reshape(-1)


def delta_net(module: str) -> tuple[Rule, ...]:
    """Tensors of a gated delta net; ``module`` is its HF name, with ``{i}`` for the layer."""
    return (
        Rule(
            (f"{module}.in_proj_qkvz.weight",),
            ("blk.{i}.attn_qkv.weight", "blk.{i}.attn_gate.weight"),
            SplitDelta(),
        ),
        Rule((f"{module}.in_proj_ba.weight",), ("blk.{i}.ssm_ba.weight",)),
        Rule((f"{module}.conv1d.weight",), ("blk.{i}.ssm_conv1d.weight",), SQUEEZED),
        Rule((f"{module}.dt_bias",), ("blk.{i}.ssm_dt.bias",)),
        Rule((f"{module}.A_log",), ("blk.{i}.ssm_a",), NegativeExp()),
        Rule((f"{module}.norm.weight",), ("blk.{i}.ssm_norm.weight",)),
        Rule((f"{module}.out_proj.weight",), ("blk.{i}.ssm_out.weight",)),
    )
