"""RWKV 6 (Finch): a recurrent model without attention, in the layout its authors publish."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import VOCABULARY_ROWS
from ..keys import LAYERS, WIDTH, AssumedByRuntime, DerivedKey, Key
from ..mamba_parts import UNLIMITED
from ..rwkv_parts import NO_CODE, NO_HEADS, weight
from ..scaling import Scaled
from ..table import Architecture, HFClass
from ..tensors import PerLayer, Rule, weight_and_bias
from ..traits import GraphTraits, Memory, Mixer, Stack
from ..transforms import Reshape, StackExperts, Transform, Transpose

_VECTOR = Reshape(gguf=lambda shape: shape[-1:], hf=lambda shape: (1, 1, *shape))
_WIDEST = 4096
"""From this width on RWKV 6 has wider low-rank projections; releases have no wider one."""


def _rescaled(layer: int) -> Transform:
    """Halved once for every ``rescale_every`` layers before, as the runtime halves what they add to."""

    def factor(config: HFConfig) -> list[tuple[int | None, tuple[float, ...]]]:
        every = config.integer("rescale_every", least=0)
        return [(None, (0.5 ** (layer // every) if every else 1.0,))]

    return Scaled(factor)


def _blocks() -> tuple[Rule, ...]:
    block = "rwkv.blocks.{i}"
    attention, feed_forward = f"{block}.attention", f"{block}.feed_forward"
    return (
        *weight_and_bias(f"{block}.ln1", "blk.{i}.attn_norm"),
        *weight_and_bias(f"{block}.ln2", "blk.{i}.attn_norm_2"),
        *weight_and_bias(f"{attention}.ln_x", "blk.{i}.time_mix_ln"),
        weight(f"{attention}.time_maa_x", "time_mix_lerp_x", _VECTOR),
        Rule(
            tuple(f"{attention}.time_maa_{letter}" for letter in "wkvrg"),
            ("blk.{i}.time_mix_lerp_fused.weight",),
            StackExperts(),
        ),
        weight(f"{attention}.time_maa_w1", "time_mix_w1", Transpose()),
        weight(f"{attention}.time_maa_w2", "time_mix_w2", Transpose()),
        weight(f"{attention}.time_decay", "time_mix_decay", _VECTOR),
        weight(f"{attention}.time_decay_w1", "time_mix_decay_w1", Transpose()),
        weight(f"{attention}.time_decay_w2", "time_mix_decay_w2", Transpose()),
        weight(f"{attention}.time_faaaa", "time_mix_first"),
        *(
            weight(f"{attention}.{name}.weight", f"time_mix_{name}")
            for name in ("receptance", "key", "value", "gate")
        ),
        weight(f"{attention}.output.weight", "time_mix_output", PerLayer(_rescaled)),
        weight(f"{feed_forward}.time_maa_k", "channel_mix_lerp_k", _VECTOR),
        weight(f"{feed_forward}.time_maa_r", "channel_mix_lerp_r", _VECTOR),
        weight(f"{feed_forward}.key.weight", "channel_mix_key"),
        weight(f"{feed_forward}.receptance.weight", "channel_mix_receptance"),
        weight(f"{feed_forward}.value.weight", "channel_mix_value", PerLayer(_rescaled)),
    )


ARCHITECTURE = Architecture(
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
        NO_HEADS,
        VOCABULARY_ROWS,
        AssumedByRuntime("head_size_divisor", (8,)),
        AssumedByRuntime("tie_word_embeddings", (False,)),
    ),
    tensors=(
        Rule(("rwkv.embeddings.weight",), ("token_embd.weight",)),
        *weight_and_bias("rwkv.blocks.0.pre_ln", "token_embd_norm"),
        *weight_and_bias("rwkv.ln_out", "output_norm"),
        Rule(("head.weight",), ("output.weight",)),
        *_blocks(),
    ),
    export_notes=NO_CODE,
    graph=GraphTraits(stack=Stack.RWKV, memory=Memory.STATE, mixer=Mixer.RWKV6),
)
