"""The recipes as data: a base type, and rules for the kinds of tensors that get another.

From ``llama_tensor_get_type_impl`` of llama.cpp b11434 (src/llama-quant.cpp). To add a recipe, add an
entry to the table, with conditions as small functions of ``Place``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from ..errors import QuantizationError
from ..spec import FileType, GGMLType
from .facts import ModelFacts
from .tensors import Category

__all__ = ["ALIASES", "MODEL_RULES", "RECIPES", "VALUES", "Place", "Recipe", "Rule", "find_recipe"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands among its kind.

    Attributes:
        index: how many of its kind were visited before it; for the feed-forward tensors of a model
            with experts, its layer.
        count: how many there are: value projections of the model, or its layers for feed-forward tensors.
        model: the model's facts.
    """

    index: int
    count: int
    model: ModelFacts


Condition = Callable[[Place], bool]


def always(place: Place) -> bool:
    return True


def more_bits(place: Place) -> bool:
    """The first eighth, the last eighth, and every third in between."""
    eighth = place.count // 8
    return place.index < eighth or place.index >= 7 * place.count // 8 or (place.index - eighth) % 3 == 2


def eight_experts(place: Place) -> bool:
    return place.model.experts == 8


def falcon(place: Place) -> bool:
    return place.model.architecture == "falcon"


def first(share: int) -> Condition:
    """In the first ``1/share`` of the count."""
    return lambda place: place.index < place.count // share


def before(index: int) -> Condition:
    return lambda place: place.index < index


def both(*conditions: Condition) -> Condition:
    return lambda place: all(condition(place) for condition in conditions)


def unless(condition: Condition) -> Condition:
    return lambda place: not condition(place)


def seventy_billion(place: Place) -> bool:
    """Models llama.cpp takes for a 70B, whose few key/value heads make attn_v small."""
    model = place.model
    if model.architecture in ("llama", "llama-embed"):
        return model.layers == 80 and model.heads != model.kv_heads and model.experts != 8
    return (model.architecture, model.layers) in {("qwen2", 80), ("deci", 80), ("olmo", 80), ("jais2", 68)}


@dataclass(frozen=True, slots=True)
class Rule:
    """Tensors of these kinds get this type, where the condition holds.

    ``instead_of`` limits it to tensors that were about to get one of these types.
    """

    categories: frozenset[Category]
    type: GGMLType
    words: str
    when: Condition = always
    instead_of: frozenset[GGMLType] | None = None

    def applies(self, category: Category, place: Place, so_far: GGMLType) -> bool:
        """Whether the rule decides about a tensor of this kind, at this place, about to get ``so_far``."""
        return (
            category in self.categories
            and (self.instead_of is None or so_far in self.instead_of)
            and self.when(place)
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to choose types.

    Attributes:
        name: as users type it.
        file_type: what ``general.file_type`` says of such a file.
        base: the type of every tensor no rule speaks about.
        rules: the first that applies decides.
    """

    name: str
    file_type: FileType
    base: GGMLType
    rules: tuple[Rule, ...] = ()

    @property
    def quantizes(self) -> bool:
        """False for F32, F16 and BF16, where every weight simply gets the base type."""
        return self.base not in (GGMLType.F32, GGMLType.F16, GGMLType.BF16)


VALUES: Final = frozenset({Category.ATTENTION_V, Category.ATTENTION_QKV, Category.ATTENTION_KV_B})
_KEYS: Final = frozenset({Category.ATTENTION_K})
_ATTENTION_OUTPUT: Final = frozenset({Category.ATTENTION_OUTPUT})
_FFN_DOWN: Final = frozenset({Category.FFN_DOWN})

MODEL_RULES: Final = (
    Rule(
        VALUES,
        GGMLType.Q5_K,
        "70B: attn_v is small next to the rest, so gets more bits",
        seventy_billion,
        instead_of=frozenset({GGMLType.Q3_K, GGMLType.Q4_K}),
    ),
    Rule(VALUES, GGMLType.Q8_0, "8 experts: attn_v in Q8_0", eight_experts),
    Rule(_KEYS, GGMLType.Q8_0, "8 experts: attn_k in Q8_0", eight_experts),
)
"""Rules of every recipe, applied one after another to what the recipe's own rules gave."""

_MORE: Final = "more bits in the first and last eighth and every third between"

_OUTPUT_OF_EIGHT_EXPERTS: Final = Rule(
    _ATTENTION_OUTPUT,
    GGMLType.Q5_K,
    "8 experts: attn_output in Q5_K",
    both(eight_experts, unless(falcon)),
)

_Q4_K_S: Final = (
    Rule(VALUES, GGMLType.Q5_K, "attn_v: more bits in the first four", before(4)),
    Rule(_FFN_DOWN, GGMLType.Q5_K, "ffn_down: more bits in the first eighth", both(first(8), unless(falcon))),
    _OUTPUT_OF_EIGHT_EXPERTS,
)

_Q4_K_M: Final = (
    Rule(VALUES, GGMLType.Q6_K, f"attn_v: {_MORE}", more_bits),
    Rule(
        _FFN_DOWN,
        GGMLType.Q6_K,
        "ffn_down of falcon: most bits in the first sixteenth",
        both(falcon, first(16)),
    ),
    Rule(_FFN_DOWN, GGMLType.Q5_K, f"ffn_down of falcon: {_MORE}", both(falcon, more_bits)),
    Rule(_FFN_DOWN, GGMLType.Q6_K, f"ffn_down: {_MORE}", both(unless(falcon), more_bits)),
    _OUTPUT_OF_EIGHT_EXPERTS,
)

_Q5_K_M: Final = (
    Rule(VALUES, GGMLType.Q6_K, f"attn_v: {_MORE}", more_bits),
    Rule(_FFN_DOWN, GGMLType.Q6_K, f"ffn_down: {_MORE}", more_bits),
)

RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        Recipe("F32", FileType.F32, GGMLType.F32),
        Recipe("F16", FileType.F16, GGMLType.F16),
        Recipe("BF16", FileType.BF16, GGMLType.BF16),
        Recipe("Q8_0", FileType.Q8_0, GGMLType.Q8_0),
        Recipe("Q4_0", FileType.Q4_0, GGMLType.Q4_0),
        Recipe("Q4_1", FileType.Q4_1, GGMLType.Q4_1),
        Recipe("Q5_0", FileType.Q5_0, GGMLType.Q5_0),
        Recipe("Q5_1", FileType.Q5_1, GGMLType.Q5_1),
        Recipe("Q4_K_S", FileType.Q4_K_S, GGMLType.Q4_K, _Q4_K_S),
        Recipe("Q4_K_M", FileType.Q4_K_M, GGMLType.Q4_K, _Q4_K_M),
        Recipe("Q5_K_S", FileType.Q5_K_S, GGMLType.Q5_K),
        Recipe("Q5_K_M", FileType.Q5_K_M, GGMLType.Q5_K, _Q5_K_M),
        Recipe("Q6_K", FileType.Q6_K, GGMLType.Q6_K),
    )
}

ALIASES: Final[dict[str, str]] = {"Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, in upper or lower case; ``Q4_K`` and ``Q5_K`` mean their ``_M``.

    Raises:
        QuantizationError: there is none; the message lists them all and the nearest.
    """
    upper = name.strip().upper()
    found = RECIPES.get(ALIASES.get(upper, upper))
    if found is not None:
        return found
    near = get_close_matches(upper.replace("-", "_"), [*RECIPES, *ALIASES], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise QuantizationError(f"unknown type{hint}", found=name, expected=f"one of {' '.join(RECIPES)}")
