"""GPT-2: fused query, key and value, matrices stored the other way round, learned positions."""

from ..decoder import SPARE_HEAD, decoder, modules, renamed
from ..keys import HEADS, LAYER_EPS, LAYERS, WIDTH, FourTimes, FromTensorRows, Key
from ..table import HFClass
from ..tensors import Drop, Rule, always
from ..traits import GraphTraits
from ..transforms import Transform, Transpose

DEFAULTS = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "n_positions": 1024,
    "tie_word_embeddings": True,
}
NAMED_LAYERS = LAYERS.named("n_layer", "num_hidden_layers")
NAMED_WIDTH = WIDTH.named("n_embd", "hidden_size")
NAMED_HEADS = HEADS.named("n_head", "num_attention_heads")
INNER = FourTimes("n_inner", "n_embd")
EPS = LAYER_EPS.named("layer_norm_epsilon")
OUTPUT = (
    *renamed(("transformer.wte", "token_embd"), ("transformer.wpe", "position_embd")),
    *renamed(("transformer.ln_f", "output_norm"), bias=always),
    SPARE_HEAD,
)
CAUSAL_MASK = Drop(r".*\.attn\.(masked_)?bias", "a buffer: the causal mask")


def layers(stored: Transform) -> tuple[Rule, ...]:
    """The modules of a layer, their matrices stored so."""
    return modules(
        ("ln_1", "attn_norm"),
        ("attn.c_attn", "attn_qkv", stored),
        ("attn.c_proj", "attn_output", stored),
        ("ln_2", "ffn_norm"),
        ("mlp.c_fc", "ffn_up", stored),
        ("mlp.c_proj", "ffn_down", stored),
        block="transformer.h.{i}",
    )


ARCHITECTURE = decoder(
    "gpt2",
    HFClass("GPT2LMHeadModel", "gpt2", {}, {"n_ctx": lambda config: config.find("n_positions")}),
    keys=(
        NAMED_LAYERS,
        Key("context_length", "n_ctx", "n_positions"),
        NAMED_WIDTH,
        INNER,
        NAMED_HEADS,
        EPS,
    ),
    bias=None,
    activation={"activation_function": ("gelu_new", "gelu", "gelu_pytorch_tanh")},
    assumed={"scale_attn_by_inverse_layer_idx": False},
    checks=(FromTensorRows("n_positions", "position_embd.weight"),),
    output=OUTPUT,
    blocks=layers(Transpose()),
    prefix="transformer.",
    drops=(CAUSAL_MASK,),
    graph=GraphTraits(rotary=False),
)
