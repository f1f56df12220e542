"""Nemotron H with experts in place of the feed-forward layers."""

from ...spec import ValueType
from ..config import HFConfig
from ..keys import EXPERT_GROUPS, Key, experts_keys
from ..mamba_parts import MIXER
from ..nemotron_parts import module, nemotron_h
from ..tensors import Drop, Rule, limit_to
from ..traits import GraphTraits, Memory, Stack
from ..transforms import StackExperts


def _stacked(hf: str, gguf: str) -> Rule:
    return Rule(
        (f"{MIXER}.experts.{{e}}.{hf}.weight",),
        (f"blk.{{i}}.{gguf}.weight",),
        StackExperts(),
        experts="n_routed_experts",
    )


def _latent(config: HFConfig, layer: int) -> bool:
    return config.find("moe_latent_size") is not None


ARCHITECTURE = nemotron_h(
    "nemotron_h_moe",
    lambda config: config.find("num_experts_per_tok") is not None,
    letter="E",
    size="moe_intermediate_size",
    expert_keys=(*experts_keys("n_routed_experts"), *EXPERT_GROUPS),
    own=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("expert_weights_norm", "norm_topk_prob", type=ValueType.BOOL),
        Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32),
        Key("moe_latent_size", "moe_latent_size", optional=True),
    ),
    feed_forward=(
        Rule((f"{MIXER}.gate.weight",), ("blk.{i}.ffn_gate_inp.weight",)),
        Rule((f"{MIXER}.gate.e_score_correction_bias",), ("blk.{i}.exp_probs_b.bias",)),
        _stacked("up_proj", "ffn_up_exps"),
        _stacked("down_proj", "ffn_down_exps"),
        *module("shared_experts.up_proj", "ffn_up_shexp"),
        *module("shared_experts.down_proj", "ffn_down_shexp"),
        *limit_to(_latent, module("fc1_latent_proj", "ffn_latent_down")),
        *limit_to(_latent, module("fc2_latent_proj", "ffn_latent_up")),
    ),
    unprefixed=("lm_head.", "mtp."),
    drops=(Drop(r"mtp\..*", "predicts several tokens at once"),),
    graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.EITHER_OR_NEITHER, rotary=False),
)
