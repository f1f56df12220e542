"""The recipes as data: a base type, and rules for the kinds of tensors that get another.

From ``llama_tensor_get_type_impl`` and ``llama_ftype_get_default_type`` of llama.cpp b11434
(src/llama-quant.cpp). To add a recipe, add an entry to the table, with conditions as small functions of
``Place``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from ..errors import QuantizationError
from ..spec import FileType, GGMLType
from .rules import (
    DOWN,
    EVERYTHING,
    GATE_AND_UP,
    KEYS,
    OUTPUT_PROJECTION,
    QUERIES,
    VALUES,
    Recipe,
    RecipeRule,
    all_of,
    any_of,
    before,
    eight_experts,
    experts_from,
    fewer_bits,
    first,
    first_seen,
    grouped,
    middle,
    more_bits,
    seventy_billion,
    stacked,
    unless,
    weighted,
)

__all__ = ["ALIASES", "RECIPES", "find_recipe"]

_T: Final = GGMLType

_SHARED: Final = (
    RecipeRule(
        VALUES,
        _T.Q5_K,
        "70B: attn_v is small next to the rest, so gets more bits",
        seventy_billion,
        instead_of=frozenset({_T.Q3_K, _T.Q4_K}),
    ),
    RecipeRule(VALUES, _T.Q8_0, "8 experts: attn_v in Q8_0", eight_experts),
    RecipeRule(KEYS, _T.Q8_0, "8 experts: attn_k in Q8_0", eight_experts),
)
"""Rules of every recipe but the smallest and MXFP4_MOE."""

_MORE: Final = "more bits in the first and last eighth and every third between"
_GROUPED: Final = "attn_v shared by four heads or more: more bits"

_OUTPUT_OF_EIGHT_EXPERTS: Final = RecipeRule(
    OUTPUT_PROJECTION,
    _T.Q5_K,
    "8 experts: attn_output in Q5_K",
    all_of(eight_experts, unless(fewer_bits)),
)


def _output(type_: GGMLType) -> RecipeRule:
    """attn_output of a model that is neither falcon nor has eight experts."""
    dense = unless(any_of(fewer_bits, eight_experts))
    return RecipeRule(OUTPUT_PROJECTION, type_, f"attn_output: {type_.name}", dense)


def _first_down(type_: GGMLType) -> tuple[RecipeRule, ...]:
    """Guards the first layers against what an importance matrix may do to them."""
    return (RecipeRule(DOWN, type_, f"ffn_down: {type_.name} in the first eighth", first(8)),)


_Q4_K_S: Final = (
    RecipeRule(VALUES, _T.Q5_K, "attn_v: more bits in the first four", before(4)),
    RecipeRule(
        DOWN, _T.Q5_K, "ffn_down: more bits in the first eighth", all_of(first(8), unless(fewer_bits))
    ),
    _OUTPUT_OF_EIGHT_EXPERTS,
)

_Q4_K_M: Final = (
    RecipeRule(VALUES, _T.Q6_K, f"attn_v: {_MORE}", more_bits),
    RecipeRule(
        DOWN, _T.Q6_K, "ffn_down of falcon: most bits in the first sixteenth", all_of(fewer_bits, first(16))
    ),
    RecipeRule(DOWN, _T.Q5_K, f"ffn_down of falcon: {_MORE}", all_of(fewer_bits, more_bits)),
    RecipeRule(DOWN, _T.Q6_K, f"ffn_down: {_MORE}", all_of(unless(fewer_bits), more_bits)),
    _OUTPUT_OF_EIGHT_EXPERTS,
)

_Q5_K_M: Final = (
    RecipeRule(VALUES, _T.Q6_K, f"attn_v: {_MORE}", more_bits),
    RecipeRule(DOWN, _T.Q6_K, f"ffn_down: {_MORE}", more_bits),
)

_Q2_K: Final = (
    RecipeRule(VALUES, _T.Q4_K, _GROUPED, grouped),
    RecipeRule(VALUES, _T.Q3_K, "attn_v: more bits"),
    RecipeRule(DOWN, _T.Q3_K, "ffn_down: more bits"),
    _OUTPUT_OF_EIGHT_EXPERTS,
    _output(_T.Q3_K),
)

_Q2_K_S: Final = (
    RecipeRule(VALUES, _T.Q4_K, _GROUPED, grouped),
    RecipeRule(DOWN, _T.Q4_K, "ffn_down: more bits in the first eighth", first(8)),
)

_Q3_K_M: Final = (
    RecipeRule(VALUES, _T.Q5_K, "attn_v: most bits in the first two", before(2)),
    RecipeRule(VALUES, _T.Q4_K, "attn_v: more bits"),
    RecipeRule(DOWN, _T.Q5_K, "ffn_down: most bits in the first sixteenth", first(16)),
    RecipeRule(DOWN, _T.Q4_K, "ffn_down: more bits", any_of(unless(fewer_bits), more_bits)),
    _OUTPUT_OF_EIGHT_EXPERTS,
    _output(_T.Q4_K),
)

_Q3_K_L: Final = (
    RecipeRule(VALUES, _T.Q5_K, "attn_v: more bits"),
    RecipeRule(DOWN, _T.Q4_K, "ffn_down of falcon: more bits", fewer_bits),
    RecipeRule(DOWN, _T.Q5_K, "ffn_down: more bits"),
    RecipeRule(OUTPUT_PROJECTION, _T.Q4_K, "attn_output of falcon: Q4_K", fewer_bits),
    _output(_T.Q5_K),
)

_IQ3_XXS: Final = (
    RecipeRule(VALUES, _T.Q4_K, _GROUPED, grouped),
    RecipeRule(VALUES, _T.IQ3_S, "attn_v: more bits without an importance matrix", unless(weighted)),
    RecipeRule(KEYS | QUERIES, _T.IQ2_S, "attn_k and attn_q: fewer bits"),
    RecipeRule(DOWN, _T.Q4_K, "ffn_down: most bits in the first eighth", all_of(unless(weighted), first(8))),
    RecipeRule(DOWN, _T.Q3_K, "ffn_down: more bits without an importance matrix", unless(weighted)),
    _OUTPUT_OF_EIGHT_EXPERTS,
    _output(_T.IQ3_S),
)

_IQ3_XS: Final = (
    RecipeRule(VALUES, _T.Q4_K, _GROUPED, grouped),
    RecipeRule(KEYS | QUERIES, _T.IQ3_XXS, "attn_k and attn_q: fewer bits"),
    RecipeRule(
        GATE_AND_UP, _T.IQ3_XXS, "ffn_gate and ffn_up: fewer bits but in the first and last eighth", middle
    ),
    _OUTPUT_OF_EIGHT_EXPERTS,
)

_IQ3_S: Final = (RecipeRule(VALUES, _T.Q4_K, _GROUPED, grouped), _OUTPUT_OF_EIGHT_EXPERTS)

_IQ3_M: Final = (
    RecipeRule(VALUES, _T.Q4_K, "attn_v: more bits"),
    RecipeRule(DOWN, _T.Q4_K, "ffn_down: more bits in the first eighth", first(8)),
    RecipeRule(DOWN, _T.Q4_K, f"ffn_down of 8 experts: {_MORE}", all_of(eight_experts, more_bits)),
    _OUTPUT_OF_EIGHT_EXPERTS,
    _output(_T.Q4_K),
)

_IQ4: Final = (
    RecipeRule(VALUES, _T.Q5_K, _GROUPED, grouped),
    RecipeRule(
        DOWN,
        _T.Q5_K,
        "ffn_down: more bits in the first eighth without an importance matrix",
        all_of(first(8), unless(weighted)),
    ),
    _OUTPUT_OF_EIGHT_EXPERTS,
)


def _smallest(more: GGMLType, output: GGMLType | None) -> tuple[RecipeRule, ...]:
    """The recipes of two bits and less: what they cannot do without gets ``more``."""
    rules = (
        RecipeRule(
            VALUES, _T.Q4_K, "attn_v of many heads or experts: Q4_K", any_of(grouped, experts_from(4))
        ),
        RecipeRule(VALUES, more, "attn_v: more bits"),
        RecipeRule(KEYS, _T.Q4_K, "8 experts: attn_k in Q4_K", eight_experts),
        RecipeRule(DOWN, more, "ffn_down: more bits in the first eighth", first_seen(8)),
        RecipeRule(OUTPUT_PROJECTION, _T.Q5_K, "8 experts: attn_output in Q5_K", eight_experts),
    )
    if output is None:
        return rules
    return (*rules, RecipeRule(OUTPUT_PROJECTION, output, f"attn_output: {output.name}"))


_IQ2_M: Final = _smallest(_T.IQ3_S, _T.IQ3_S)
_IQ2_XS: Final = _smallest(_T.Q2_K, None)
_IQ1: Final = _smallest(_T.Q2_K, _T.IQ2_XXS)

_MXFP4_MOE: Final = (
    RecipeRule(EVERYTHING, _T.MXFP4, "experts: MXFP4", stacked),
    RecipeRule(EVERYTHING, _T.Q8_0, "everything but experts: Q8_0"),
)


def _recipe(
    name: str,
    base: GGMLType,
    rules: tuple[RecipeRule, ...] = (),
    *,
    output: GGMLType = _T.Q6_K,
    embedding: GGMLType | None = None,
    weighted_rules: tuple[RecipeRule, ...] = (),
    shared: tuple[RecipeRule, ...] = _SHARED,
) -> Recipe:
    return Recipe(name, FileType[name], base, rules, output, embedding, weighted_rules, shared)


RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        _recipe("F32", _T.F32),
        _recipe("F16", _T.F16),
        _recipe("BF16", _T.BF16),
        _recipe("Q8_0", _T.Q8_0, output=_T.Q8_0),
        _recipe("Q4_0", _T.Q4_0, weighted_rules=_first_down(_T.Q4_1)),
        _recipe("Q4_1", _T.Q4_1),
        _recipe("Q5_0", _T.Q5_0, weighted_rules=_first_down(_T.Q5_1)),
        _recipe("Q5_1", _T.Q5_1),
        _recipe("Q2_K", _T.Q2_K, _Q2_K),
        _recipe("Q2_K_S", _T.Q2_K, _Q2_K_S),
        _recipe("Q3_K_S", _T.Q3_K, (_OUTPUT_OF_EIGHT_EXPERTS,)),
        _recipe("Q3_K_M", _T.Q3_K, _Q3_K_M),
        _recipe("Q3_K_L", _T.Q3_K, _Q3_K_L),
        _recipe("Q4_K_S", _T.Q4_K, _Q4_K_S),
        _recipe("Q4_K_M", _T.Q4_K, _Q4_K_M),
        _recipe("Q5_K_S", _T.Q5_K),
        _recipe("Q5_K_M", _T.Q5_K, _Q5_K_M),
        _recipe("Q6_K", _T.Q6_K),
        _recipe("IQ4_NL", _T.IQ4_NL, _IQ4),
        _recipe("IQ4_XS", _T.IQ4_XS, _IQ4),
        _recipe("IQ3_M", _T.IQ3_S, _IQ3_M),
        _recipe("IQ3_S", _T.IQ3_S, _IQ3_S),
        _recipe("IQ3_XS", _T.IQ3_S, _IQ3_XS),
        _recipe("IQ3_XXS", _T.IQ3_XXS, _IQ3_XXS, output=_T.Q5_K, embedding=_T.IQ3_S),
        _recipe("IQ2_M", _T.IQ2_S, _IQ2_M, output=_T.Q5_K, embedding=_T.IQ3_S, shared=()),
        _recipe("IQ2_S", _T.IQ2_XS, _IQ2_M, output=_T.Q5_K, embedding=_T.IQ3_S, shared=()),
        _recipe("IQ2_XS", _T.IQ2_XS, _IQ2_XS, output=_T.Q5_K, embedding=_T.Q2_K, shared=()),
        _recipe("IQ2_XXS", _T.IQ2_XXS, _IQ2_XS, output=_T.Q5_K, embedding=_T.Q2_K, shared=()),
        _recipe("IQ1_M", _T.IQ1_M, _IQ1, output=_T.Q5_K, embedding=_T.Q2_K, shared=()),
        _recipe("IQ1_S", _T.IQ1_S, _IQ1, output=_T.Q5_K, embedding=_T.Q2_K, shared=()),
        _recipe("TQ1_0", _T.TQ1_0, embedding=_T.Q4_K),
        _recipe("TQ2_0", _T.TQ2_0, embedding=_T.Q4_K),
        _recipe("Q2_0", _T.Q2_0, embedding=_T.Q4_K),
        _recipe("Q1_0", _T.Q1_0),
        _recipe("MXFP4_MOE", _T.MXFP4, _MXFP4_MOE, output=_T.Q8_0, shared=()),
    )
}

ALIASES: Final[dict[str, str]] = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, in upper or lower case; ``Q4_K`` and its like mean their ``_M``.

    Raises:
        QuantizationError: there is none; the message lists them all and the nearest.
    """
    upper = name.strip().upper()
    found = RECIPES.get(ALIASES.get(upper, upper))
    if found is not None:
        return found
    near = get_close_matches(upper.replace("-", "_"), [*RECIPES, *ALIASES], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise QuantizationError(f"unknown type{hint}; known are {' '.join(RECIPES)}", found=name)
