"""RWKV 6 (Finch) and 7 (Goose): recurrent models without attention, in the layouts their authors publish.

transformers runs neither without code that comes with a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...errors import ArchitectureError
from ...source import Source
from ...spec import ValueType
from ..config import HFConfig
from ..keys import LAYERS, WIDTH, AssumedByRuntime, DerivedKey, FromTensorRows, Key
from ..mamba_parts import UNLIMITED
from ..scaling import Scaled
from ..table import Architecture, HFClass
from ..tensors import Drop, PerLayer, Rule, limit_to, weight_and_bias
from ..transforms import IDENTITY, Grouped, Reshape, Reversed, StackExperts, Transform, Transpose

_VECTOR: Final = Reshape(gguf=lambda shape: shape[-1:], hf=lambda shape: (1, 1, *shape))
_NO_HEADS: Final = DerivedKey("attention.head_count", ValueType.UINT32, lambda config: 0)
_LOST: Final = ("transformers runs RWKV only with the model's own code, which is not in the file",)
_WIDEST: Final = 4096
"""From this width on RWKV 6 has wider low-rank projections; releases have no wider one."""


@dataclass(frozen=True)
class Twice:
    """A tensor ↔ the same twice, of which the way back takes the second."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        return [source, source]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        first, second = sources
        if first.shape != second.shape:
            raise ArchitectureError("the copy differs in shape", found=first.shape, expected=second.shape)
        return [second]


def _weight(hf: str, gguf: str, transform: Transform | PerLayer = IDENTITY) -> Rule:
    """A tensor of a block: its whole HF name, and GGUF's without the ending."""
    return Rule((hf,), (f"blk.{{i}}.{gguf}.weight",), transform)


def _rescaled(layer: int) -> Transform:
    """Halved once for every ``rescale_every`` layers before, as the runtime halves what they add to."""

    def factor(config: HFConfig) -> list[tuple[int | None, tuple[float, ...]]]:
        every = config.integer("rescale_every", least=0)
        return [(None, (0.5 ** (layer // every) if every else 1.0,))]

    return Scaled(factor)


def _blocks6() -> tuple[Rule, ...]:
    block = "rwkv.blocks.{i}"
    attention, feed_forward = f"{block}.attention", f"{block}.feed_forward"
    return (
        *weight_and_bias(f"{block}.ln1", "blk.{i}.attn_norm"),
        *weight_and_bias(f"{block}.ln2", "blk.{i}.attn_norm_2"),
        *weight_and_bias(f"{attention}.ln_x", "blk.{i}.time_mix_ln"),
        _weight(f"{attention}.time_maa_x", "time_mix_lerp_x", _VECTOR),
        Rule(
            tuple(f"{attention}.time_maa_{letter}" for letter in "wkvrg"),
            ("blk.{i}.time_mix_lerp_fused.weight",),
            StackExperts(),
        ),
        _weight(f"{attention}.time_maa_w1", "time_mix_w1", Transpose()),
        _weight(f"{attention}.time_maa_w2", "time_mix_w2", Transpose()),
        _weight(f"{attention}.time_decay", "time_mix_decay", _VECTOR),
        _weight(f"{attention}.time_decay_w1", "time_mix_decay_w1", Transpose()),
        _weight(f"{attention}.time_decay_w2", "time_mix_decay_w2", Transpose()),
        _weight(f"{attention}.time_faaaa", "time_mix_first"),
        *(
            _weight(f"{attention}.{name}.weight", f"time_mix_{name}")
            for name in ("receptance", "key", "value", "gate")
        ),
        _weight(f"{attention}.output.weight", "time_mix_output", PerLayer(_rescaled)),
        _weight(f"{feed_forward}.time_maa_k", "channel_mix_lerp_k", _VECTOR),
        _weight(f"{feed_forward}.time_maa_r", "channel_mix_lerp_r", _VECTOR),
        _weight(f"{feed_forward}.key.weight", "channel_mix_key"),
        _weight(f"{feed_forward}.receptance.weight", "channel_mix_receptance"),
        _weight(f"{feed_forward}.value.weight", "channel_mix_value", PerLayer(_rescaled)),
    )


RWKV6: Final = Architecture(
    name="rwkv6",
    classes=(
        HFClass(
            "Rwkv6ForCausalLM",
            "rwkv6",
            {"head_size": 64, "layer_norm_epsilon": 1e-5, "rescale_every": 6},
            {"intermediate_size": lambda config: int(config.integer("hidden_size") * 3.5) // 32 * 32},
        ),
    ),
    tokenizer_kinds=("rwkv",),
    prefix="rwkv.",
    unprefixed=("head.",),
    keys=(
        UNLIMITED,
        WIDTH,
        LAYERS,
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", type=ValueType.FLOAT32),
        Key("rescale_every_n_layers", "rescale_every", least=0),
        Key("wkv.head_size", "head_size"),
        DerivedKey(
            "time_mix_extra_dim",
            ValueType.UINT32,
            lambda config: 64 if config["hidden_size"] == _WIDEST else 32,
        ),
        DerivedKey(
            "time_decay_extra_dim",
            ValueType.UINT32,
            lambda config: 128 if config["hidden_size"] == _WIDEST else 64,
        ),
        Key("feed_forward_length", "intermediate_size"),
    ),
    family_keys=(
        _NO_HEADS,
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("head_size_divisor", (8,)),
        AssumedByRuntime("tie_word_embeddings", (False,)),
    ),
    tensors=(
        Rule(("rwkv.embeddings.weight",), ("token_embd.weight",)),
        *weight_and_bias("rwkv.blocks.0.pre_ln", "token_embd_norm"),
        *weight_and_bias("rwkv.ln_out", "output_norm"),
        Rule(("head.weight",), ("output.weight",)),
        *_blocks6(),
    ),
    export_notes=_LOST,
)


def _low_rank(letter: str, *, bias: bool = True) -> tuple[Rule, ...]:
    """A projection to few dimensions and back, the latter with a bias."""
    module = f"model.layers.{{i}}.attn.{letter}_lora.lora"
    parts = {"0.weight": "1", "2.weight": "2"} | ({"2.bias": "0"} if bias else {})
    return tuple(_weight(f"{module}.{hf}", f"time_mix_{letter}{gguf}") for hf, gguf in parts.items())


def _copied(rule: Rule) -> Rule:
    """The same rule with a copy of the learning rate's projection as the values', which llama.cpp loads.

    The first layer has no layer before whose values it could mix in.
    """
    (name,) = rule.gguf
    return Rule(rule.hf, (name.replace("time_mix_a", "time_mix_v"), name), Twice())


def _first(config: HFConfig, layer: int) -> bool:
    return layer == 0


def _later(config: HFConfig, layer: int) -> bool:
    return layer > 0


def _blocks7() -> tuple[Rule, ...]:
    block = "model.layers.{i}"
    attention, feed_forward = f"{block}.attn", f"{block}.ffn"
    return (
        *weight_and_bias(f"{block}.attn_norm", "blk.{i}.attn_norm"),
        *weight_and_bias(f"{block}.ffn_norm", "blk.{i}.attn_norm_2"),
        *weight_and_bias(f"{attention}.g_norm", "blk.{i}.time_mix_ln"),
        Rule(
            tuple(f"{attention}.x_{letter}" for letter in "rwkvag"),
            ("blk.{i}.time_mix_lerp_fused.weight",),
            StackExperts(),
        ),
        *_low_rank("w"),
        *_low_rank("g", bias=False),
        *limit_to(_later, _low_rank("v")),
        *limit_to(_later, _low_rank("a")),
        *limit_to(_first, [_copied(rule) for rule in _low_rank("a")]),
        _weight(f"{attention}.k_k", "time_mix_k_k"),
        _weight(f"{attention}.k_a", "time_mix_k_a"),
        _weight(f"{attention}.r_k", "time_mix_r_k", Reversed(Grouped("num_heads"))),
        _weight(f"{attention}.r_proj.weight", "time_mix_receptance"),
        _weight(f"{attention}.k_proj.weight", "time_mix_key"),
        _weight(f"{attention}.v_proj.weight", "time_mix_value"),
        _weight(f"{attention}.o_proj.weight", "time_mix_output"),
        _weight(f"{feed_forward}.x_k", "channel_mix_lerp_k"),
        _weight(f"{feed_forward}.key.weight", "channel_mix_key"),
        _weight(f"{feed_forward}.value.weight", "channel_mix_value"),
    )


def _rank(exponent: float, factor: float) -> Callable[[HFConfig], int]:
    """The number of dimensions fla gives a low-rank projection of a model of some width."""
    return lambda config: max(1, round(config.integer("hidden_size") ** exponent * factor / 32)) * 32


def _heads(config: HFConfig) -> int:
    return config.integer("hidden_size") // config.integer("head_dim")


_RWKV7_NULLS: Final[dict[str, Callable[[HFConfig], Any]]] = {
    "a_low_rank_dim": _rank(0.5, 1.8),
    "decay_low_rank_dim": _rank(0.5, 1.8),
    "gate_low_rank_dim": _rank(0.8, 0.6),
    "intermediate_size": lambda config: config.integer("hidden_size") * 4,
    "num_heads": _heads,
    "v_low_rank_dim": _rank(0.5, 1.3),
}

RWKV7: Final = Architecture(
    name="rwkv7",
    classes=(HFClass("RWKV7ForCausalLM", "rwkv7", {"head_dim": 64, "norm_eps": 1e-5}, _RWKV7_NULLS),),
    tokenizer_kinds=("rwkv",),
    keys=(
        UNLIMITED,
        WIDTH,
        LAYERS,
        Key("attention.layer_norm_epsilon", "norm_eps", type=ValueType.FLOAT32),
        Key("wkv.head_size", "head_dim"),
        Key("attention.decay_lora_rank", "decay_low_rank_dim"),
        Key("attention.iclr_lora_rank", "a_low_rank_dim"),
        Key("attention.value_residual_mix_lora_rank", "v_low_rank_dim"),
        Key("attention.gate_lora_rank", "gate_low_rank_dim"),
        Key("feed_forward_length", "intermediate_size"),
    ),
    family_keys=(
        _NO_HEADS,
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("hidden_act", ("sqrelu",)),
        AssumedByRuntime("norm_bias", (True,)),
        AssumedByRuntime("norm_first", (True,)),
        AssumedByRuntime("tie_word_embeddings", (False,)),
    ),
    tensors=(
        Rule(("model.embeddings.weight",), ("token_embd.weight",)),
        *weight_and_bias("model.layers.0.pre_norm", "token_embd_norm"),
        *weight_and_bias("model.norm", "output_norm"),
        Rule(("lm_head.weight",), ("output.weight",)),
        *_blocks7(),
    ),
    drops=(Drop(r"model\.layers\.0\.attn\.v_lora\..*", "the first layer has no earlier values to mix in"),),
    export_notes=_LOST,
)

ARCHITECTURES: Final = (RWKV6, RWKV7)
