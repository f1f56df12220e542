"""Mixers of Mamba 1 and 2, alone and in hybrids, and the keys of models made of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .decoder import HEAD, VOCABULARY_ROWS, flag, renamed
from .keys import LAYERS, WIDTH, AssumedByRuntime, DerivedKey, Entry, Key, KeyRule
from .table import Architecture, HFClass
from .tensors import Condition, Rule, always, weight_and_bias
from .traits import GraphTraits, Memory, Mixer, Stack
from .transforms import IDENTITY, SQUEEZED, Chain, Grouped, NegativeExp, Reshape, Transform

__all__ = [
    "EPS",
    "LOST",
    "MIXER",
    "UNLIMITED",
    "Inner",
    "mamba1_mixer",
    "mamba2_mixer",
    "time_step_rank",
    "without_attention",
]

MIXER: Final = "backbone.layers.{i}.mixer"
_COLUMN: Final = Reshape(gguf=lambda shape: (*shape, 1), hf=lambda shape: shape[:1])
UNLIMITED: Final = DerivedKey("context_length", ValueType.UINT32, lambda config: 1 << 20)
"""There is no limit to the context; llama.cpp's converter says this."""

LOST: Final = ("A_log is computed back from A = -exp(A_log): its last bits may differ",)


def _mixer(
    module: str, conv_bias: str, inputs: Transform = IDENTITY, outputs: Transform = IDENTITY
) -> tuple[Rule, ...]:
    """What both kinds of mixers have."""
    return (
        Rule((f"{module}.in_proj.weight",), ("blk.{i}.ssm_in.weight",), inputs),
        Rule((f"{module}.conv1d.weight",), ("blk.{i}.ssm_conv1d.weight",), SQUEEZED),
        Rule((f"{module}.conv1d.bias",), ("blk.{i}.ssm_conv1d.bias",), needed=flag(conv_bias)),
        Rule((f"{module}.out_proj.weight",), ("blk.{i}.ssm_out.weight",), outputs),
    )


def mamba1_mixer(module: str, *, conv_bias: str = "use_conv_bias") -> tuple[Rule, ...]:
    """Tensors of a Mamba 1 mixer.

    Args:
        module: its HF name, with ``{i}`` for the layer.
        conv_bias: the HF flag for a bias of the convolution.
    """
    return (
        *_mixer(module, conv_bias),
        Rule((f"{module}.x_proj.weight",), ("blk.{i}.ssm_x.weight",)),
        *weight_and_bias(f"{module}.dt_proj", "blk.{i}.ssm_dt"),
        Rule((f"{module}.A_log",), ("blk.{i}.ssm_a",), NegativeExp()),
        Rule((f"{module}.D",), ("blk.{i}.ssm_d",)),
    )


def mamba2_mixer(
    module: str,
    groups: str,
    *,
    conv_bias: str = "use_conv_bias",
    normed: Condition = always,
    inputs: Transform = IDENTITY,
    outputs: Transform = IDENTITY,
) -> tuple[Rule, ...]:
    """Tensors of a Mamba 2 mixer.

    Args:
        module: its HF name, with ``{i}`` for the layer.
        groups: the HF key with the number of groups that share B and C.
        conv_bias: the HF flag for a bias of the convolution.
        normed: where the mixer's output is normed.
        inputs: what happens to the projection into the mixer.
        outputs: what happens to the projection out of it.
    """
    return (
        *_mixer(module, conv_bias, inputs, outputs),
        Rule((f"{module}.dt_bias",), ("blk.{i}.ssm_dt.bias",)),
        Rule((f"{module}.A_log",), ("blk.{i}.ssm_a",), Chain(NegativeExp(), _COLUMN)),
        Rule((f"{module}.D",), ("blk.{i}.ssm_d",), _COLUMN),
        Rule(
            (f"{module}.norm.weight",),
            ("blk.{i}.ssm_norm.weight",),
            Grouped(groups),
            needed=normed,
        ),
    )


def time_step_rank(config: HFConfig) -> int:
    """The rank of a Mamba 1 mixer's time steps where the config does not say: a sixteenth of the width."""
    return -(-config.integer("hidden_size") // 16)


class Inner:
    """The inner width, twice (``expand`` times) the model's."""

    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        inner = config.integer("hidden_size") * config.integer("expand")
        given = config.find("intermediate_size")
        if (self.fixed and config.integer("expand") != 2) or given not in (None, inner):
            raise ArchitectureError(
                "the inner width must be twice the model's in this architecture"
                if self.fixed
                else "the inner width must be expand times the model's",
                path="config.json",
                key="intermediate_size",
                found=given or inner,
            )
        yield "ssm.inner_size", ValueType.UINT32, inner

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        inner, width = facts.integer("ssm.inner_size") or 0, facts.integer("embedding_length") or 1
        config["expand"] = inner // width
        if self.fixed:
            config["intermediate_size"] = inner


EPS: Final = Key("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", type=ValueType.FLOAT32)


def without_attention(
    name: str,
    *classes: HFClass,
    keys: tuple[KeyRule, ...],
    mixer: tuple[Rule, ...],
    tokenizers: tuple[str, ...],
    renames: tuple[tuple[str, str], ...] = (),
    kind: Mixer = Mixer.MAMBA2,
) -> Architecture:
    """The table of a model made of mixers alone.

    Args:
        name: ``general.architecture``.
        classes: the transformers classes.
        keys: rules for keys from the inner width on.
        mixer: rules for the mixer's tensors.
        tokenizers: which tokenizers to look for, in order.
        renames: as in `Architecture`, before the usual ones.
        kind: which mixers they are.
    """
    return Architecture(
        name=name,
        classes=classes,
        tokenizer_kinds=tokenizers,
        keys=(
            UNLIMITED,
            WIDTH,
            DerivedKey("feed_forward_length", ValueType.UINT32, lambda config: 0),
            DerivedKey("attention.head_count", ValueType.UINT32, lambda config: 0),
            LAYERS,
            Key("ssm.conv_kernel", "conv_kernel"),
            *keys,
        ),
        family_keys=(
            VOCABULARY_ROWS,
            AssumedByRuntime("hidden_act", ("silu", "swish")),
            AssumedByRuntime("use_bias", (False,)),
        ),
        tensors=(
            *renamed(("backbone.embeddings", "token_embd"), ("backbone.norm_f", "output_norm")),
            HEAD,
            Rule(("backbone.layers.{i}.norm.weight",), ("blk.{i}.attn_norm.weight",)),
            *mixer,
        ),
        prefix="backbone.",
        renames=(*renames, (r"^backbone\.embedding\.", "backbone.embeddings.")),
        export_notes=LOST,
        graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.STATE, mixer=kind),
    )
