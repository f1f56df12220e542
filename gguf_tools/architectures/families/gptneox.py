"""GPT-NeoX and Pythia: query, key and value fused head by head, partial rotary embeddings, layer norms."""

from ...spec import ValueType
from ..decoder import decoder, has_head, modules, renamed
from ..keys import CONTEXT, HEADS, INNER, LAYER_EPS, LAYERS, WIDTH, Key
from ..rope import PartialRotary
from ..table import HFClass
from ..tensors import Rule, always
from ..transforms import UngroupQKV

ARCHITECTURE = decoder(
    "gptneox",
    HFClass("GPTNeoXForCausalLM", "gpt_neox"),
    keys=(
        *(CONTEXT, WIDTH, LAYERS, INNER, PartialRotary(("rotary_pct",)), HEADS),
        Key("use_parallel_residual", "use_parallel_residual", type=ValueType.BOOL),
        LAYER_EPS,
    ),
    bias=None,
    activation=("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"),
    assumed={"rotary_emb_base": 10000, "attention_bias": True},
    output=(
        *renamed(("gpt_neox.embed_in", "token_embd")),
        *renamed(("gpt_neox.final_layer_norm", "output_norm"), bias=always),
        Rule(("embed_out.weight",), ("output.weight",), needed=has_head),
    ),
    blocks=modules(
        ("input_layernorm", "attn_norm"),
        ("attention.query_key_value", "attn_qkv", UngroupQKV()),
        ("attention.dense", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.dense_h_to_4h", "ffn_up"),
        ("mlp.dense_4h_to_h", "ffn_down"),
        block="gpt_neox.layers.{i}",
    ),
    prefix="gpt_neox.",
    unprefixed=("embed_out.",),
)
