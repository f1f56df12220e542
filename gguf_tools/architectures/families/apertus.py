"""Apertus: Llama without a gate, with norms on query and key, and xIELU, whose parameters are trained."""

from ..decoder import BLOCK, QK_NORMS, decoder, norms
from ..keys import ROPE_DIMENSION, VOCABULARY_SIZE
from ..rope import Llama3Factors, Rope
from ..table import HFClass
from ..tensor_to_key import Scalars

_XIELU = {"alpha_n": (1,), "alpha_p": (1,), "beta": (), "eps": ()}

ARCHITECTURE = decoder(
    "apertus",
    HFClass("ApertusForCausalLM", "apertus"),
    tokenizers=("spm", "llama-hf", "bpe"),
    rope=Rope(kinds=("linear", "yarn", "llama3", "dynamic")),
    own=(VOCABULARY_SIZE, ROPE_DIMENSION),
    activation=("xielu",),
    computed=(Llama3Factors(),),
    scalars=tuple(
        Scalars(f"{BLOCK}.mlp.act_fn.{name}", f"xielu.{name}", shape) for name, shape in _XIELU.items()
    ),
    pre_norms=norms(("attention_layernorm", "attn_norm"), ("feedforward_layernorm", "ffn_norm")),
    qk_norms=QK_NORMS,
    ffn=norms(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
)
