"""Mamba 2: state-space layers with heads, without attention."""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..keys import Entry, Key
from ..mamba_parts import (
    BLOCK,
    CHECKS,
    DEFAULTS,
    EPS,
    LEADING_KEYS,
    LOST,
    OUTPUT,
    RENAMES,
    Inner,
    mamba2_mixer,
)
from ..table import Architecture, HFClass
from ..traits import GraphTraits, Memory, Stack


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


ARCHITECTURE = Architecture(
    name="mamba2",
    classes=(
        HFClass(
            "Mamba2ForCausalLM",
            "mamba2",
            {**DEFAULTS, "head_dim": 64, "n_groups": 8, "state_size": 128, "tie_word_embeddings": False},
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    prefix="backbone.",
    renames=((r"^model\.(backbone|lm_head)\.", r"\1."), *RENAMES),
    keys=(
        *LEADING_KEYS,
        Inner(fixed=False),
        Key("ssm.state_size", "state_size"),
        _Heads(),
        Key("ssm.group_count", "n_groups"),
        EPS,
    ),
    family_keys=CHECKS,
    tensors=(*OUTPUT, *mamba2_mixer(f"{BLOCK}.mixer", "n_groups")),
    export_notes=LOST,
    graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.STATE),
)
