"""RWKV 7 (Goose): a recurrent model without attention, in the layout its authors publish."""

from collections.abc import Callable

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import VOCABULARY_ROWS
from ..keys import LAYERS, WIDTH, AssumedByRuntime, Key
from ..mamba_parts import UNLIMITED
from ..rwkv_parts import NO_CODE, NO_HEADS, weight
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, limit_to, unless, weight_and_bias
from ..traits import GraphTraits, Memory, Mixer, Stack
from ..transforms import Grouped, Reversed, StackExperts, Twice


def _low_rank(letter: str, *, bias: bool = True) -> tuple[Rule, ...]:
    """A projection to few dimensions and back, the latter with a bias."""
    module = f"model.layers.{{i}}.attn.{letter}_lora.lora"
    parts = {"0.weight": "1", "2.weight": "2"} | ({"2.bias": "0"} if bias else {})
    return tuple(weight(f"{module}.{hf}", f"time_mix_{letter}{gguf}") for hf, gguf in parts.items())


def _copied(rule: Rule) -> Rule:
    """The same rule with a copy of the learning rate's projection as the values', which llama.cpp loads.

    The first layer has no layer before whose values it could mix in.
    """
    (name,) = rule.gguf
    return Rule(rule.hf, (name.replace("time_mix_a", "time_mix_v"), name), Twice())


def _first(config: HFConfig, layer: int) -> bool:
    return layer == 0


def _blocks() -> tuple[Rule, ...]:
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
        *limit_to(unless(_first), _low_rank("v")),
        *limit_to(unless(_first), _low_rank("a")),
        *limit_to(_first, [_copied(rule) for rule in _low_rank("a")]),
        weight(f"{attention}.k_k", "time_mix_k_k"),
        weight(f"{attention}.k_a", "time_mix_k_a"),
        weight(f"{attention}.r_k", "time_mix_r_k", Reversed(Grouped("num_heads"))),
        weight(f"{attention}.r_proj.weight", "time_mix_receptance"),
        weight(f"{attention}.k_proj.weight", "time_mix_key"),
        weight(f"{attention}.v_proj.weight", "time_mix_value"),
        weight(f"{attention}.o_proj.weight", "time_mix_output"),
        weight(f"{feed_forward}.x_k", "channel_mix_lerp_k"),
        weight(f"{feed_forward}.key.weight", "channel_mix_key"),
        weight(f"{feed_forward}.value.weight", "channel_mix_value"),
    )


def _rank(exponent: float, factor: float) -> Callable[[HFConfig], int]:
    """The number of dimensions fla gives a low-rank projection of a model of some width."""
    return lambda config: max(1, round(config.integer("hidden_size") ** exponent * factor / 32)) * 32


def _heads(config: HFConfig) -> int:
    return config.integer("hidden_size") // config.integer("head_dim")


_DERIVED = {
    "a_low_rank_dim": _rank(0.5, 1.8),
    "decay_low_rank_dim": _rank(0.5, 1.8),
    "gate_low_rank_dim": _rank(0.8, 0.6),
    "intermediate_size": lambda config: config.integer("hidden_size") * 4,
    "num_heads": _heads,
    "v_low_rank_dim": _rank(0.5, 1.3),
}

ARCHITECTURE = Architecture(
    name="rwkv7",
    classes=(HFClass("RWKV7ForCausalLM", "rwkv7", {"head_dim": 64, "norm_eps": 1e-5}, _DERIVED),),
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
        NO_HEADS,
        VOCABULARY_ROWS,
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
        *_blocks(),
    ),
    drops=(Drop(r"model\.layers\.0\.attn\.v_lora\..*", "the first layer has no earlier values to mix in"),),
    export_notes=NO_CODE,
    graph=GraphTraits(stack=Stack.RWKV, memory=Memory.STATE, mixer=Mixer.RWKV7),
)
