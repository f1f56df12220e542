"""What Nemotron H and its sibling with experts share: each layer is one of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Unpack

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import HFConfig
from .decoder import HEAD, Options, decoder, flag, head_count, optional, renamed
from .keys import (
    CAUSAL,
    HEAD_DIM,
    HEADS,
    LAYERS,
    RMS_EPS,
    VOCABULARY_SIZE,
    WIDTH,
    DerivedKey,
    Key,
    KeyRule,
    head_size,
)
from .mamba_parts import LOST, MIXER, UNLIMITED, mamba2_mixer
from .per_layer_keys import AnyTensor, Heads, LayerArray
from .table import Architecture, HFClass
from .tensors import Condition, Rule, limit_to, weight_and_bias
from .transforms import IDENTITY, PermuteHeads

__all__ = ["module", "nemotron_h"]

_PATTERN: Final = "hybrid_override_pattern"
_LISTED: Final = "layers_block_type"
_LETTERS: Final = {
    "mamba": "M",
    "linear_attention": "M",
    "attention": "*",
    "full_attention": "*",
    "mlp": "-",
    "moe": "E",
}


def _pattern(config: HFConfig) -> str:
    """A letter for each layer, however the config tells their kinds."""
    found, count = config.find(_PATTERN, _LISTED), config.integer("num_hidden_layers")
    letters = [_LETTERS.get(str(kind), "?") for kind in found] if isinstance(found, list) else found
    if not isinstance(letters, list | str) or len(letters) != count or not set(letters) <= set("M*-E"):
        raise ArchitectureError(
            "not a kind for every layer",
            path="config.json",
            key=_PATTERN,
            found=found,
            expected=f"{count} of M (mixer), * (attention), - (feed-forward) and E (experts)",
        )
    return "".join(letters)


def _of_kind(letter: str) -> Condition:
    """The condition that a layer is of a kind."""
    return lambda config, layer: _pattern(config)[layer] == letter


def _layer_count(config: HFConfig) -> int:
    found = config.find(_LISTED, _PATTERN)
    return len(found) if isinstance(found, list | str) else 0


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_num_heads") * config.integer("mamba_head_dim")


def _rotary(config: HFConfig) -> int:
    """What the converter writes, although nothing is rotated."""
    return config.integer("hidden_size") // config.integer("num_attention_heads")


def _leading_keys(letter: str, size: str) -> tuple[KeyRule, ...]:
    """Keys up to the epsilons; ``letter`` is the kind of the feed-forward layers, ``size`` names theirs."""

    def others(there: list[bool], config: dict[str, Any]) -> None:
        config[_PATTERN] = "".join(letter if feeds else "M" for feeds in there)

    def attention(there: list[bool], config: dict[str, Any]) -> None:
        kinds = zip(there, config[_PATTERN], strict=True)
        config[_PATTERN] = "".join("*" if attends else kind for attends, kind in kinds)

    return (
        LAYERS,
        UNLIMITED,
        WIDTH,
        LayerArray("feed_forward_length", size, _of_kind(letter), others),
        HEADS,
        LayerArray(
            "attention.head_count_kv", "num_key_value_heads", _of_kind("*"), attention, none=head_count
        ),
        CAUSAL,
        Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32, optional=True),
        Key(RMS_EPS.gguf, "rms_norm_eps", type=ValueType.FLOAT32, optional=True),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", type=ValueType.FLOAT32),
    )


def module(hf: str, gguf: str, *, bias: Condition = optional, heads: str | None = None) -> tuple[Rule, ...]:
    """A module of the mixer; its rows are permuted by heads where an HF key with their number is given."""
    transform = PermuteHeads(heads) if heads else IDENTITY
    return weight_and_bias(f"{MIXER}.{hf}", f"blk.{{i}}.{gguf}", transform, bias=bias)


_BIASED: Final = flag("attention_bias")
_MIXER_KEYS: Final[tuple[KeyRule, ...]] = (
    VOCABULARY_SIZE,
    DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
    Key("ssm.conv_kernel", "conv_kernel"),
    Key("ssm.state_size", "ssm_state_size"),
    Key("ssm.group_count", "n_groups"),
    DerivedKey("ssm.inner_size", ValueType.UINT32, _inner),
    Heads(_inner, "mamba_num_heads", "mamba_head_dim"),
    DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: False),
    HEAD_DIM,
)


def nemotron_h(
    name: str,
    when: Callable[[HFConfig], bool],
    *,
    letter: str,
    size: str,
    feed_forward: tuple[Rule, ...],
    expert_keys: tuple[KeyRule, ...] = (),
    own: tuple[KeyRule, ...] = (),
    **options: Unpack[Options],
) -> Architecture:
    """The table of a Nemotron H.

    Args:
        name: ``general.architecture``.
        when: which configs of the one class are this architecture.
        letter: what ``hybrid_override_pattern`` calls the layers that are neither mixers nor attention.
        size: the HF key with their width.
        feed_forward: rules for their tensors.
        expert_keys: rules for the experts' numbers.
        own: rules for further keys.
        options: further fields of `Architecture`.
    """
    settings: Options = {
        "prefix": "backbone.",
        "renames": (
            (r"^model\.layers\.", "backbone.layers."),
            (r"^backbone\.embedding\.", "backbone.embeddings."),
        ),
        "export_notes": LOST,
        **options,
    }
    return decoder(
        name,
        HFClass("NemotronHForCausalLM", "nemotron_h", when=when),
        defaults={
            "conv_kernel": 4,
            "layer_norm_epsilon": 1e-5,
            "n_groups": 8,
            "num_key_value_heads": 8,
            "ssm_state_size": 128,
            "use_conv_bias": True,
        },
        derived={
            "head_dim": lambda config: config.find("attention_head_dim") or head_size(config),
            "num_hidden_layers": _layer_count,
            "num_key_value_heads": head_count,
        },
        keys=(*_leading_keys(letter, size), *expert_keys),
        own=(*_MIXER_KEYS, *own),
        bias=None,
        activation={"mamba_hidden_act": ("silu", "swish"), "mlp_hidden_act": ("relu2",)},
        assumed={"mamba_proj_bias": False, "use_bias": False},
        checks=(
            AnyTensor("attention_bias", ".attn_q.bias"),
            AnyTensor("mlp_bias", ".ffn_up.bias"),
            AnyTensor("use_conv_bias", ".ssm_conv1d.bias"),
        ),
        output=(*renamed(("backbone.embeddings", "token_embd"), ("backbone.norm_f", "output_norm")), HEAD),
        blocks=(
            Rule(("backbone.layers.{i}.norm.weight",), ("blk.{i}.attn_norm.weight",)),
            *limit_to(_of_kind("M"), mamba2_mixer(MIXER, "n_groups")),
            *limit_to(
                _of_kind("*"),
                (
                    *module("q_proj", "attn_q", bias=_BIASED, heads="num_attention_heads"),
                    *module("k_proj", "attn_k", bias=_BIASED, heads="num_key_value_heads"),
                    *module("v_proj", "attn_v", bias=_BIASED),
                    *module("o_proj", "attn_output", bias=_BIASED),
                ),
            ),
            *limit_to(_of_kind(letter), feed_forward),
        ),
        **settings,
    )
