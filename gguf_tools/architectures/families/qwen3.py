"""Qwen3 (dense): norms of each head's query and key."""

from ..decoder import QK_NORMS, decoder
from ..keys import HEAD_DIM
from ..pooling import Pooling, pooling_files
from ..table import HFClass

ARCHITECTURE = decoder(
    "qwen3",
    HFClass("Qwen3ForCausalLM", "qwen3"),
    HFClass("Qwen3Model", "qwen3"),
    tokenizers=("spm", "bpe"),
    head_dim=HEAD_DIM,
    own=(Pooling(),),
    assumed={"use_sliding_window": False},
    qk_norms=QK_NORMS,
    extras=pooling_files,
)
