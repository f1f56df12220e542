"""What llama.cpp's quantizer (b11434) does differently for one architecture, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..spec import GGMLType

__all__ = ["PLAIN_RECIPE", "UNLISTED", "RecipeTraits"]


@dataclass(frozen=True, slots=True)
class RecipeTraits:
    """Exceptions of one architecture from the rules for all.

    Attributes:
        kept: parts of the names of matrices that are never quantized.
        eight_bits: parts of the names of matrices that never get less than Q8_0.
        output: the type of the output matrix, whatever the recipe.
        fewer_bits: whether its feed-forward and output projections take the thriftier of two sets of rules.
        large_layers: the depth from which few key-value heads make attn_v small, and worth more bits.
        large_grouped: whether that takes fewer key-value heads than heads, and no eight experts.
    """

    kept: tuple[str, ...] = ()
    eight_bits: tuple[str, ...] = ()
    output: GGMLType | None = None
    fewer_bits: bool = False
    large_layers: int | None = None
    large_grouped: bool = False


PLAIN_RECIPE: Final = RecipeTraits()
"""An architecture without exceptions."""

UNLISTED: Final[Mapping[str, RecipeTraits]] = {
    "deci": RecipeTraits(large_layers=80),
    "glm5-next": RecipeTraits(
        kept=(
            *("hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate"),
            *("indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight"),
            *("ssm_g_b.weight", "ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight"),
            "attn_v_b.weight",
        ),
        eight_bits=("attn_q_a", "attn_q_b", "nextn.eh_proj"),
    ),
    "jais2": RecipeTraits(large_layers=68),
    "llama-embed": RecipeTraits(large_layers=80, large_grouped=True),
}
"""Of architectures whose files can be quantized again although no family here converts to them."""
