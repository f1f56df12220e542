"""Nemotron H: every layer is a Mamba 2 mixer, attention without RoPE, or a feed-forward part."""

from typing import Any

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import HFConfig
from ..decoder import TIED, flag, has_head, head_count, optional
from ..keys import (
    CAUSAL,
    HEAD_DIM,
    HEADS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    FromTensorRows,
    Key,
    KeyRule,
    head_size,
)
from ..mamba_parts import LOST, UNLIMITED, mamba2_mixer
from ..per_layer_keys import AnyTensor, Heads, LayerArray
from ..table import Architecture, HFClass
from ..tensors import Condition, Rule, limit_to, weight_and_bias
from ..traits import GraphTraits, Memory, Stack
from ..transforms import IDENTITY, PermuteHeads

MIXER = "backbone.layers.{i}.mixer"
_PATTERN = "hybrid_override_pattern"
_LISTED = "layers_block_type"
_LETTERS = {
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


def of_kind(letter: str) -> Condition:
    return lambda config, layer: _pattern(config)[layer] == letter


_mixes, _attends = of_kind("M"), of_kind("*")


def _layer_count(config: HFConfig) -> int:
    found = config.find(_LISTED, _PATTERN)
    return len(found) if isinstance(found, list | str) else 0


def has_experts(config: HFConfig) -> bool:
    return config.find("num_experts_per_tok") is not None


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_num_heads") * config.integer("mamba_head_dim")


def _rotary(config: HFConfig) -> int:
    """What the converter writes, although nothing is rotated."""
    return config.integer("hidden_size") // config.integer("num_attention_heads")


def leading_keys(letter: str, size: str) -> tuple[KeyRule, ...]:
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
        LayerArray("feed_forward_length", size, of_kind(letter), others),
        HEADS,
        LayerArray("attention.head_count_kv", "num_key_value_heads", _attends, attention, none=head_count),
        CAUSAL,
        Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32, optional=True),
        Key(RMS_EPS.gguf, "rms_norm_eps", type=ValueType.FLOAT32, optional=True),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", type=ValueType.FLOAT32),
    )


MIXER_KEYS = (
    Key("vocab_size", "vocab_size"),
    DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
    Key("ssm.conv_kernel", "conv_kernel"),
    Key("ssm.state_size", "ssm_state_size"),
    Key("ssm.group_count", "n_groups"),
    DerivedKey("ssm.inner_size", ValueType.UINT32, _inner),
    Heads(_inner, "mamba_num_heads", "mamba_head_dim"),
    DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: False),
    HEAD_DIM,
)
CHECKS = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AnyTensor("attention_bias", ".attn_q.bias"),
    AnyTensor("mlp_bias", ".ffn_up.bias"),
    AnyTensor("use_conv_bias", ".ssm_conv1d.bias"),
    AssumedByRuntime("mamba_hidden_act", ("silu", "swish")),
    AssumedByRuntime("mamba_proj_bias", (False,)),
    AssumedByRuntime("mlp_hidden_act", ("relu2",)),
    AssumedByRuntime("use_bias", (False,)),
)


def module(hf: str, gguf: str, *, bias: Condition = optional, heads: str | None = None) -> tuple[Rule, ...]:
    """A module of the mixer; its rows are permuted by heads where an HF key with their number is given."""
    transform = PermuteHeads(heads) if heads else IDENTITY
    return weight_and_bias(f"{MIXER}.{hf}", f"blk.{{i}}.{gguf}", transform, bias=bias)


_BIASED = flag("attention_bias")
SHARED_TENSORS = (
    Rule(("backbone.embeddings.weight",), ("token_embd.weight",)),
    Rule(("backbone.norm_f.weight",), ("output_norm.weight",)),
    Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
    Rule(("backbone.layers.{i}.norm.weight",), ("blk.{i}.attn_norm.weight",)),
    *limit_to(_mixes, mamba2_mixer(MIXER, "n_groups")),
    *limit_to(
        _attends,
        (
            *module("q_proj", "attn_q", bias=_BIASED, heads="num_attention_heads"),
            *module("k_proj", "attn_k", bias=_BIASED, heads="num_key_value_heads"),
            *module("v_proj", "attn_v", bias=_BIASED),
            *module("o_proj", "attn_output", bias=_BIASED),
        ),
    ),
)
DEFAULTS = {
    "conv_kernel": 4,
    "layer_norm_epsilon": 1e-5,
    "n_groups": 8,
    "num_key_value_heads": 8,
    "ssm_state_size": 128,
    "tie_word_embeddings": False,
    "use_conv_bias": True,
}
DERIVED = {
    "head_dim": lambda config: config.find("attention_head_dim") or head_size(config),
    "num_hidden_layers": _layer_count,
    "num_key_value_heads": head_count,
}
RENAMES = (
    (r"^model\.layers\.", "backbone.layers."),
    (r"^backbone\.embedding\.", "backbone.embeddings."),
)

ARCHITECTURE = Architecture(
    name="nemotron_h",
    classes=(
        HFClass(
            "NemotronHForCausalLM",
            "nemotron_h",
            DEFAULTS,
            DERIVED,
            when=lambda config: not has_experts(config),
        ),
    ),
    tokenizer_kinds=("bpe",),
    prefix="backbone.",
    renames=RENAMES,
    keys=leading_keys("-", "intermediate_size"),
    family_keys=(*MIXER_KEYS, *CHECKS),
    tensors=(
        *SHARED_TENSORS,
        *limit_to(
            of_kind("-"),
            (
                *module("up_proj", "ffn_up", bias=flag("mlp_bias")),
                *module("down_proj", "ffn_down", bias=flag("mlp_bias")),
            ),
        ),
    ),
    export_notes=LOST,
    graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.EITHER_OR_NEITHER, rotary=False),
)
