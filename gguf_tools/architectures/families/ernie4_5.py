"""ERNIE 4.5 (dense)."""

from ..decoder import LLAMA_DEFAULTS, decoder
from ..keys import HEAD_DIM, head_size
from ..table import HFClass

ARCHITECTURE = decoder(
    "ernie4_5",
    HFClass("Ernie4_5ForCausalLM", "ernie4_5"),
    HFClass("Ernie4_5_ForCausalLM", "ernie4_5"),
    defaults={
        **LLAMA_DEFAULTS,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "use_bias": False,
    },
    derived={"head_dim": head_size},
    tokenizers=("spm", "llama-hf"),
    head_dim=HEAD_DIM,
    bias="use_bias",
)
