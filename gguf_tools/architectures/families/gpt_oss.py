"""gpt-oss: experts with interleaved gate and up, biases everywhere, attention sinks, alternating windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ArchitectureError
from ...source import Source
from ...spec import GGMLType
from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, OUTPUT, TIED, attention, head_count, norms
from ..keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    Entry,
    FromTensorRows,
    Key,
    experts_keys,
    head_size,
    layer_type,
)
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule, always, weight_and_bias
from ..traits import GraphTraits, Routing, Window
from ..transforms import Transform, Transpose
from ..views import Gathered, Joined, Reshaped, Transposed


@dataclass(frozen=True)
class Deinterleave(Transform):
    """Experts' fused gate and up, whose outputs alternate ↔ both.

    Weights are (experts, inputs, 2 n) in HF and (experts, n, inputs) in GGUF; biases (experts, 2 n) and
    (experts, n).
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) not in (2, 3) or source.shape[-1] % 2:
            raise ArchitectureError("fused experts need an even number of outputs", found=source.shape)
        experts, size = source.shape[0], source.shape[-1] // 2
        if len(source.shape) == 3:
            rows: Source = Transposed(source)
            shape: tuple[int, ...] = (experts, size, source.shape[1])
        else:
            rows = Reshaped(source, (experts, 2 * size, 1))
            shape = (experts, size, 1)
        parts = [Gathered(rows, lambda row: 2 * row, shape), Gathered(rows, lambda row: 2 * row + 1, shape)]
        return list(parts) if len(source.shape) == 3 else [Reshaped(part, (experts, size)) for part in parts]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        gate, up = sources
        if gate.shape != up.shape or len(gate.shape) not in (2, 3):
            raise ArchitectureError("the experts differ in shape", found=[gate.shape, up.shape])
        experts, size = gate.shape[:2]
        is_bias = len(gate.shape) == 2
        length = 1 if is_bias else gate.shape[2]
        parts = [Reshaped(part, (experts, size, 1)) if is_bias else part for part in sources]
        both = Joined(parts, (experts, 2 * size, length))
        rows = Gathered(both, lambda row: row // 2 + row % 2 * (experts * size))
        return [Reshaped(rows, (experts, 2 * size)) if is_bias else Transposed(rows)]


@dataclass(frozen=True)
class DeinterleaveRows(Transform):
    """`Deinterleave` for weights that are there as rows of outputs, (experts, 2 n, inputs): packed ones."""

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        if len(source.shape) != 3 or source.shape[1] % 2:
            raise ArchitectureError("fused experts need an even number of outputs", found=source.shape)
        shape = (source.shape[0], source.shape[1] // 2, source.shape[2])
        return [
            Gathered(source, lambda row: 2 * row, shape),
            Gathered(source, lambda row: 2 * row + 1, shape),
        ]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        gate, up = sources
        if gate.shape != up.shape or len(gate.shape) != 3:
            raise ArchitectureError("the experts differ in shape", found=[gate.shape, up.shape])
        experts, size, length = gate.shape
        both = Joined(sources, (experts, 2 * size, length))
        return [Gathered(both, lambda row: row // 2 + row % 2 * (experts * size))]


class _Truncation:
    """YaRN's ``truncate``, which is false in all releases, and in transformers true where nothing is said."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if config.get("rope_scaling"):
            config["rope_scaling"]["truncate"] = False


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return ([layer_type(i % 2 == 0) for i in range(config.integer("num_hidden_layers"))],)


_DEFAULTS = {
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "num_experts_per_tok": 4,
    "num_key_value_heads": 8,
    "num_local_experts": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 150000.0,
    "sliding_window": 128,
    "tie_word_embeddings": False,
}
_EXPERTS = f"{BLOCK}.mlp.experts"
_BOTH = ("blk.{i}.ffn_gate_exps.", "blk.{i}.ffn_up_exps.")

ARCHITECTURE = Architecture(
    name="gpt-oss",
    classes=(
        HFClass(
            "GptOssForCausalLM",
            "gpt_oss",
            _DEFAULTS,
            {"num_key_value_heads": head_count, "head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(),
        _Truncation(),
        RMS_EPS,
        *experts_keys("num_local_experts"),
        HEAD_DIM,
    ),
    family_keys=(
        Key("attention.sliding_window", "sliding_window"),
        Key("expert_feed_forward_length", "intermediate_size"),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu",)),
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("swiglu_limit", (7.0,), export=False),
    ),
    tensors=(
        *OUTPUT,
        *norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
        *attention(bias=always),
        Rule((f"{BLOCK}.self_attn.sinks",), ("blk.{i}.attn_sinks.weight",)),
        *weight_and_bias(f"{BLOCK}.mlp.router", "blk.{i}.ffn_gate_inp"),
        Rule((f"{_EXPERTS}.gate_up_proj",), tuple(f"{name}weight" for name in _BOTH), Deinterleave()),
        Rule((f"{_EXPERTS}.gate_up_proj_bias",), tuple(f"{name}bias" for name in _BOTH), Deinterleave()),
        Rule((f"{_EXPERTS}.down_proj",), ("blk.{i}.ffn_down_exps.weight",), Transpose()),
        Rule((f"{_EXPERTS}.down_proj_bias",), ("blk.{i}.ffn_down_exps.bias",)),
        Rule(
            (f"{_EXPERTS}.gate_up_proj_blocks",),
            tuple(f"{name}weight" for name in _BOTH),
            DeinterleaveRows(),
            stored=GGMLType.MXFP4,
        ),
        Rule((f"{_EXPERTS}.down_proj_blocks",), ("blk.{i}.ffn_down_exps.weight",), stored=GGMLType.MXFP4),
    ),
    graph=GraphTraits(window=Window(2, required=True), network_norm_after=True, routing=Routing.LATE_SOFTMAX),
)
