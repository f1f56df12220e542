"""InternLM 2: Llama under names of its own, with query, key and value grouped by key head."""

from ..config import HFConfig
from ..decoder import BLOCK, decoder, norms, renamed
from ..keys import CAUSAL, KV_HEADS, RMS_EPS, SIZES, head_size
from ..rope import Rope
from ..table import HFClass
from ..tensors import Rule
from ..traits import SpacePrefix, VocabularyTraits
from ..transforms import IDENTITY, Chain, Each, PermuteHeads, SplitRows, UngroupQKV


def _parts(config: HFConfig) -> tuple[int, int, int]:
    size, heads = head_size(config), config.integer("num_key_value_heads")
    return size * config.integer("num_attention_heads"), size * heads, size * heads


ARCHITECTURE = decoder(
    "internlm2",
    HFClass("InternLM2ForCausalLM", "internlm2"),
    tokenizers=("spm-replaced",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(kinds=("linear", "yarn", "dynamic"), theta=None), RMS_EPS),
    bias=None,
    assumed={"bias": False},
    output=renamed(
        ("model.tok_embeddings", "token_embd"), ("model.norm", "output_norm"), ("output", "output")
    ),
    pre_norms=norms(("attention_norm", "attn_norm"), ("ffn_norm", "ffn_norm")),
    attn=(
        Rule(
            (f"{BLOCK}.attention.wqkv.weight",),
            tuple(f"blk.{{i}}.attn_{letter}.weight" for letter in "qkv"),
            Chain(
                Chain(UngroupQKV(kv_heads="num_key_value_heads"), SplitRows(_parts)),
                Each((PermuteHeads("num_attention_heads"), PermuteHeads("num_key_value_heads"), IDENTITY)),
            ),
        ),
        *norms(("attention.wo", "attn_output")),
    ),
    ffn=norms(
        ("feed_forward.w1", "ffn_gate"), ("feed_forward.w2", "ffn_down"), ("feed_forward.w3", "ffn_up")
    ),
    unprefixed=("output.",),
    vocabulary=VocabularyTraits(space_prefix=SpacePrefix.MODEL, turn_end=True),
)
