"""Recipes: which type each tensor gets. Pure: names, shapes and a few facts of the model in, types out.

A recipe (``Q4_K_M``) is not a codec (``Q4_K``): it gives some tensors more bits than others. The rules
are those of llama.cpp b11434 (``llama_model_quantize`` for block types, ``convert_hf_to_gguf.py``'s
``--outtype`` for what a checkpoint's tensors become in F32, F16 or BF16), so that a file of ours has the
types a file of theirs has. Every choice says in words which rule made it.
"""

from .overrides import combine, parse_tensor_type, read_overrides_file
from .rules import Recipe
from .select import choose, choose_factor, is_embedding, needs_weights
from .table import ALIASES, RECIPES, find_recipe
from .tensors import visiting_order
from .types import Choice, ModelSizes, Overrides, TensorFacts

__all__ = [
    "ALIASES",
    "RECIPES",
    "Choice",
    "ModelSizes",
    "Overrides",
    "Recipe",
    "TensorFacts",
    "choose",
    "choose_factor",
    "combine",
    "find_recipe",
    "is_embedding",
    "needs_weights",
    "parse_tensor_type",
    "read_overrides_file",
    "visiting_order",
]
