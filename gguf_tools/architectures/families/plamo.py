"""PLaMo: attention and feed-forward side by side, heads of queries that share keys in turns.

It has no class in transformers: code beside the checkpoint runs it.
"""

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import HFConfig
from ..decoder import decoder, gated, norms
from ..grouped_heads import GroupHeads
from ..keys import HEADS, INNER, LAYERS, RMS_EPS, WIDTH, DerivedKey
from ..table import HFClass

BLOCK = "model.layers.layers.{i}"


def _key_heads(config: HFConfig) -> int:
    """As many as there are queries for one; ``num_key_value_heads`` of the config is another number."""
    heads, shared = config.integer("num_attention_heads"), config.integer("n_shared_head")
    if heads % shared:
        raise ArchitectureError(
            "the heads cannot be shared out",
            path="config.json",
            key="n_shared_head",
            found=shared,
            expected=f"a divisor of num_attention_heads {heads}",
        )
    return heads // shared


KV_HEADS = DerivedKey(
    "attention.head_count_kv",
    ValueType.UINT32,
    _key_heads,
    lambda facts, config: {
        "n_shared_head": config["num_attention_heads"] // (facts.integer("attention.head_count_kv") or 1)
    },
)
CONTEXT = DerivedKey("context_length", ValueType.UINT32, lambda config: 4096)  # not in config.json

ARCHITECTURE = decoder(
    "plamo",
    HFClass("PlamoForCausalLM", "plamo"),
    tokenizers=("spm",),
    keys=(CONTEXT, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, RMS_EPS),
    bias=None,
    activation={},
    assumed={"tie_word_embeddings": False},
    pre_norms=norms(("norm", "attn_norm"), block=BLOCK),
    attn=(
        *norms(("self_attn.q_proj", "attn_q"), transform=GroupHeads(_key_heads), block=BLOCK),
        *norms(("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), block=BLOCK),
        *norms(
            ("self_attn.o_proj", "attn_output"), transform=GroupHeads(_key_heads, columns=True), block=BLOCK
        ),
    ),
    ffn=gated("mlp", block=BLOCK),
)
