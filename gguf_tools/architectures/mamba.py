"""Mamba 1 and 2: state-space layers without attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .decoder import flag
from .keys import LAYERS, WIDTH, Assumed, Computed, Entry, Key, KeyRule, RowsOf
from .table import Architecture, HFClass
from .tensors import Rule, weight_and_bias
from .transforms import Chain, Grouped, NegativeExp, Reshape

_BLOCK: Final = "backbone.layers.{i}"
_SQUEEZED: Final = Reshape(gguf=lambda shape: (shape[0], shape[-1]), hf=lambda shape: (shape[0], 1, shape[1]))
_COLUMN: Final = Reshape(gguf=lambda shape: (*shape, 1), hf=lambda shape: shape[:1])
_CONTEXT: Final = 1 << 20  # there is no limit; llama.cpp's converter says this


class _Inner:
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


def _start(width: str) -> tuple[KeyRule, ...]:
    return (
        Computed("context_length", ValueType.UINT32, lambda config: _CONTEXT),
        WIDTH.named(width),
        Computed("feed_forward_length", ValueType.UINT32, lambda config: 0),
        Computed("attention.head_count", ValueType.UINT32, lambda config: 0),
        LAYERS,
        Key("ssm.conv_kernel", "conv_kernel"),
    )


_EPS: Final = Key("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", type=ValueType.FLOAT32)
_DEFAULTS: Final[dict[str, Any]] = {
    "conv_kernel": 4,
    "expand": 2,
    "layer_norm_epsilon": 1e-5,
    "state_size": 16,
    "tie_word_embeddings": True,
    "use_bias": False,
    "use_conv_bias": True,
}
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    RowsOf("vocab_size", "token_embd.weight"),
    Assumed("hidden_act", ("silu", "swish")),
    Assumed("use_bias", (False,)),
)
_ENDS: Final = (
    Rule(("backbone.embeddings.weight",), ("token_embd.weight",)),
    Rule(("backbone.norm_f.weight",), ("output_norm.weight",)),
    Rule(
        ("lm_head.weight",),
        ("output.weight",),
        needed=lambda config, _: not config.flag("tie_word_embeddings"),
    ),
    Rule((f"{_BLOCK}.norm.weight",), ("blk.{i}.attn_norm.weight",)),
    Rule((f"{_BLOCK}.mixer.in_proj.weight",), ("blk.{i}.ssm_in.weight",)),
    Rule((f"{_BLOCK}.mixer.conv1d.weight",), ("blk.{i}.ssm_conv1d.weight",), _SQUEEZED),
    Rule((f"{_BLOCK}.mixer.conv1d.bias",), ("blk.{i}.ssm_conv1d.bias",), needed=flag("use_conv_bias")),
    Rule((f"{_BLOCK}.mixer.out_proj.weight",), ("blk.{i}.ssm_out.weight",)),
)
_RENAMES: Final = ((r"^backbone\.embedding\.", "backbone.embeddings."),)


def _rank(config: HFConfig) -> int:
    return -(-config.integer("hidden_size") // 16)


MAMBA: Final = Architecture(
    name="mamba",
    classes=(HFClass("MambaForCausalLM", "mamba", _DEFAULTS, {"time_step_rank": _rank}),),
    tokenizer_kinds=("bpe", "spm"),
    prefix="backbone.",
    renames=_RENAMES,
    keys=(
        *_start("hidden_size"),
        _Inner(fixed=True),
        Key("ssm.state_size", "state_size"),
        Key("ssm.time_step_rank", "time_step_rank"),
        _EPS,
        Computed("ssm.dt_b_c_rms", ValueType.BOOL, lambda config: False),
    ),
    own_keys=_ASSUMED,
    tensors=(
        *_ENDS,
        Rule((f"{_BLOCK}.mixer.x_proj.weight",), ("blk.{i}.ssm_x.weight",)),
        *weight_and_bias(f"{_BLOCK}.mixer.dt_proj", "blk.{i}.ssm_dt"),
        Rule((f"{_BLOCK}.mixer.A_log",), ("blk.{i}.ssm_a",), NegativeExp()),
        Rule((f"{_BLOCK}.mixer.D",), ("blk.{i}.ssm_d",)),
    ),
    lost=("A_log is computed back from A = -exp(A_log): its last bits may differ",),
)


def _heads(config: HFConfig) -> int:
    return config.integer("hidden_size") * config.integer("expand") // config.integer("head_dim")


class _Heads:
    """The number of heads ↔ the time step's rank, and the size of each."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield "ssm.time_step_rank", ValueType.UINT32, _heads(config)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        heads, inner = facts.integer("ssm.time_step_rank") or 1, facts.integer("ssm.inner_size") or 0
        config["num_heads"] = heads
        config["head_dim"] = inner // heads


MAMBA2: Final = Architecture(
    name="mamba2",
    classes=(
        HFClass(
            "Mamba2ForCausalLM",
            "mamba2",
            _DEFAULTS | {"head_dim": 64, "n_groups": 8, "state_size": 128, "tie_word_embeddings": False},
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    prefix="backbone.",
    renames=((r"^model\.(backbone|lm_head)\.", r"\1."), *_RENAMES),
    keys=(
        *_start("hidden_size"),
        _Inner(fixed=False),
        Key("ssm.state_size", "state_size"),
        _Heads(),
        Key("ssm.group_count", "n_groups"),
        _EPS,
    ),
    own_keys=_ASSUMED,
    tensors=(
        *_ENDS,
        Rule((f"{_BLOCK}.mixer.dt_bias",), ("blk.{i}.ssm_dt.bias",)),
        Rule((f"{_BLOCK}.mixer.A_log",), ("blk.{i}.ssm_a",), Chain(NegativeExp(), _COLUMN)),
        Rule((f"{_BLOCK}.mixer.D",), ("blk.{i}.ssm_d",), _COLUMN),
        Rule((f"{_BLOCK}.mixer.norm.weight",), ("blk.{i}.ssm_norm.weight",), Grouped("n_groups")),
    ),
    lost=MAMBA.lost,
)

ARCHITECTURES: Final = (MAMBA, MAMBA2)
