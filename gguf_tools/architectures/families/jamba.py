"""Jamba: Mamba 1 or attention, then dense or experts, each by layers at a fixed distance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, TIED, attention, experts, has_head, head_count, norms, renamed
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    Entry,
    FromTensorRows,
    Key,
    experts_keys,
)
from ..mamba_parts import LOST, mamba1_mixer
from ..per_layer_keys import AnyTensor, LayerArray, SSMInner, periodic, periods
from ..table import Architecture, HFClass
from ..tensors import Rule, limit_to
from ..traits import GraphTraits, Memory, Mixer, SpacePrefix, VocabularyTraits

_ATTENTION = ("attn_layer_period", "attn_layer_offset")
_EXPERTS = ("expert_layer_period", "expert_layer_offset")
_USUAL_ATTENTION = (8, 4)
_USUAL_EXPERTS = (2, 1)

_attends = periodic(*_ATTENTION)
_in_turn = periodic(*_EXPERTS)


def _mixes(config: HFConfig, layer: int) -> bool:
    return not _attends(config, layer)


def _routed(config: HFConfig, layer: int) -> bool:
    return config.integer("num_experts") > 1 and _in_turn(config, layer)


def _dense(config: HFConfig, layer: int) -> bool:
    return not _routed(config, layer)


def _attention_layers(attends: list[bool], config: dict[str, Any]) -> None:
    config.update(zip(_ATTENTION, periods(attends, _USUAL_ATTENTION), strict=True))


@dataclass(frozen=True)
class _ExpertLayers:
    """Which layers have experts, which GGUF tells by their routers."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        _in_turn(config, 0)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        routed = [facts.has(f"blk.{i}.ffn_gate_inp.weight") for i in range(config["num_hidden_layers"])]
        found = periods(routed, _USUAL_EXPERTS) if config["num_experts"] > 1 else _USUAL_EXPERTS
        config.update(zip(_EXPERTS, found, strict=True))


def _rank(config: HFConfig) -> int:
    return -(-config.integer("hidden_size") // 16)


ARCHITECTURE = Architecture(
    name="jamba",
    classes=(
        HFClass(
            "JambaForCausalLM",
            "jamba",
            {
                "attn_layer_offset": 4,
                "attn_layer_period": 8,
                "expert_layer_offset": 1,
                "expert_layer_period": 2,
                "mamba_conv_bias": True,
                "mamba_d_conv": 4,
                "mamba_d_state": 16,
                "mamba_expand": 2,
                "max_position_embeddings": 262144,
                "num_experts": 16,
                "num_experts_per_tok": 2,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-6,
                "tie_word_embeddings": False,
            },
            {"num_key_value_heads": head_count, "mamba_dt_rank": _rank},
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf"),
    # A dense layer's only expert, as small copies of the model have it.
    renames=((r"\.moe\.", ".feed_forward."),),
    keys=(
        LAYERS,
        CONTEXT,
        WIDTH,
        INNER,
        HEADS,
        LayerArray(
            "attention.head_count_kv",
            "num_key_value_heads",
            _attends,
            _attention_layers,
            none=head_count,
        ),
        Key("ssm.conv_kernel", "mamba_d_conv"),
        SSMInner(),
        Key("ssm.state_size", "mamba_d_state"),
        Key("ssm.time_step_rank", "mamba_dt_rank"),
        RMS_EPS,
        *experts_keys("num_experts"),
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        _ExpertLayers(),
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("mamba_proj_bias", (False,)),
        AssumedByRuntime("sliding_window", (None,)),
        AssumedByRuntime("use_mamba_kernels", (False, True)),  # without a GPU transformers refuses them
    ),
    tensors=(
        *renamed(("model.embed_tokens", "token_embd"), ("model.final_layernorm", "output_norm")),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        *norms(("input_layernorm", "attn_norm"), ("pre_ff_layernorm", "ffn_norm")),
        *limit_to(_attends, attention()),
        *limit_to(_mixes, mamba1_mixer(f"{BLOCK}.mamba", conv_bias="mamba_conv_bias")),
        *limit_to(
            _mixes,
            norms(
                ("mamba.dt_layernorm", "ssm_dt_norm"),
                ("mamba.b_layernorm", "ssm_b_norm"),
                ("mamba.c_layernorm", "ssm_c_norm"),
            ),
        ),
        *limit_to(_routed, norms(("feed_forward.router", "ffn_gate_inp"))),
        *limit_to(_routed, experts("num_experts", module="feed_forward.experts")),
        *limit_to(
            _dense,
            norms(
                ("feed_forward.gate_proj", "ffn_gate"),
                ("feed_forward.up_proj", "ffn_up"),
                ("feed_forward.down_proj", "ffn_down"),
            ),
        ),
    ),
    export_notes=LOST,
    vocabulary=VocabularyTraits(space_prefix=SpacePrefix.OFF_IN_JSON),
    graph=GraphTraits(memory=Memory.EITHER, mixer=Mixer.MAMBA, rotary=False, residual_first=True),
)
