"""Mamba: state-space layers without attention."""

from ...spec import ValueType
from ..keys import DerivedKey, Key
from ..mamba_parts import EPS, MIXER, Inner, mamba1_mixer, time_step_rank, without_attention
from ..table import HFClass
from ..traits import Mixer

ARCHITECTURE = without_attention(
    "mamba",
    HFClass("MambaForCausalLM", "mamba", derived_defaults={"time_step_rank": time_step_rank}),
    tokenizers=("bpe", "spm"),
    keys=(
        Inner(fixed=True),
        Key("ssm.state_size", "state_size"),
        Key("ssm.time_step_rank", "time_step_rank"),
        EPS,
        DerivedKey("ssm.dt_b_c_rms", ValueType.BOOL, lambda config: False),
    ),
    mixer=mamba1_mixer(MIXER),
    kind=Mixer.MAMBA,
)
