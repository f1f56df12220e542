"""Mamba 2: state-space layers with heads, without attention."""

from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..keys import DerivedKey, Key
from ..mamba_parts import EPS, MIXER, Inner, mamba2_mixer, without_attention
from ..table import HFClass


def _heads(config: HFConfig) -> int:
    return config.integer("hidden_size") * config.integer("expand") // config.integer("head_dim")


def _restored_heads(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, int]:
    heads, inner = facts.integer("ssm.time_step_rank") or 1, facts.integer("ssm.inner_size") or 0
    return {"num_heads": heads, "head_dim": inner // heads}


ARCHITECTURE = without_attention(
    "mamba2",
    HFClass("Mamba2ForCausalLM", "mamba2"),
    tokenizers=("spm", "bpe"),
    keys=(
        Inner(fixed=False),
        Key("ssm.state_size", "state_size"),
        DerivedKey("ssm.time_step_rank", ValueType.UINT32, _heads, _restored_heads),
        Key("ssm.group_count", "n_groups"),
        EPS,
    ),
    mixer=mamba2_mixer(MIXER, "n_groups"),
    renames=((r"^model\.(backbone|lm_head)\.", r"\1."),),
)
