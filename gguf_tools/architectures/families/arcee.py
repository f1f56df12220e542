"""Arcee: Llama with a feed-forward without gate, and squared ReLU."""

from ..decoder import decoder, flag, modules
from ..keys import HEAD_DIM, ROPE_DIMENSION, VOCABULARY_SIZE, FromTensorPresence, head_size
from ..rope import Llama3Factors, Rope
from ..table import HFClass
from ..vocabularies import LLAMA_VOCABULARY

ARCHITECTURE = decoder(
    "arcee",
    HFClass("ArceeForCausalLM", "arcee"),
    derived={"head_dim": head_size},
    tokenizers=("spm", "llama-hf", "bpe"),
    rope=Rope(kinds=("linear", "yarn", "llama3")),
    head_dim=HEAD_DIM,
    own=(VOCABULARY_SIZE, ROPE_DIMENSION),
    activation=("relu2",),
    flags=(FromTensorPresence("mlp_bias", "blk.0.ffn_up.bias"),),
    permuted=True,
    ffn=modules(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), bias=flag("mlp_bias")),
    computed=(Llama3Factors(),),
    vocabulary=LLAMA_VOCABULARY,
)
