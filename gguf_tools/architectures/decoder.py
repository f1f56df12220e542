"""The base for decoder families: what nearly all of them share, so that a family states only how it differs.

`decoder` makes the table of a Llama-shaped model: an embedding; layers of attention and a gated feed-forward
network, with a norm before each; a last norm; and an output matrix that may be tied to the embedding. Each
argument changes one of these. The tuples of rules below are what families put in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypedDict, Unpack

from ..recipes.traits import RecipeTraits
from .config import GGUFFacts, HFConfig
from .keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    KeyRule,
    Note,
)
from .rope import Rope
from .table import Architecture, FromConfig, HFClass, class_name
from .tensor_to_key import Scalars
from .tensors import Condition, Drop, Rule, always, weight_and_bias
from .traits import GraphTraits, VocabularyTraits
from .transforms import IDENTITY, PermuteHeads, SplitMiddle, StackExperts, Transform, Transpose

__all__ = [
    "BLOCK",
    "EMBEDDING",
    "FFN",
    "HEAD",
    "LAST_LAYER_NORM",
    "LAST_NORM",
    "NO_WINDOW",
    "OUTPUT",
    "OUTPUT_WHERE_TIED",
    "POST_NORMS",
    "PRE_LAYER_NORMS",
    "PRE_NORMS",
    "QK_NORMS",
    "SPARE_HEAD",
    "TIED",
    "TIED_OUTPUT",
    "VOCABULARY_ROWS",
    "Options",
    "attention",
    "decoder",
    "experts",
    "flag",
    "gated",
    "has_head",
    "head_count",
    "modules",
    "norms",
    "optional",
    "renamed",
    "routed",
]

BLOCK: Final = "model.layers.{i}"


def flag(key: str) -> Condition:
    """The condition that a boolean of the config is set."""
    return lambda config, layer: config.flag(key)


def optional(config: HFConfig, layer: int) -> bool:
    """The condition that holds nowhere: what it is about may be there, but need not."""
    return False


def head_count(config: HFConfig) -> int:
    """The number of attention heads: what the number of key-value heads is when null."""
    return config.integer("num_attention_heads")


def has_head(config: HFConfig, layer: int) -> bool:
    """Whether the model has an output matrix of its own: not tied, and not a bare ``…Model``."""
    return not config.flag("tie_word_embeddings") and not class_name(config).endswith("Model")


TIED: Final = FromTensorPresence("tie_word_embeddings", "output.weight", absent=True)
VOCABULARY_ROWS: Final = FromTensorRows("vocab_size", "token_embd.weight")
TIED_OUTPUT: Final = Drop(r"lm_head\.weight", "the embedding again")
"""For families whose output matrix is always the embedding, and may be stored all the same."""
OUTPUT_WHERE_TIED: Final = Drop(
    r"lm_head\.weight", "the embedding again", lambda config: config.flag("tie_word_embeddings")
)
"""The same for families of which only some models have that."""

EMBEDDING: Final = Rule(("model.embed_tokens.weight",), ("token_embd.weight",))
LAST_NORM: Final = Rule(("model.norm.weight",), ("output_norm.weight",))
# Kept even where the config ties it and it is stored all the same, as llama.cpp's converter does.
HEAD: Final = Rule(("lm_head.weight",), ("output.weight",), needed=has_head)
SPARE_HEAD: Final = Rule(("lm_head.weight",), ("output.weight",), needed=optional)
"""Of families whose output matrix is the embedding, and which some checkpoints store again."""
OUTPUT: Final = (EMBEDDING, LAST_NORM, HEAD)

_MLP_BIAS: Final = flag("mlp_bias")
FFN: Final = (
    *weight_and_bias("model.layers.{i}.mlp.gate_proj", "blk.{i}.ffn_gate", bias=_MLP_BIAS),
    *weight_and_bias("model.layers.{i}.mlp.up_proj", "blk.{i}.ffn_up", bias=_MLP_BIAS),
    *weight_and_bias("model.layers.{i}.mlp.down_proj", "blk.{i}.ffn_down", bias=_MLP_BIAS),
)
"""Gated feed-forward, with biases where ``mlp_bias`` says so."""


def norms(*pairs: tuple[str, str], transform: Transform = IDENTITY, block: str = BLOCK) -> tuple[Rule, ...]:
    """Weights without bias: (HF module of a block, GGUF name)."""
    return tuple(
        Rule((f"{block}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), transform) for hf, gguf in pairs
    )


def gated(module: str, suffix: str = "", *, block: str = BLOCK) -> tuple[Rule, ...]:
    """A gated feed-forward network without biases; ``suffix`` is for its GGUF names (``_shexp``)."""
    return norms(
        *((f"{module}.{part}_proj", f"ffn_{part}{suffix}") for part in ("gate", "up", "down")), block=block
    )


def modules(
    *rows: tuple[str, str] | tuple[str, str, Transform], bias: Condition = always, block: str = BLOCK
) -> tuple[Rule, ...]:
    """Weights, and biases where ``bias`` says so: (HF module of a block, GGUF name, transform of both)."""
    made: list[Rule] = []
    for hf, gguf, *rest in rows:
        transform = rest[0] if rest else IDENTITY
        of_bias = IDENTITY if isinstance(transform, Transpose) else transform
        made.append(Rule((f"{block}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), transform))
        made.append(Rule((f"{block}.{hf}.bias",), (f"blk.{{i}}.{gguf}.bias",), of_bias, needed=bias))
    return tuple(made)


def renamed(*pairs: tuple[str, str], bias: Condition | None = None) -> tuple[Rule, ...]:
    """Modules outside of blocks: (HF module, GGUF name), with a bias where one is given."""
    return tuple(
        rule
        for hf, gguf in pairs
        for rule in (
            weight_and_bias(hf, gguf, bias=bias) if bias else (Rule((f"{hf}.weight",), (f"{gguf}.weight",)),)
        )
    )


PRE_NORMS: Final = norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"))
LAST_LAYER_NORM: Final = weight_and_bias("model.norm", "output_norm")
PRE_LAYER_NORMS: Final = modules(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"))
"""The same as layer norms, with biases."""
POST_NORMS: Final = norms(
    ("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")
)
QK_NORMS: Final = norms(("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"))


def attention(
    *,
    bias: Condition = optional,
    output_bias: Condition | None = None,
    permuted: bool = False,
    output: str = "self_attn.o_proj",
    block: str = BLOCK,
) -> tuple[Rule, ...]:
    """Projections of query, key, value and output.

    Args:
        bias: where query, key and value must have one.
        output_bias: where the output must; as ``bias`` where not given.
        permuted: rows of query and key go from HF's rotary layout to ggml's.
        output: the output's module.
        block: what blocks are called.
    """
    query = PermuteHeads("num_attention_heads") if permuted else IDENTITY
    key = PermuteHeads("num_key_value_heads") if permuted else IDENTITY
    return (
        *weight_and_bias(f"{block}.self_attn.q_proj", "blk.{i}.attn_q", query, bias=bias),
        *weight_and_bias(f"{block}.self_attn.k_proj", "blk.{i}.attn_k", key, bias=bias),
        *weight_and_bias(f"{block}.self_attn.v_proj", "blk.{i}.attn_v", bias=bias),
        *weight_and_bias(f"{block}.{output}", "blk.{i}.attn_output", bias=output_bias or bias),
    )


def experts(
    count: str,
    *,
    module: str = "mlp.experts",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
    when: Condition = always,
    block: str = BLOCK,
) -> tuple[Rule, ...]:
    """Routed experts: a matrix for each, as all releases publish them, or stacked, as transformers 5 does.

    Args:
        count: HF config key with their number.
        module: what holds them.
        names: what gate, up and down projections are called.
        when: which layers have them.
        block: what blocks are called.
    """
    gguf = [f"blk.{{i}}.ffn_{part}_exps.weight" for part in ("gate", "up", "down")]
    return (
        *(
            Rule(
                (f"{block}.{module}.{{e}}.{name}.weight",),
                (target,),
                StackExperts(),
                when=when,
                experts=count,
            )
            for name, target in zip(names, gguf, strict=True)
        ),
        Rule((f"{block}.{module}.gate_up_proj",), (gguf[0], gguf[1]), SplitMiddle(), when=when),
        Rule((f"{block}.{module}.down_proj",), (gguf[2],), when=when),
    )


def routed(
    count: str,
    *,
    router: str = "mlp.gate",
    module: str = "mlp.experts",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
    when: Condition = always,
) -> tuple[Rule, ...]:
    """A feed-forward network of routed experts: the router, and `experts`."""
    gate = Rule((f"{BLOCK}.{router}.weight",), ("blk.{i}.ffn_gate_inp.weight",), when=when)
    return gate, *experts(count, module=module, names=names, when=when)


NO_WINDOW: Final = Note(
    lambda config: (
        config.find("sliding_window") is not None
        and config.integer("sliding_window", least=0) < config.integer("max_position_embeddings")
    ),
    "config.json has a sliding window; llama.cpp attends to the whole context in this architecture",
)


class Options(TypedDict, total=False):
    """Fields of `Architecture` that `decoder` hands on as they are."""

    prefix: str
    unprefixed: tuple[str, ...]
    leading_keys: tuple[KeyRule, ...]
    computed: tuple[FromConfig, ...]
    scalars: tuple[Scalars, ...]
    drops: tuple[Drop, ...]
    drop_mtp_layers: bool
    renames: tuple[tuple[str, str], ...]
    matches_gguf: Callable[[GGUFFacts], bool]
    repeated: tuple[str, ...]
    choose: Callable[[GGUFFacts], str]
    export_notes: tuple[str, ...]
    extras: Callable[[GGUFFacts, dict[str, Any]], dict[str, Any]]
    vocabulary: VocabularyTraits
    graph: GraphTraits
    recipe: RecipeTraits


def decoder(
    name: str,
    *classes: HFClass,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    derived: Mapping[str, Callable[[HFConfig], Any]] = MappingProxyType({}),
    tokenizers: tuple[str, ...] = ("bpe",),
    keys: tuple[KeyRule, ...] | None = None,
    sizes: Mapping[str, KeyRule] = MappingProxyType({}),
    rope: KeyRule = Rope(),  # noqa: B008 - immutable
    eps: KeyRule = RMS_EPS,
    expert_keys: tuple[KeyRule, ...] = (),
    head_dim: KeyRule | None = HeadDim(always=False),  # noqa: B008 - immutable
    own: tuple[KeyRule, ...] = (),
    bias: str | None = "attention_bias",
    flags: tuple[KeyRule, ...] = (),
    activation: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ("silu", "swish"),
    assumed: Mapping[str, Any] = MappingProxyType({}),
    checks: tuple[KeyRule, ...] = (),
    output: tuple[Rule, ...] = OUTPUT,
    pre_norms: tuple[Rule, ...] = PRE_NORMS,
    attn: tuple[Rule, ...] | None = None,
    permuted: bool = False,
    qk_norms: tuple[Rule, ...] = (),
    ffn: tuple[Rule, ...] = FFN,
    tensors: tuple[Rule, ...] = (),
    blocks: tuple[Rule, ...] | None = None,
    **options: Unpack[Options],
) -> Architecture:
    """The table of a decoder family.

    Args:
        name: ``general.architecture``.
        classes: the transformers classes; what each states of defaults comes before ``defaults``.
        defaults: values for keys config.json may leave out, beside those in `hf_defaults`.
        derived: keys computed where they are null, beside the number of key-value heads.
        tokenizers: which tokenizers to look for, in order.
        keys: all keys up to the head's size, in place of the usual ones in their usual order.
        sizes: rules that take the place of usual ones, by GGUF key.
        rope: the rule for ``rope.*``.
        eps: the rule for the norms' epsilon.
        expert_keys: rules for the experts' numbers, before the head's size.
        head_dim: the rule for the head's size; None for none.
        own: rules for keys of the family's own, in the order in which they are written.
        bias: the flag that says query, key, value and output have biases; None where there is no such flag.
        flags: rules for further flags that GGUF tells by tensors, such as other biases.
        activation: ``hidden_act`` as the runtime acts on it, the usual name first; or another HF key for it,
            with such names.
        assumed: further HF keys the runtime takes for granted, with the value it acts on.
        checks: further rules that write nothing.
        output: rules for the embedding, the last norm and the output matrix.
        pre_norms: rules for a layer's norms.
        attn: rules for the attention's matrices, in place of the usual ones.
        permuted: rows of query and key go from HF's rotary layout to ggml's.
        qk_norms: rules for norms of query and key.
        ffn: rules for the feed-forward network.
        tensors: further rules.
        blocks: rules for all of a layer, in place of its norms, attention and feed-forward network.
        options: further fields of `Architecture`.
    """
    if keys is None:
        usual = (*SIZES, KV_HEADS)
        replaced = tuple(sizes.get(rule.gguf, rule) if isinstance(rule, Key) else rule for rule in usual)
        keys = (*replaced, CAUSAL, rope, eps, *expert_keys, *((head_dim,) if head_dim else ()))
    if blocks is None:
        attn = (
            attn if attn is not None else attention(bias=flag(bias) if bias else optional, permuted=permuted)
        )
        blocks = (*pre_norms, *attn, *qk_norms, *ffn)
    shared = {"num_key_value_heads": head_count} if KV_HEADS in (*keys, *own) else {}
    activations = activation if isinstance(activation, Mapping) else {"hidden_act": activation}
    return Architecture(
        name=name,
        classes=tuple(
            replace(
                entry,
                defaults={**defaults, **entry.defaults},
                derived_defaults={**shared, **derived, **entry.derived_defaults},
            )
            for entry in classes
        ),
        tokenizer_kinds=tokenizers,
        keys=keys,
        family_keys=(
            *own,
            VOCABULARY_ROWS,
            *((FromTensorPresence(bias, "blk.0.attn_q.bias"),) if bias else ()),
            *flags,
            TIED,
            *(AssumedByRuntime(key, names) for key, names in activations.items()),
            *(AssumedByRuntime(key, (value,)) for key, value in assumed.items()),
            *checks,
        ),
        tensors=(*output, *blocks, *tensors),
        **options,
    )
