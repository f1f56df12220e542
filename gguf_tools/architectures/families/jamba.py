"""Jamba: Mamba 1 or attention, then dense or experts, each by layers at a fixed distance."""

from collections.abc import Iterator
from typing import Any

from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, EMBEDDING, HEAD, attention, decoder, experts, gated, head_count, norms, renamed
from ..keys import RMS_EPS, SIZES, AssumedByRuntime, Entry, Key, experts_keys
from ..mamba_parts import LOST, mamba1_mixer, time_step_rank
from ..per_layer_keys import AnyTensor, LayerArray, SSMInner, periodic, periods
from ..table import HFClass
from ..tensors import limit_to, unless
from ..traits import GraphTraits, Memory, Mixer, SpacePrefix, VocabularyTraits

ATTENTION = ("attn_layer_period", "attn_layer_offset")
EXPERTS = ("expert_layer_period", "expert_layer_offset")
USUAL_ATTENTION = (8, 4)
USUAL_EXPERTS = (2, 1)

_attends = periodic(*ATTENTION)
_in_turn = periodic(*EXPERTS)


def _routed(config: HFConfig, layer: int) -> bool:
    return config.integer("num_experts") > 1 and _in_turn(config, layer)


def _attention_layers(attends: list[bool], config: dict[str, Any]) -> None:
    config.update(zip(ATTENTION, periods(attends, USUAL_ATTENTION), strict=True))


class _ExpertLayers:
    """Which layers have experts, which GGUF tells by their routers."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        _in_turn(config, 0)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        routed = [facts.has(f"blk.{i}.ffn_gate_inp.weight") for i in range(config["num_hidden_layers"])]
        found = periods(routed, USUAL_EXPERTS) if config["num_experts"] > 1 else USUAL_EXPERTS
        config.update(zip(EXPERTS, found, strict=True))


KV_HEADS = LayerArray(
    "attention.head_count_kv", "num_key_value_heads", _attends, _attention_layers, none=head_count
)

ARCHITECTURE = decoder(
    "jamba",
    HFClass("JambaForCausalLM", "jamba"),
    derived={"num_key_value_heads": head_count, "mamba_dt_rank": time_step_rank},
    tokenizers=("spm", "llama-hf"),
    keys=(
        *SIZES,
        KV_HEADS,
        Key("ssm.conv_kernel", "mamba_d_conv"),
        SSMInner(),
        Key("ssm.state_size", "mamba_d_state"),
        Key("ssm.time_step_rank", "mamba_dt_rank"),
        RMS_EPS,
        *experts_keys("num_experts"),
    ),
    own=(_ExpertLayers(), AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias")),
    bias=None,
    assumed={"mamba_proj_bias": False, "sliding_window": None},
    # without a GPU transformers refuses its kernels
    checks=(AssumedByRuntime("use_mamba_kernels", (False, True)),),
    output=(EMBEDDING, *renamed(("model.final_layernorm", "output_norm")), HEAD),
    pre_norms=norms(("input_layernorm", "attn_norm"), ("pre_ff_layernorm", "ffn_norm")),
    attn=(
        *limit_to(_attends, attention()),
        *limit_to(
            unless(_attends),
            (
                *mamba1_mixer(f"{BLOCK}.mamba", conv_bias="mamba_conv_bias"),
                *norms(
                    ("mamba.dt_layernorm", "ssm_dt_norm"),
                    ("mamba.b_layernorm", "ssm_b_norm"),
                    ("mamba.c_layernorm", "ssm_c_norm"),
                ),
            ),
        ),
    ),
    ffn=(
        *limit_to(unless(_routed), gated("feed_forward")),
        *limit_to(_routed, norms(("feed_forward.router", "ffn_gate_inp"))),
        *limit_to(_routed, experts("num_experts", module="feed_forward.experts")),
    ),
    # A dense layer's only expert, as small copies of the model have it.
    renames=((r"\.moe\.", ".feed_forward."),),
    export_notes=LOST,
    vocabulary=VocabularyTraits(space_prefix=SpacePrefix.OFF_IN_JSON),
    graph=GraphTraits(memory=Memory.EITHER, mixer=Mixer.MAMBA, rotary=False, residual_first=True),
)
