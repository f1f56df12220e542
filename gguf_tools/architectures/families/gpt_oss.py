"""gpt-oss: experts with interleaved gate and up, biases everywhere, attention sinks, alternating windows."""

from ...spec import GGMLType
from ..config import HFConfig
from ..decoder import BLOCK, attention, decoder, norms
from ..interleaved_experts import Deinterleave, DeinterleaveRows
from ..keys import HEAD_DIM, AssumedByRuntime, Key, Restored, experts_keys, head_size
from ..table import HFClass
from ..tensors import Rule, always, weight_and_bias
from ..traits import GraphTraits, Routing, Window
from ..transforms import Transpose
from ..windows import layer_type


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return ([layer_type(i % 2 == 0) for i in range(config.integer("num_hidden_layers"))],)


# YaRN's ``truncate``, which is false in all releases, and in transformers true where nothing is said
TRUNCATION = Restored(
    lambda facts, config: (
        {"rope_scaling": {**config["rope_scaling"], "truncate": False}} if config.get("rope_scaling") else {}
    )
)

EXPERTS = f"{BLOCK}.mlp.experts"
GATE_AND_UP = ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight")
BIASES = ("blk.{i}.ffn_gate_exps.bias", "blk.{i}.ffn_up_exps.bias")
DOWN = ("blk.{i}.ffn_down_exps.weight",)

ARCHITECTURE = decoder(
    "gpt-oss",
    HFClass("GptOssForCausalLM", "gpt_oss"),
    derived={"head_dim": head_size},
    expert_keys=experts_keys("num_local_experts"),
    head_dim=HEAD_DIM,
    own=(
        TRUNCATION,
        Key("attention.sliding_window", "sliding_window"),
        Key("expert_feed_forward_length", "intermediate_size"),
    ),
    bias=None,
    activation=("silu",),
    checks=(
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("swiglu_limit", (7.0,), export=False),
    ),
    pre_norms=norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
    attn=(
        *attention(bias=always),
        Rule((f"{BLOCK}.self_attn.sinks",), ("blk.{i}.attn_sinks.weight",)),
    ),
    ffn=(
        *weight_and_bias(f"{BLOCK}.mlp.router", "blk.{i}.ffn_gate_inp"),
        Rule((f"{EXPERTS}.gate_up_proj",), GATE_AND_UP, Deinterleave()),
        Rule((f"{EXPERTS}.gate_up_proj_bias",), BIASES, Deinterleave()),
        Rule((f"{EXPERTS}.down_proj",), DOWN, Transpose()),
        Rule((f"{EXPERTS}.down_proj_bias",), ("blk.{i}.ffn_down_exps.bias",)),
        Rule((f"{EXPERTS}.gate_up_proj_blocks",), GATE_AND_UP, DeinterleaveRows(), stored=GGMLType.MXFP4),
        Rule((f"{EXPERTS}.down_proj_blocks",), DOWN, stored=GGMLType.MXFP4),
    ),
    graph=GraphTraits(
        window=Window(2, required=True),
        network_norm_after=True,
        routing=Routing.LATE_SOFTMAX,
    ),
)
