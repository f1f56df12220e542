"""What recipes are made of: rules for kinds of tensors, and the conditions they hold under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..spec import FileType, GGMLType
from .tensors import Category
from .types import ModelSizes

__all__ = [
    "DOWN",
    "EVERYTHING",
    "GATE_AND_UP",
    "KEYS",
    "OUTPUT_PROJECTION",
    "QUERIES",
    "VALUES",
    "Recipe",
    "RecipeRule",
    "TensorContext",
    "all_of",
    "always",
    "any_of",
    "before",
    "eight_experts",
    "experts_from",
    "fewer_bits",
    "first",
    "first_seen",
    "grouped",
    "middle",
    "more_bits",
    "seventy_billion",
    "stacked",
    "unless",
    "weighted",
]


@dataclass(frozen=True, slots=True)
class TensorContext:
    """Where a tensor stands among its kind.

    Attributes:
        index: how many of its kind were visited before it; for the feed-forward tensors of a model
            with experts, its layer.
        seen: how many of its kind were visited before it, always.
        count: how many there are: value projections of the model, or its layers for feed-forward tensors.
        stacked: whether it holds the matrices of several experts.
        weighted: whether there is an importance matrix.
        model: the model's facts.
    """

    index: int
    seen: int
    count: int
    stacked: bool
    weighted: bool
    model: ModelSizes


Condition = Callable[[TensorContext], bool]


def always(place: TensorContext) -> bool:
    return True


def more_bits(place: TensorContext) -> bool:
    """The first eighth, the last eighth, and every third in between."""
    eighth = place.count // 8
    return place.index < eighth or place.index >= 7 * place.count // 8 or (place.index - eighth) % 3 == 2


def eight_experts(place: TensorContext) -> bool:
    return place.model.experts == 8


def fewer_bits(place: TensorContext) -> bool:
    return place.model.traits.fewer_bits


def stacked(place: TensorContext) -> bool:
    return place.stacked


def weighted(place: TensorContext) -> bool:
    return place.weighted


def grouped(place: TensorContext) -> bool:
    """Four heads or more share a key and a value."""
    heads, kv_heads = place.model.heads, place.model.kv_heads
    return kv_heads > 0 and heads // kv_heads >= 4


def experts_from(count: int) -> Condition:
    """At least so many experts."""
    return lambda place: place.model.experts >= count


def first(share: int) -> Condition:
    """In the first ``1/share`` of the count."""
    return lambda place: place.index < place.count // share


def first_seen(share: int) -> Condition:
    """As `first`, counting tensors and not layers where a model has experts."""
    return lambda place: place.seen < place.count // share


def middle(place: TensorContext) -> bool:
    """Neither in the first nor in the last eighth."""
    return place.count // 8 <= place.index < 7 * place.count // 8


def before(index: int) -> Condition:
    return lambda place: place.index < index


def all_of(*conditions: Condition) -> Condition:
    return lambda place: all(condition(place) for condition in conditions)


def any_of(*conditions: Condition) -> Condition:
    return lambda place: any(condition(place) for condition in conditions)


def unless(condition: Condition) -> Condition:
    return lambda place: not condition(place)


def seventy_billion(place: TensorContext) -> bool:
    """Models llama.cpp takes for a 70B, whose few key/value heads make attn_v small."""
    model = place.model
    if model.layers != model.traits.large_layers:
        return False
    return not model.traits.large_grouped or (model.heads != model.kv_heads and model.experts != 8)


VALUES: Final = frozenset({Category.ATTENTION_V, Category.ATTENTION_QKV, Category.ATTENTION_KV_B})
KEYS: Final = frozenset({Category.ATTENTION_K})
QUERIES: Final = frozenset({Category.ATTENTION_Q})
OUTPUT_PROJECTION: Final = frozenset({Category.ATTENTION_OUTPUT})
DOWN: Final = frozenset({Category.FFN_DOWN})
GATE_AND_UP: Final = frozenset({Category.FFN_GATE, Category.FFN_UP})
EVERYTHING: Final = frozenset(Category)


@dataclass(frozen=True, slots=True)
class RecipeRule:
    """Tensors of these kinds get this type, where the condition holds.

    ``instead_of`` limits it to tensors that were about to get one of these types.
    """

    categories: frozenset[Category]
    type: GGMLType
    words: str
    when: Condition = always
    instead_of: frozenset[GGMLType] | None = None

    def applies(self, category: Category, place: TensorContext, so_far: GGMLType) -> bool:
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
        output: the type of the output matrix, and of the token embedding where that is the output too.
        embedding: the type of the token embedding where it is not the output; None for rules or base.
        weighted_rules: rules that come first where there is an importance matrix.
        shared_rules: rules of all recipes, applied one after another to what the recipe's own gave.
    """

    name: str
    file_type: FileType
    base: GGMLType
    rules: tuple[RecipeRule, ...] = ()
    output: GGMLType = GGMLType.Q6_K
    embedding: GGMLType | None = None
    weighted_rules: tuple[RecipeRule, ...] = ()
    shared_rules: tuple[RecipeRule, ...] = ()

    @property
    def quantizes(self) -> bool:
        """False for F32, F16 and BF16, where every weight simply gets the base type."""
        return self.base not in (GGMLType.F32, GGMLType.F16, GGMLType.BF16)
