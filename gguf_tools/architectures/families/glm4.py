"""GLM 4 (0414): norms around attention and feed-forward, partial rotary embeddings."""

from ..decoder import attention, decoder, flag, norms, optional
from ..keys import HEAD_DIM
from ..rope import PartialRotary
from ..table import HFClass
from ..traits import VocabularyTraits

ROLES = {"eos": "<|endoftext|>", "eot": "<|user|>", "unk": "<|endoftext|>"}
"""Added tokens with a role that the files of these families leave out."""

ARCHITECTURE = decoder(
    "glm4",
    HFClass("Glm4ForCausalLM", "glm4"),
    head_dim=HEAD_DIM,
    own=(PartialRotary(),),
    pre_norms=norms(
        ("input_layernorm", "attn_norm"),
        ("post_self_attn_layernorm", "post_attention_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("post_mlp_layernorm", "post_ffw_norm"),
    ),
    attn=attention(bias=flag("attention_bias"), output_bias=optional),
    ffn=norms(("mlp.gate_up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
    vocabulary=VocabularyTraits(roles={**ROLES, "bos": "<|endoftext|>"}),
)
