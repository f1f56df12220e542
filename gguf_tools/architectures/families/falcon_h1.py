"""Falcon H1: Mamba 2 and attention side by side, and multipliers that become part of the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import ArchitectureError
from ..config import GGUFFacts, HFConfig, real
from ..decoder import BLOCK, TIED, flag, has_head, head_count
from ..keys import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    Entry,
    Key,
    Note,
    head_size,
)
from ..mamba_parts import LOST, mamba2_mixer
from ..per_layer_keys import AnyTensor, Heads
from ..rope import Rope
from ..scaling import Factors, Scaled
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Memory
from ..transforms import Transform

_SINGLE = (
    "attention_in_multiplier",
    "attention_out_multiplier",
    "embedding_multiplier",
    "key_multiplier",
    "lm_head_multiplier",
    "ssm_in_multiplier",
    "ssm_out_multiplier",
)
_LISTS = {"mlp_multipliers": 2, "ssm_multipliers": 5}


def _multipliers(config: HFConfig, key: str) -> list[float]:
    """The multipliers of a key: a list of as many as there must be."""
    found, count = config.find(key), _LISTS.get(key, 1)
    values = [found] if key in _SINGLE else found
    if not isinstance(values, list) or len(values) != count:
        raise ArchitectureError(
            "not a list of multipliers", path="config.json", key=key, found=found, expected=f"{count} numbers"
        )
    return [real(value, key) for value in values]


def _times(*keys: str, at: int = 0) -> Transform:
    """All rows times the multipliers of some keys, of lists the one ``at`` this place."""
    return Scaled(lambda config: [(None, [_multipliers(config, key)[at] for key in keys])])


def _in_projection(config: HFConfig) -> list[tuple[int | None, Factors]]:
    """Rows of gate, x, B, C and the time steps."""
    (whole,) = _multipliers(config, "ssm_in_multiplier")
    inner, heads = config.integer("mamba_d_ssm"), config.integer("mamba_n_heads")
    state = config.integer("mamba_n_groups") * config.integer("mamba_d_state")
    sizes = (inner, inner, state, state, heads)
    own = _multipliers(config, "ssm_multipliers")
    return [(size, (whole, factor)) for size, factor in zip(sizes, own, strict=True)]


@dataclass(frozen=True)
class _Folded:
    """The multipliers, of which an export says that they are one: the weights have them."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        for key in (*_SINGLE, *_LISTS):
            _multipliers(config, key)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config.update(dict.fromkeys(_SINGLE, 1.0))
        config.update({key: [1.0] * count for key, count in _LISTS.items()})


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_d_ssm")


def _expanded(config: HFConfig) -> int:
    return config.integer("mamba_expand") * config.integer("hidden_size")


def _norm_orders(config: HFConfig) -> tuple[bool, ...]:
    """llama.cpp norms what the gate has passed; without a norm there is no order."""
    return (False,) if config.flag("mamba_rms_norm") else (False, True)


def _matrix(hf: str, gguf: str, *keys: str, at: int = 0) -> Rule:
    """A matrix of a block, times the multipliers of some keys."""
    return Rule((f"{BLOCK}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), _times(*keys, at=at))


ARCHITECTURE = Architecture(
    name="falcon-h1",
    classes=(
        HFClass(
            "FalconH1ForCausalLM",
            "falcon_h1",
            dict.fromkeys(_SINGLE, 1.0)
            | {key: [1.0] * count for key, count in _LISTS.items()}
            | {
                "mamba_conv_bias": True,
                "mamba_d_conv": 4,
                "mamba_d_ssm": 1024,
                "mamba_d_state": 256,
                "mamba_expand": 2,
                "mamba_n_groups": 1,
                "mamba_n_heads": 128,
                "mamba_norm_before_gate": True,
                "mamba_rms_norm": False,
                "max_position_embeddings": 8192,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-5,
                "rope_theta": 100000.0,
                "tie_word_embeddings": False,
            },
            {
                **{key: lambda config: 1.0 for key in _SINGLE},
                "head_dim": head_size,
                "mamba_d_ssm": _expanded,
                "mlp_multipliers": lambda config: [1.0] * 2,
                "num_key_value_heads": head_count,
                "ssm_multipliers": lambda config: [1.0] * 5,
            },
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        CONTEXT,
        WIDTH,
        INNER,
        HEADS,
        LAYERS,
        Key("ssm.conv_kernel", "mamba_d_conv"),
        Key("ssm.inner_size", "mamba_d_ssm"),
        Key("ssm.state_size", "mamba_d_state"),
        Heads(_inner),
        Key("ssm.group_count", "mamba_n_groups"),
        RMS_EPS,
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        KV_HEADS,
        HEAD_DIM,
        Rope(kinds=()),
        _Folded(),
        TIED,
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        AnyTensor("mamba_rms_norm", ".ssm_norm.weight"),
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("attention_bias", (False,)),
        AssumedByRuntime("mamba_proj_bias", (False,)),
        AssumedByRuntime("mlp_bias", (False,)),
        AssumedByRuntime("projectors_bias", (False,)),
        AssumedByRuntime("mamba_norm_before_gate", _norm_orders),
        Note(
            lambda config: (
                config.flag("tie_word_embeddings")
                and config["lm_head_multiplier"] != config["embedding_multiplier"]
            ),
            "lm_head_multiplier is not honoured: the output is the embedding, which has its own",
        ),
    ),
    tensors=(
        Rule(("model.embed_tokens.weight",), ("token_embd.weight",), _times("embedding_multiplier")),
        Rule(("model.final_layernorm.weight",), ("output_norm.weight",)),
        Rule(("lm_head.weight",), ("output.weight",), _times("lm_head_multiplier"), needed=has_head),
        Rule((f"{BLOCK}.input_layernorm.weight",), ("blk.{i}.attn_norm.weight",)),
        Rule((f"{BLOCK}.pre_ff_layernorm.weight",), ("blk.{i}.ffn_norm",)),  # without an ending
        _matrix("self_attn.q_proj", "attn_q", "attention_in_multiplier"),
        _matrix("self_attn.k_proj", "attn_k", "key_multiplier", "attention_in_multiplier"),
        _matrix("self_attn.v_proj", "attn_v", "attention_in_multiplier"),
        _matrix("self_attn.o_proj", "attn_output", "attention_out_multiplier"),
        _matrix("feed_forward.gate_proj", "ffn_gate", "mlp_multipliers"),
        _matrix("feed_forward.up_proj", "ffn_up"),
        _matrix("feed_forward.down_proj", "ffn_down", "mlp_multipliers", at=1),
        *mamba2_mixer(
            f"{BLOCK}.mamba",
            "mamba_n_groups",
            conv_bias="mamba_conv_bias",
            normed=flag("mamba_rms_norm"),
            inputs=Scaled(_in_projection),
            outputs=_times("ssm_out_multiplier"),
        ),
    ),
    export_notes=(*LOST, "the multipliers are part of the weights, and said to be one"),
    graph=GraphTraits(memory=Memory.BOTH),
)
