"""Bloom: ALiBi, fused query, key and value, a norm after the embedding."""

from ...spec import ValueType
from ..decoder import SPARE_HEAD, decoder, modules, renamed
from ..keys import CONTEXT, HEADS, LAYER_EPS, LAYERS, WIDTH, DerivedKey, FourTimes
from ..table import HFClass
from ..tensors import always
from ..traits import GraphTraits
from ..transforms import UngroupQKV

_HEADS = ("n_head", "num_attention_heads")

ARCHITECTURE = decoder(
    "bloom",
    HFClass("BloomForCausalLM", "bloom"),
    derived={
        "hidden_size": lambda config: config.find("n_embed"),
        "seq_length": lambda config: config.find("hidden_size"),
    },
    keys=(
        CONTEXT.named("seq_length"),
        WIDTH,
        FourTimes("n_inner"),
        LAYERS.named("n_layer", "num_hidden_layers"),
        HEADS.named(*_HEADS),
        DerivedKey("attention.head_count_kv", ValueType.UINT32, lambda config: config.integer(*_HEADS)),
        LAYER_EPS.named("layer_norm_epsilon"),
    ),
    bias=None,
    activation={},
    assumed={"apply_residual_connection_post_layernorm": False},
    output=(
        *renamed(("transformer.word_embeddings", "token_embd")),
        *renamed(
            ("transformer.word_embeddings_layernorm", "token_embd_norm"),
            ("transformer.ln_f", "output_norm"),
            bias=always,
        ),
        SPARE_HEAD,
    ),
    blocks=modules(
        ("input_layernorm", "attn_norm"),
        ("self_attention.query_key_value", "attn_qkv", UngroupQKV("n_head", "n_head")),
        ("self_attention.dense", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.dense_h_to_4h", "ffn_up"),
        ("mlp.dense_4h_to_h", "ffn_down"),
        block="transformer.h.{i}",
    ),
    prefix="transformer.",
    graph=GraphTraits(rotary=False),
)
