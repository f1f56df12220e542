"""ERNIE 4.5 (dense)."""

from ..decoder import decoder
from ..keys import HEAD_DIM, head_size
from ..table import HFClass
from ..traits import SpacePrefix, VocabularyTraits

ARCHITECTURE = decoder(
    "ernie4_5",
    HFClass("Ernie4_5ForCausalLM", "ernie4_5"),
    HFClass("Ernie4_5_ForCausalLM", "ernie4_5"),
    derived={"head_dim": head_size},
    tokenizers=("spm", "llama-hf"),
    head_dim=HEAD_DIM,
    bias="use_bias",
    vocabulary=VocabularyTraits(space_prefix=SpacePrefix.CONFIG),
)
