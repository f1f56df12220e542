"""EXAONE 3 and 3.5: Llama under names after GPT-2's."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import HEAD, decoder, norms, renamed
from ..keys import CAUSAL, KV_HEADS, LAYERS, SIZES, DerivedKey, HeadDim, Key
from ..rope import Llama3Factors, Rope
from ..table import HFClass

_EPS = ("layer_norm_epsilon", "rms_norm_eps")


def _rotated(config: HFConfig) -> int:
    size = config.integer("hidden_size") // config.integer("num_attention_heads")
    return int(config.number("partial_rotary_factor") * size)


ARCHITECTURE = decoder(
    "exaone",
    HFClass("ExaoneForCausalLM", "exaone"),
    defaults={"partial_rotary_factor": 1.0},
    prefix="transformer.",
    keys=(
        *(rule.named("num_layers", "num_hidden_layers") if rule is LAYERS else rule for rule in SIZES),
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3"), theta=None),
        # llama.cpp asks for the first of these; its converter only writes the second, by the name's sound
        Key("attention.layer_norm_rms_epsilon", *_EPS, type=ValueType.FLOAT32),
        Key("attention.layer_norm_epsilon", *_EPS, type=ValueType.FLOAT32, optional=True),
        HeadDim(always=False),
    ),
    own=(DerivedKey("rope.dimension_count", ValueType.UINT32, _rotated),),
    bias=None,
    activation={"activation_function": ("silu", "swish")},
    computed=(Llama3Factors(),),
    output=(*renamed(("transformer.wte", "token_embd"), ("transformer.ln_f", "output_norm")), HEAD),
    pre_norms=norms(("ln_1", "attn_norm"), ("ln_2", "ffn_norm"), block="transformer.h.{i}"),
    attn=norms(
        ("attn.attention.q_proj", "attn_q"),
        ("attn.attention.k_proj", "attn_k"),
        ("attn.attention.v_proj", "attn_v"),
        ("attn.attention.out_proj", "attn_output"),
        block="transformer.h.{i}",
    ),
    ffn=norms(
        ("mlp.c_fc_0", "ffn_gate"),
        ("mlp.c_fc_1", "ffn_up"),
        ("mlp.c_proj", "ffn_down"),
        block="transformer.h.{i}",
    ),
)
