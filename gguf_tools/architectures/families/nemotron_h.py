"""Nemotron H: every layer is a Mamba 2 mixer, attention without RoPE, or a feed-forward part."""

from ..decoder import flag
from ..nemotron_parts import module, nemotron_h
from ..traits import GraphTraits, Memory, Stack

ARCHITECTURE = nemotron_h(
    "nemotron_h",
    lambda config: config.find("num_experts_per_tok") is None,
    letter="-",
    size="intermediate_size",
    feed_forward=(
        *module("up_proj", "ffn_up", bias=flag("mlp_bias")),
        *module("down_proj", "ffn_down", bias=flag("mlp_bias")),
    ),
    graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.EITHER_OR_NEITHER, rotary=False),
)
