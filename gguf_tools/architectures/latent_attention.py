"""Latent attention: queries, and keys together with values, by way of few dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import ArchitectureError
from ..source import Source
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .decoder import BLOCK, norms
from .keys import Entry
from .tensors import Rule, limit_to, unless
from .transforms import Transform
from .views import Concat, RowPermutation, RowSlice, Transposed

__all__ = ["FUSED_KEYS_AND_VALUES", "LATENT_ATTENTION", "SPLIT_KEYS_AND_VALUES", "KeyParts", "SplitLatent"]


@dataclass(frozen=True)
class KeyParts:
    """The parts of a head of keys that are rotated and that are not ↔ the size of both, and of the first.

    Attributes:
        length: the GGUF key of the size of both.
        rotated: whether this rule writes ``rope.dimension_count``, the size of the rotated one.
    """

    length: str
    rotated: bool = True

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        rotated = config.integer("qk_rope_head_dim")
        yield self.length, ValueType.UINT32, config.integer("qk_nope_head_dim") + rotated
        if self.rotated:
            yield "rope.dimension_count", ValueType.UINT32, rotated

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rotated = facts.integer("rope.dimension_count") or 0
        config["qk_rope_head_dim"] = rotated
        config["qk_nope_head_dim"] = (facts.integer(self.length) or 0) - rotated


@dataclass(frozen=True)
class SplitLatent(Transform):
    """``kv_b_proj`` ↔ its key part, transposed for each head, and its value part.

    Rows of (heads, nope + v) become (heads, rank, nope) and (heads, v, rank).
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        heads, key, value = self._sizes(config)
        if len(source.shape) != 2 or source.shape[0] != heads * (key + value):
            raise ArchitectureError(
                "the latent projection has the wrong number of rows",
                found=source.shape,
                expected=heads * (key + value),
            )
        rank = source.shape[1]
        keys = RowPermutation(source, lambda row: row + row // key * value, (heads, key, rank))
        values = RowPermutation(source, lambda row: row + (row // value + 1) * key, (heads, value, rank))
        return [Transposed(keys), values]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        heads, key, value = self._sizes(config)
        keys, values = Transposed(sources[0]), sources[1]
        rank = values.shape[-1]
        if keys.shape != (heads, key, rank) or values.shape != (heads, value, rank):
            raise ArchitectureError(
                "the parts of the latent projection do not fit",
                found=[sources[0].shape, values.shape],
                expected=[(heads, rank, key), (heads, value, rank)],
            )
        parts = [
            RowSlice(part, head * rows, (rows, rank))
            for head in range(heads)
            for part, rows in ((keys, key), (values, value))
        ]
        return [Concat(parts, (heads * (key + value), rank))]

    @staticmethod
    def _sizes(config: HFConfig) -> tuple[int, int, int]:
        heads = config.integer("num_attention_heads")
        return heads, config.integer("qk_nope_head_dim"), config.integer("v_head_dim")


def _low_rank(config: HFConfig, layer: int) -> bool:
    return config.find("q_lora_rank") is not None


LATENT_ATTENTION: Final = (
    *limit_to(
        _low_rank,
        norms(
            ("self_attn.q_a_proj", "attn_q_a"),
            ("self_attn.q_a_layernorm", "attn_q_a_norm"),
            ("self_attn.q_b_proj", "attn_q_b"),
        ),
    ),
    *limit_to(unless(_low_rank), norms(("self_attn.q_proj", "attn_q"))),
    *norms(
        ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
        ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
        ("self_attn.o_proj", "attn_output"),
    ),
)
"""All of it but the projection from latents to keys and values."""

SPLIT_KEYS_AND_VALUES: Final = Rule(
    (f"{BLOCK}.self_attn.kv_b_proj.weight",),
    ("blk.{i}.attn_k_b.weight", "blk.{i}.attn_v_b.weight"),
    SplitLatent(),
)
"""That projection where llama.cpp takes it in parts, and attends to the latents themselves."""

FUSED_KEYS_AND_VALUES: Final = norms(("self_attn.kv_b_proj", "attn_kv_b"))
"""The same where llama.cpp takes it as it is."""
