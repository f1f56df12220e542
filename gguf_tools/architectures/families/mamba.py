"""Mamba: state-space layers without attention."""

from ...spec import ValueType
from ..config import HFConfig
from ..keys import DerivedKey, Key
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
    mamba1_mixer,
)
from ..table import Architecture, HFClass
from ..traits import GraphTraits, Memory, Mixer, Stack


def _rank(config: HFConfig) -> int:
    return -(-config.integer("hidden_size") // 16)


ARCHITECTURE = Architecture(
    name="mamba",
    classes=(HFClass("MambaForCausalLM", "mamba", DEFAULTS, {"time_step_rank": _rank}),),
    tokenizer_kinds=("bpe", "spm"),
    prefix="backbone.",
    renames=RENAMES,
    keys=(
        *LEADING_KEYS,
        Inner(fixed=True),
        Key("ssm.state_size", "state_size"),
        Key("ssm.time_step_rank", "time_step_rank"),
        EPS,
        DerivedKey("ssm.dt_b_c_rms", ValueType.BOOL, lambda config: False),
    ),
    family_keys=CHECKS,
    tensors=(*OUTPUT, *mamba1_mixer(f"{BLOCK}.mixer")),
    export_notes=LOST,
    graph=GraphTraits(stack=Stack.MIXERS, memory=Memory.STATE, mixer=Mixer.MAMBA),
)
