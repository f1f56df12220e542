"""XVERSE: Llama by another name, with a tokenizer of its own."""

from ..decoder import decoder, head_count
from ..keys import META_LAYOUT, ROPE_DIMENSION
from ..table import HFClass
from ..traits import VocabularyTraits
from .baichuan import KEYS

ARCHITECTURE = decoder(
    "xverse",
    HFClass("XverseForCausalLM", "xverse"),
    derived={"num_key_value_heads": head_count},
    tokenizers=("unscored",),
    keys=KEYS,
    own=(META_LAYOUT, ROPE_DIMENSION),
    bias=None,
    permuted=True,
    vocabulary=VocabularyTraits(unscored=True),
)
