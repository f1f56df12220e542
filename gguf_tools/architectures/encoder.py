"""The base for encoders of BERT's kind, for embeddings and classification: what they share.

`encoder` makes the table of such a family, as `decoder` does for decoders; the functions before it give the
classes and the tensors most of them have.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Unpack

from ..spec import ValueType
from .classifier import Labels
from .decoder import VOCABULARY_ROWS, Options, modules
from .keys import LAYER_EPS, SIZES, AssumedByRuntime, DerivedKey, FromTensorRows, KeyRule
from .pooling import Pooling, pooling_files
from .table import Architecture, HFClass
from .tensors import Drop, Rule, weight_and_bias
from .traits import GraphTraits, Memory
from .vocabularies import ENCODER_TYPES

__all__ = [
    "ENCODER_EPS",
    "LOST_POOLER",
    "NOT_CAUSAL",
    "attention",
    "bert_classes",
    "blocks",
    "embeddings",
    "encoder",
    "heads_without_use",
]

ENCODER_EPS: Final = LAYER_EPS.named("layer_norm_eps", "layer_norm_epsilon")
NOT_CAUSAL: Final = DerivedKey("attention.causal", ValueType.BOOL, lambda config: False)
_TYPE_ROWS: Final = FromTensorRows("type_vocab_size", "token_types.weight")
_GELU: Final = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
"""Names of the one activation llama.cpp knows here, and of its approximations."""

LOST_POOLER: Final = "pooler.dense is not in GGUF; transformers will start it at random values"


def bert_classes(
    name: str, model_type: str, defaults: Mapping[str, Any] = MappingProxyType({})
) -> tuple[HFClass, HFClass, HFClass]:
    """The bare model, whose tensors carry no prefix, that for masked words, and that for classification."""
    return (
        HFClass(f"{name}Model", model_type, defaults, prefixed=False),
        HFClass(f"{name}ForMaskedLM", model_type, defaults),
        HFClass(f"{name}ForSequenceClassification", model_type, defaults),
    )


def embeddings(prefix: str) -> tuple[Rule, ...]:
    """Embeddings of tokens and of kinds of texts, and the norm after them."""
    return (
        Rule((f"{prefix}embeddings.word_embeddings.weight",), ("token_embd.weight",)),
        Rule((f"{prefix}embeddings.token_type_embeddings.weight",), ("token_types.weight",)),
        *weight_and_bias(f"{prefix}embeddings.LayerNorm", "token_embd_norm"),
    )


def attention(prefix: str) -> tuple[Rule, ...]:
    """Attention of every layer, and the norm after it."""
    return modules(
        ("self.query", "attn_q"),
        ("self.key", "attn_k"),
        ("self.value", "attn_v"),
        ("output.dense", "attn_output"),
        ("output.LayerNorm", "attn_output_norm"),
        block=f"{prefix}encoder.layer.{{i}}.attention",
    )


def blocks(prefix: str) -> tuple[Rule, ...]:
    """All of every layer."""
    feed_forward = modules(
        ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"),
        ("output.LayerNorm", "layer_output_norm"),
        block=f"{prefix}encoder.layer.{{i}}",
    )
    return (*attention(prefix), *feed_forward)


def heads_without_use(prefix: str) -> tuple[Drop, ...]:
    """Buffers and heads an embedding model in llama.cpp has no use for."""
    name = prefix.replace(".", r"\.")
    return (
        Drop(rf"{name}embeddings\.(position|token_type)_ids", "a buffer: follows from the sizes"),
        Drop(rf"{name}pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),
        Drop(r"cls\.predictions\..*", "the masked-word head: llama.cpp uses BERT for embeddings"),
        Drop(r"cls\.seq_relationship\..*", "the next-sentence head: llama.cpp uses BERT for embeddings"),
    )


def encoder(
    name: str,
    *classes: HFClass,
    tensors: tuple[Rule, ...],
    tokenizers: tuple[str, ...] = ("wordpiece",),
    keys: tuple[KeyRule, ...] = (*SIZES, ENCODER_EPS),
    own: tuple[KeyRule, ...] = (),
    activation: str | None = "hidden_act",
    assumed: Mapping[str, Any] = MappingProxyType({}),
    token_types: bool = True,
    **options: Unpack[Options],
) -> Architecture:
    """The table of an encoder family.

    Args:
        name: ``general.architecture``.
        classes: the transformers classes.
        tensors: all rules for tensors.
        tokenizers: which tokenizers to look for, in order.
        keys: the sizes and the epsilon, in place of the usual ones in their usual order.
        own: rules for keys of the family's own, in the order in which they are written.
        activation: the HF key of the activation, of which llama.cpp knows GELU only; None where another rule
            deals with it.
        assumed: further HF keys the runtime takes for granted, with the value it acts on.
        token_types: whether several kinds of texts are told apart.
        options: further fields of `Architecture`.
    """
    settings: Options = {
        "extras": pooling_files,
        "vocabulary": ENCODER_TYPES,
        "graph": GraphTraits(memory=Memory.NOTHING, rotary=False),
        **options,
    }
    return Architecture(
        name=name,
        classes=classes,
        tokenizer_kinds=tokenizers,
        keys=keys,
        family_keys=(
            *(NOT_CAUSAL, Pooling(), Labels(), VOCABULARY_ROWS),
            *((_TYPE_ROWS,) if token_types else ()),
            *((AssumedByRuntime(activation, _GELU),) if activation else ()),
            *(AssumedByRuntime(key, (value,)) for key, value in assumed.items()),
            *own,
        ),
        tensors=tensors,
        **settings,
    )
