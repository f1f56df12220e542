"""EXAONE 3 and 3.5: Llama under names after GPT-2's."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import HEAD, decoder, norms, renamed
from ..keys import CAUSAL, KV_HEADS, LAYER_EPS, LAYERS, RMS_EPS, SIZES, DerivedKey, HeadDim
from ..rope import Llama3Factors, Rope
from ..table import HFClass


def _rotated(config: HFConfig) -> int:
    size = config.integer("hidden_size") // config.integer("num_attention_heads")
    return int(config.number("partial_rotary_factor") * size)


EPS = ("layer_norm_epsilon", "rms_norm_eps")
KEYS = (
    *(rule.named("num_layers", "num_hidden_layers") if rule is LAYERS else rule for rule in SIZES),
    *(KV_HEADS, CAUSAL, Rope(kinds=("linear", "yarn", "llama3"), theta=None)),
    # llama.cpp asks for the first of these; its converter only writes the second, by the name's sound
    RMS_EPS.named(*EPS),
    DerivedKey(LAYER_EPS.gguf, ValueType.FLOAT32, lambda config: config.number(*EPS)),
    HeadDim(always=False),
)

ARCHITECTURE = decoder(
    "exaone",
    HFClass("ExaoneForCausalLM", "exaone", {"partial_rotary_factor": 1.0}),
    keys=KEYS,
    own=(DerivedKey("rope.dimension_count", ValueType.UINT32, _rotated),),
    bias=None,
    activation={"activation_function": ("silu", "swish")},
    computed=(Llama3Factors(),),
    output=(*renamed(("transformer.wte", "token_embd"), ("transformer.ln_f", "output_norm")), HEAD),
    blocks=norms(
        ("ln_1", "attn_norm"),
        ("attn.attention.q_proj", "attn_q"),
        ("attn.attention.k_proj", "attn_k"),
        ("attn.attention.v_proj", "attn_v"),
        ("attn.attention.out_proj", "attn_output"),
        ("ln_2", "ffn_norm"),
        ("mlp.c_fc_0", "ffn_gate"),
        ("mlp.c_fc_1", "ffn_up"),
        ("mlp.c_proj", "ffn_down"),
        block="transformer.h.{i}",
    ),
    prefix="transformer.",
)
