"""Gemma 1: norms stored as the distance from one, a head tied to the embedding."""

from dataclasses import replace

from ..decoder import EMBEDDING, TIED_OUTPUT, decoder, norms
from ..keys import CONTEXT, HEAD_DIM, HEADS, INNER, KV_HEADS, LAYERS, RMS_EPS, WIDTH, AssumedByRuntime
from ..table import HFClass
from ..tensors import Rule
from ..traits import GraphTraits
from ..transforms import AddOne
from ..vocabularies import GEMMA_VOCABULARY

KEYS = (CONTEXT, WIDTH, LAYERS, INNER, HEADS, KV_HEADS, RMS_EPS, HEAD_DIM)
NO_SCALING = AssumedByRuntime("rope_scaling", (None,), export=False)
ENDS = (EMBEDDING, Rule(("model.norm.weight",), ("output_norm.weight",), AddOne()))

ARCHITECTURE = decoder(
    "gemma",
    HFClass("GemmaForCausalLM", "gemma"),
    tokenizers=("spm",),
    keys=KEYS,
    bias=None,
    activation={"hidden_activation": ("gelu_pytorch_tanh", "gelu")},
    assumed={"rope_theta": 10000.0, "attention_bias": False},
    checks=(NO_SCALING,),
    output=ENDS,
    pre_norms=norms(
        ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), transform=AddOne()
    ),
    drops=(TIED_OUTPUT,),
    # llama.cpp's converter takes every Gemma 1 for a CodeGemma, whose <end_of_turn> this is
    vocabulary=replace(GEMMA_VOCABULARY, ids={"eot": 107}),
    graph=GraphTraits(scaled_embeddings=True, scaled_queries=True),
)
