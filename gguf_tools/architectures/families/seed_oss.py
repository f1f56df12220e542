"""Seed-OSS: biases on query, key and value."""

from ..decoder import attention, decoder, flag, norms
from ..keys import HEAD_DIM, MLP_BIAS, FromTensorPresence, head_size
from ..table import HFClass
from ..traits import GraphTraits

ARCHITECTURE = decoder(
    "seed_oss",
    HFClass("SeedOssForCausalLM", "seed_oss"),
    derived={"head_dim": head_size},
    head_dim=HEAD_DIM,
    flags=(FromTensorPresence("attention_out_bias", "blk.0.attn_output.bias"), MLP_BIAS),
    pre_norms=norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
    attn=attention(bias=flag("attention_bias"), output_bias=flag("attention_out_bias")),
    graph=GraphTraits(network_norm_after=True),
)
