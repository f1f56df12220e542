"""What a tensor's name says: its kind, its layer, and whether it may be quantized at all.

From llama.cpp b11434: ``tensor_get_category``, ``tensor_allows_quantization`` (src/llama-quant.cpp),
``weight_name_comparer`` (src/llama-model-loader.h) and ``prepare_tensors`` (conversion/base.py).
Parts of names are looked for anywhere in the name, as llama.cpp does, so that a prefix such as ``dec.``
or a suffix such as ``_exps`` does not hide a tensor from its rule.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ..spec import GGMLType
from .types import Choice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .types import ModelSizes, TensorFacts

__all__ = [
    "Category",
    "as_converted",
    "category",
    "layer_of",
    "reason_to_keep",
    "visiting_order",
]


class Category(Enum):
    """The kinds of tensors rules tell apart."""

    TOKEN_EMBEDDING = auto()
    OUTPUT = auto()
    ATTENTION_Q = auto()
    ATTENTION_K = auto()
    ATTENTION_V = auto()
    ATTENTION_QKV = auto()
    ATTENTION_KV_B = auto()
    ATTENTION_OUTPUT = auto()
    FFN_UP = auto()
    FFN_GATE = auto()
    FFN_DOWN = auto()
    OTHER = auto()


_WHOLE_NAMES: Final = {
    "output.weight": Category.OUTPUT,
    "token_embd.weight": Category.TOKEN_EMBEDDING,
    "per_layer_token_embd.weight": Category.TOKEN_EMBEDDING,
}

# The first part found decides.
_PARTS: Final = (
    ("attn_qkv.weight", Category.ATTENTION_QKV),
    ("attn_kv_b.weight", Category.ATTENTION_KV_B),
    ("attn_v.weight", Category.ATTENTION_V),
    ("attn_k.weight", Category.ATTENTION_K),
    ("attn_q.weight", Category.ATTENTION_Q),
    ("attn_output.weight", Category.ATTENTION_OUTPUT),
    ("ffn_up", Category.FFN_UP),
    ("ffn_gate", Category.FFN_GATE),
    ("ffn_down", Category.FFN_DOWN),
)


def category(name: str) -> Category:
    """The kind of the tensor called ``name``."""
    whole = _WHOLE_NAMES.get(name)
    if whole is not None:
        return whole
    return next((kind for part, kind in _PARTS if part in name), Category.OTHER)


# C's scanf with "blk.%d.": white space and a sign before the digits would be accepted too.
_LAYER: Final = re.compile(r"blk\.[ \t\n\v\f\r]*([+-]?[0-9]+)")


def layer_of(name: str) -> int | None:
    """The layer number in ``blk.N.…``, or None for names of another form."""
    found = _LAYER.match(name)
    return None if found is None else int(found[1])


def visiting_order(names: Iterable[str]) -> list[str]:
    """Names by layer, then by their bytes; tensors outside the layers come first.

    This is the order in which rules count ("the third attn_v"), and the order of tensors in a file
    that ``llama_model_quantize`` writes.
    """

    def key(name: str) -> tuple[int, bytes]:
        layer = layer_of(name)
        return (-1 if layer is None else layer, name.encode("utf-8", "surrogateescape"))

    return sorted(names, key=key)


# Parts of names of tensors that are never quantized, and what they are.
_KEPT_PARTS: Final = (
    ("_norm.weight", "norm"),
    ("ffn_gate_inp.weight", "expert router"),
    ("ffn_gate_tid2eid.weight", "expert routing table"),
    ("altup", "small altup tensor"),
    ("laurel", "small laurel tensor"),
    ("per_layer_model_proj", "small per-layer projection"),
    ("ssm_conv1d", "short convolution"),
    ("shortconv.conv.weight", "short convolution"),
    ("indexer.k_proj.weight", "small indexer projection"),
    ("indexer.q_proj.weight", "small indexer projection"),
    *(
        (f"time_mix_{part}.weight", "small RWKV tensor")
        for part in (
            *("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2"),
            *("decay_w1", "decay_w2", "lerp_fused"),
        )
    ),
    ("attn_rel_b.weight", "relative position bias"),
    (".position_embd", "position embedding"),
    ("sam.pos_embd", "position embedding"),
    ("sam.neck.", "vision neck"),
    ("sam.net_", "vision network"),
    (".rel_pos", "relative position embedding"),
    (".patch_embd", "patch embedding"),
    (".patch_merger", "patch merger"),
    ("a.rvq.codebook", "audio codebook"),
    ("mm.a.code_embd", "audio codebook"),
)

_KEPT_NAMES: Final = {
    "position_embd.weight": "position embedding",
    "token_types.weight": "token type embedding",
}

_INTEGERS: Final = frozenset({GGMLType.I8, GGMLType.I16, GGMLType.I32, GGMLType.I64})


def reason_to_keep(tensor: TensorFacts, model: ModelSizes) -> str | None:
    """Why a tensor stays in the type it has, or None if it may be quantized."""
    name = tensor.name
    if tensor.type in _INTEGERS:
        return "holds integers"  # llama.cpp gives up on a file with an integer matrix; keeping it is right
    if _dimensions(tensor.shape) < 2:
        return "has one dimension"
    # llama.cpp compares rfind("weight") with size − 6, which are both −1 for a name of five bytes
    # without that word: such a tensor counts as a weight.
    if not name.endswith("weight") and len(name.encode("utf-8", "surrogateescape")) != 5:
        return "is not called weight"
    kept = _KEPT_NAMES.get(name) or next((what for part, what in _KEPT_PARTS if part in name), None)
    if kept is None and any(part in name for part in model.traits.kept):
        kept = f"left alone in {model.architecture}"
    return kept


def _dimensions(shape: tuple[int, ...]) -> int:
    """ggml's count, which ends at the last dimension (first in numpy's order) larger than 1."""
    return next((len(shape) - i for i, extent in enumerate(shape) if extent > 1), 1)


# What the converter writes as F32 whatever --outtype says.
_CONVERTED_TO_F32: Final = re.compile(
    r"(?:position_embd|token_types|[va]\.position_embd|posnet\.[0-9]+\.norm[12]"
    r"|blk\.[0-9]+\.(?:ffn_gate_inp|ffn_gate_inp_shexp|ssm_conv1d|ssm_conv1d_[qkv]|shortconv\.conv|indexer\.proj"
    r"|time_mix_(?:first|w1|w2|decay_w1|decay_w2|lerp_fused)|altup_(?:correct|predict)_coef))\.weight"
)


def as_converted(tensor: TensorFacts, outtype: GGMLType) -> Choice:
    """What llama.cpp's converter writes a checkpoint's tensor as, under ``--outtype``.

    Args:
        tensor: its GGUF name and shape.
        outtype: F32, F16 or BF16.
    """
    if tensor.packed is not None:
        return Choice(tensor.packed, tensor.packed, f"packed as {tensor.packed.name} in the checkpoint")
    if len(tensor.shape) <= 1:
        why = "has one dimension"
    elif tensor.name.endswith("_norm.weight"):
        why = "norm"
    elif not tensor.name.endswith((".weight", ".lora_a", ".lora_b")):
        why = "is not called weight"
    elif _CONVERTED_TO_F32.fullmatch(tensor.name):
        why = "needs full precision"
    else:
        return Choice(outtype, outtype, f"everything else: {outtype.name}")
    return Choice(GGMLType.F32, GGMLType.F32, f"always F32: {why}")
