"""Baichuan: Llama with query, key and value in one matrix."""

from ..config import HFConfig
from ..decoder import BLOCK, decoder, norms
from ..keys import CAUSAL, CONTEXT, META_LAYOUT, RMS_EPS, ROPE_DIMENSION, SIZES, AssumedByRuntime, Note
from ..rope import Rope
from ..table import HFClass
from ..tensors import Rule
from ..transforms import IDENTITY, Chain, Each, PermuteHeads, SplitRows

_CONTEXTS = ("max_position_embeddings", "model_max_length")
KEYS = (*(r.named(*_CONTEXTS) if r is CONTEXT else r for r in SIZES), CAUSAL, Rope(theta=None), RMS_EPS)
_HEADED = PermuteHeads("num_attention_heads")
_SECOND_VOCABULARY = 125696


def _thirds(config: HFConfig) -> tuple[int, int, int]:
    width = config.integer("hidden_size")
    return width, width, width


ARCHITECTURE = decoder(
    "baichuan",
    HFClass("BaichuanForCausalLM", "baichuan"),
    HFClass("BaiChuanForCausalLM", "baichuan"),
    tokenizers=("spm",),
    keys=KEYS,
    own=(META_LAYOUT, ROPE_DIMENSION),
    bias=None,
    checks=(
        # the larger models' code reads this name
        AssumedByRuntime("model_max_length", lambda config: (config.integer(*_CONTEXTS),)),
        Note(
            lambda config: config.integer("vocab_size") == _SECOND_VOCABULARY,
            "Baichuan 2 scales the rows of its output matrix to length one as it runs; llama.cpp does not, "
            "and their lengths differ",
        ),
    ),
    attn=(
        Rule(
            (f"{BLOCK}.self_attn.W_pack.weight",),
            tuple(f"blk.{{i}}.attn_{letter}.weight" for letter in "qkv"),
            Chain(SplitRows(_thirds), Each((_HEADED, _HEADED, IDENTITY))),
        ),
        *norms(("self_attn.o_proj", "attn_output")),
    ),
)
