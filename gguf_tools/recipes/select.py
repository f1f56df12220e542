"""Choosing types: the counters, the order and the fallbacks around the rules.

From ``llama_model_quantize_impl``, ``llama_tensor_get_type`` and ``tensor_type_fallback`` of llama.cpp
b11434 (src/llama-quant.cpp).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..errors import QuantizationError
from ..source import row_length
from ..spec import BLOCK_SIZES, GGMLType
from .rules import VALUES, Recipe, TensorContext
from .table import find_recipe
from .tensors import Category, as_converted, category, layer_of, reason_to_keep, visiting_order
from .types import Choice, ModelSizes, Overrides, TensorFacts

__all__ = ["choose", "choose_factor", "fallback", "is_embedding", "needs_weights"]

_FALLBACKS: Final = {
    GGMLType.Q2_K: GGMLType.Q4_0,
    GGMLType.Q3_K: GGMLType.Q4_0,
    GGMLType.Q4_K: GGMLType.Q5_0,
    GGMLType.Q5_K: GGMLType.Q5_1,
    GGMLType.Q6_K: GGMLType.Q8_0,
    GGMLType.TQ1_0: GGMLType.Q4_0,
    GGMLType.TQ2_0: GGMLType.Q4_0,
    GGMLType.Q2_0: GGMLType.Q4_0,
    **dict.fromkeys(
        (
            *(GGMLType.IQ1_S, GGMLType.IQ1_M, GGMLType.IQ2_XXS, GGMLType.IQ2_XS, GGMLType.IQ2_S),
            *(GGMLType.IQ3_XXS, GGMLType.IQ3_S, GGMLType.IQ4_XS),
        ),
        GGMLType.IQ4_NL,
    ),
}

_NONE: Final = Overrides()

_FEED_FORWARD: Final = frozenset({Category.FFN_UP, Category.FFN_GATE, Category.FFN_DOWN})


def choose(
    recipe: str,
    tensors: Sequence[TensorFacts],
    model: ModelSizes,
    *,
    intermediate: GGMLType = GGMLType.BF16,
    weighted: bool = False,
    overrides: Overrides = _NONE,
) -> list[Choice]:
    """The type of every tensor of a model under a recipe.

    A tensor that has a type (it comes from a GGUF file) is treated as ``llama_model_quantize`` does. One
    without (it comes from a checkpoint) is first given the type llama.cpp's converter would write, as if
    the converter had run before; for F32, F16 and BF16 that is all. One that a checkpoint has in a type with
    blocks stays in it there, unless one type is wanted for all.

    Args:
        recipe: its name, see ``RECIPES``.
        tensors: all tensors of the model, in any order.
        model: its facts.
        intermediate: the ``--outtype`` that imagined converter runs with under a quantizing recipe: the
            type of the few matrices that are not to be quantized, yet are not always F32 either.
        weighted: whether there is an importance matrix; some rules ask.
        overrides: what is wanted otherwise.

    Returns:
        One choice per tensor, in the order given.

    Raises:
        QuantizationError: unknown recipe, a feed-forward tensor of a model with experts is not in a layer,
            or a tensor's rows do not divide into blocks and it may not fall back.
    """
    found = find_recipe(recipe)
    chosen: dict[str, Choice] = {}
    pending: dict[str, TensorFacts] = {}
    for tensor in tensors:
        if tensor.type is None:
            converted = as_converted(tensor, intermediate if found.quantizes else found.base)
            unpacked = tensor.packed is not None and overrides.pure
            if not found.quantizes and overrides.of_name(tensor.name) is None and not unpacked:
                chosen[tensor.name] = converted
                continue
            tensor = replace(tensor, type=converted.type)
        pending[tensor.name] = tensor

    chooser = _Chooser(found, model, [tensor.name for tensor in tensors], weighted, overrides)
    for name in visiting_order(pending):
        chosen[name] = chooser.choose(pending[name])
    return [chosen[tensor.name] for tensor in tensors]


class _Chooser:
    """Visits tensors in order, counting the kinds whose place matters."""

    def __init__(
        self, recipe: Recipe, model: ModelSizes, names: Sequence[str], weighted: bool, overrides: Overrides
    ) -> None:
        kinds = [category(name) for name in names]
        self._recipe = recipe
        self._model = model
        self._weighted = weighted
        self._overrides = overrides
        self._tied = Category.OUTPUT not in kinds
        self._values = sum(kind in VALUES for kind in kinds)
        self._seen: Counter[Category] = Counter()

    def choose(self, tensor: TensorFacts) -> Choice:
        kept = reason_to_keep(tensor, self._model)
        if kept is not None and tensor.type is not None:
            return Choice(tensor.type, tensor.type, f"kept as it is: {kept}")
        asked = self._asked_for(tensor)
        wanted, rule = asked or self._wanted(tensor)
        row = row_length(tensor.shape)
        actual, why = fallback(wanted, row)
        if why is None:
            return Choice(actual, wanted, rule)
        if not self._overrides.fallback:
            raise QuantizationError(
                "the rows do not divide into blocks of the wanted type, and no other is allowed",
                tensor=tensor.name,
                found=f"rows of {row}",
                expected=f"a multiple of {BLOCK_SIZES[wanted].elements} for {wanted.name}",
            )
        if (
            asked is None
            and self._is_output(category(tensor.name))
            and row % BLOCK_SIZES[GGMLType.Q8_0].elements == 0
        ):
            actual = GGMLType.Q8_0
        return Choice(actual, wanted, f"{rule}; {why}")

    def _asked_for(self, tensor: TensorFacts) -> tuple[GGMLType, str] | None:
        """What the user wants of this tensor, with llama.cpp's precedence."""
        asked = self._overrides
        kind = category(tensor.name)
        named = asked.of_name(tensor.name)
        # the table of embeddings per layer is another large tensor, which may be named apart
        apart = named is not None and tensor.name == "per_layer_token_embd.weight"
        if kind is Category.TOKEN_EMBEDDING and asked.embedding is not None and not apart:
            return asked.embedding, "asked for: type of the token embeddings"
        if kind is Category.OUTPUT and asked.output is not None:
            return asked.output, "asked for: type of the output"
        if named is not None:
            return named[1], f"asked for: matches {named[0]!r}"
        if asked.pure:
            return self._recipe.base, "asked for: one type for all"
        return None

    def _wanted(self, tensor: TensorFacts) -> tuple[GGMLType, str]:
        base = self._recipe.base
        if not self._recipe.quantizes:
            return base, f"everything else: {base.name}"
        if any(part in tensor.name for part in self._model.traits.eight_bits):
            return GGMLType.Q8_0, f"Q8_0 at least in {self._model.architecture}"
        kind = category(tensor.name)
        if self._is_output(kind):
            what = "output" if kind is Category.OUTPUT else "token embedding, which is the output too"
            return self._output_type(what)
        if kind is Category.TOKEN_EMBEDDING and self._recipe.embedding is not None:
            return self._recipe.embedding, f"token embedding: {self._recipe.embedding.name}"
        place = self._place(kind, tensor)
        chosen, words = base, f"everything else: {base.name}"
        special = self._recipe.weighted_rules if self._weighted else ()
        for rule in (*special, *self._recipe.rules):
            if rule.applies(kind, place, chosen):
                chosen, words = rule.type, rule.words
                break
        for rule in self._recipe.shared_rules:
            if rule.applies(kind, place, chosen):
                chosen, words = rule.type, rule.words
        return chosen, words

    def _is_output(self, kind: Category) -> bool:
        return kind is Category.OUTPUT or (kind is Category.TOKEN_EMBEDDING and self._tied)

    def _output_type(self, what: str) -> tuple[GGMLType, str]:
        if self._overrides.output is not None:
            return self._overrides.output, f"asked for: {what}"
        fixed = self._model.traits.output
        if fixed is not None:
            return fixed, f"{what}, of {self._model.architecture}: {fixed.name}"
        return self._recipe.output, f"{what}: {self._recipe.output.name}"

    def _place(self, kind: Category, tensor: TensorFacts) -> TensorContext:
        if kind in VALUES:  # fused and separate value projections are counted together
            kind = Category.ATTENTION_V
        seen = index = self._seen[kind]
        self._seen[kind] += 1
        count = self._values if kind is Category.ATTENTION_V else 0
        if kind in _FEED_FORWARD:
            count = self._model.layers
            if self._model.experts > 1:
                index = self._layer(tensor.name)
        stacked = len(tensor.shape) > 2 and tensor.shape[-3] > 1
        return TensorContext(index, seen, count, stacked, self._weighted, self._model)

    def _layer(self, name: str) -> int:
        """Several such tensors per layer: the running number says nothing, the name has to."""
        layer = layer_of(name)
        if layer is None or not 0 <= layer < self._model.layers:
            raise QuantizationError(
                "a feed-forward tensor of a model with experts has to be in one of its layers",
                tensor=name,
                found="no layer" if layer is None else layer,
                expected=f"blk.0 to blk.{self._model.layers - 1}",
            )
        return layer


_NEEDING_WEIGHTS: Final = frozenset(
    {GGMLType.IQ1_S, GGMLType.IQ1_M, GGMLType.IQ2_XXS, GGMLType.IQ2_XS, GGMLType.IQ2_S, GGMLType.IQ3_XXS}
)


def is_embedding(name: str) -> bool:
    """Whether a tensor is a table of token embeddings."""
    return category(name) is Category.TOKEN_EMBEDDING


def needs_weights(name: str, type_: GGMLType, recipe: Recipe) -> bool:
    """Whether a tensor of this type is garbage without an importance matrix, as llama.cpp sees it."""
    if category(name) in (Category.TOKEN_EMBEDDING, Category.OUTPUT):
        return False
    return type_ in _NEEDING_WEIGHTS or (type_ is GGMLType.Q2_K and recipe.name == "Q2_K_S")


def choose_factor(name: str, shape: tuple[int, ...], wanted: GGMLType) -> Choice:
    """The type of one factor of an adapter, as llama.cpp's converter chooses it.

    Args:
        name: in GGUF.
        shape: its dimensions.
        wanted: F32, F16, BF16 or Q8_0.
    """
    choice = as_converted(TensorFacts(name, shape), wanted)
    actual, why = fallback(choice.type, row_length(shape))
    return choice if why is None else Choice(actual, wanted, f"{choice.rule}; {why}")


def fallback(wanted: GGMLType, row: int) -> tuple[GGMLType, str | None]:
    """What a row of ``row`` values becomes where ``wanted``'s blocks do not divide it, and why."""
    block = BLOCK_SIZES[wanted].elements
    if row % block == 0:
        return wanted, None
    smaller = _FALLBACKS.get(wanted, wanted)
    if row % BLOCK_SIZES[smaller].elements == 0:
        return smaller, f"rows of {row} are no multiple of {block}"
    return GGMLType.F16, f"rows of {row} are no multiple of {BLOCK_SIZES[smaller].elements}"
