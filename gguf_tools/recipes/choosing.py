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
from .facts import Choice, ModelFacts, TensorFacts
from .table import MODEL_RULES, VALUES, Place, Recipe, find_recipe
from .tensors import (
    Category,
    as_converted,
    category,
    layer_of,
    needs_eight_bits,
    reason_to_keep,
    visiting_order,
)

__all__ = ["choose", "fallback"]

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

_FEED_FORWARD: Final = frozenset({Category.FFN_UP, Category.FFN_GATE, Category.FFN_DOWN})


def choose(
    recipe: str,
    tensors: Sequence[TensorFacts],
    model: ModelFacts,
    *,
    intermediate: GGMLType = GGMLType.BF16,
) -> list[Choice]:
    """The type of every tensor of a model under a recipe.

    A tensor that has a type (it comes from a GGUF file) is treated as ``llama_model_quantize`` does. One
    without (it comes from a checkpoint) is first given the type llama.cpp's converter would write, as if
    the converter had run before; for F32, F16 and BF16 that is all.

    Args:
        recipe: its name, see ``RECIPES``.
        tensors: all tensors of the model, in any order.
        model: its facts.
        intermediate: the ``--outtype`` that imagined converter runs with under a quantizing recipe: the
            type of the few matrices that are not to be quantized, yet are not always F32 either.

    Returns:
        One choice per tensor, in the order given.

    Raises:
        QuantizationError: unknown recipe, or a feed-forward tensor of a model with experts is not in a layer.
    """
    found = find_recipe(recipe)
    chosen: dict[str, Choice] = {}
    pending: dict[str, TensorFacts] = {}
    for tensor in tensors:
        if tensor.type is None:
            converted = as_converted(tensor, intermediate if found.quantizes else found.base)
            if not found.quantizes:
                chosen[tensor.name] = converted
                continue
            tensor = replace(tensor, type=converted.type)
        pending[tensor.name] = tensor

    chooser = _Chooser(found, model, [tensor.name for tensor in tensors])
    for name in visiting_order(pending):
        chosen[name] = chooser.choose(pending[name])
    return [chosen[tensor.name] for tensor in tensors]


class _Chooser:
    """Visits tensors in order, counting the kinds whose place matters."""

    def __init__(self, recipe: Recipe, model: ModelFacts, names: Sequence[str]) -> None:
        kinds = [category(name) for name in names]
        self._recipe = recipe
        self._model = model
        self._tied = Category.OUTPUT not in kinds
        self._values = sum(kind in VALUES for kind in kinds)
        self._seen: Counter[Category] = Counter()

    def choose(self, tensor: TensorFacts) -> Choice:
        kept = reason_to_keep(tensor, self._model.architecture)
        if kept is not None and tensor.type is not None:
            return Choice(tensor.type, tensor.type, f"kept as it is: {kept}")
        base = self._recipe.base
        if not self._recipe.quantizes:
            return Choice(base, base, f"everything else: {base.name}")
        wanted, rule = self._wanted(tensor)
        actual, why = fallback(wanted, row_length(tensor.shape))
        return Choice(actual, wanted, rule if why is None else f"{rule}; {why}")

    def _wanted(self, tensor: TensorFacts) -> tuple[GGMLType, str]:
        if needs_eight_bits(tensor.name, self._model.architecture):
            return GGMLType.Q8_0, f"Q8_0 at least in {self._model.architecture}"
        kind = category(tensor.name)
        if kind is Category.OUTPUT:
            return self._output_type("output")
        if kind is Category.TOKEN_EMBEDDING and self._tied:
            return self._output_type("token embedding, which is the output too")
        place = self._place(kind, tensor.name)
        chosen, words = self._recipe.base, f"everything else: {self._recipe.base.name}"
        for rule in self._recipe.rules:
            if rule.applies(kind, place, chosen):
                chosen, words = rule.type, rule.words
                break
        for rule in MODEL_RULES:
            if rule.applies(kind, place, chosen):
                chosen, words = rule.type, rule.words
        return chosen, words

    def _output_type(self, what: str) -> tuple[GGMLType, str]:
        if self._model.architecture == "falcon":
            return GGMLType.Q8_0, f"{what}, of falcon: Q8_0"
        if self._recipe.base is GGMLType.Q8_0:
            return GGMLType.Q8_0, f"{what}: Q8_0"
        return GGMLType.Q6_K, f"{what}: Q6_K"

    def _place(self, kind: Category, name: str) -> Place:
        if kind in VALUES:  # fused and separate value projections are counted together
            kind = Category.ATTENTION_V
        index = self._seen[kind]
        self._seen[kind] += 1
        if kind not in _FEED_FORWARD:
            return Place(index, self._values if kind is Category.ATTENTION_V else 0, self._model)
        if self._model.experts > 1:
            # Several such tensors per layer: the running number says nothing, the name has to.
            layer = layer_of(name)
            if layer is None or not 0 <= layer < self._model.layers:
                raise QuantizationError(
                    "a feed-forward tensor of a model with experts has to be in one of its layers",
                    tensor=name,
                    found="no layer" if layer is None else layer,
                    expected=f"blk.0 to blk.{self._model.layers - 1}",
                )
            index = layer
        return Place(index, self._model.layers, self._model)


def fallback(wanted: GGMLType, row: int) -> tuple[GGMLType, str | None]:
    """What a row of ``row`` values becomes where ``wanted``'s blocks do not divide it, and why.

    llama.cpp looks at the output tensor's rows before it settles on Q6_K or Q8_0, and does not count that
    as a fallback; the types that come out are the same, as Q6_K falls back to Q8_0 anyway.
    """
    block = BLOCK_SIZES[wanted].elements
    if row % block == 0:
        return wanted, None
    smaller = _FALLBACKS.get(wanted, wanted)
    if row % BLOCK_SIZES[smaller].elements == 0:
        return smaller, f"rows of {row} are no multiple of {block}"
    return GGMLType.F16, f"rows of {row} are no multiple of {BLOCK_SIZES[smaller].elements}"
