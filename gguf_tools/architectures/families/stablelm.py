"""StableLM: partial rotary embeddings, layer norms, norms for every head of query and key in 12B."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, EMBEDDING, HEAD, LAST_LAYER_NORM, attention, decoder, flag, modules, optional
from ..keys import CONTEXT, HEADS, INNER, KV_HEADS, LAYER_EPS, LAYERS, WIDTH, FromTensorPresence, Key
from ..rope import PartialRotary
from ..table import HFClass
from ..tensors import Rule, limit_to
from ..transforms import StackExperts


def _one_norm(config: HFConfig, layer: int) -> bool:
    """Parallel residuals share one norm."""
    return not config.flag("use_parallel_residual")


ARCHITECTURE = decoder(
    "stablelm",
    HFClass("StableLmForCausalLM", "stablelm"),
    HFClass("StableLMEpochForCausalLM", "stablelm"),
    keys=(
        *(CONTEXT, WIDTH, LAYERS, INNER, PartialRotary(), HEADS, KV_HEADS),
        Key("use_parallel_residual", "use_parallel_residual", type=ValueType.BOOL),
        LAYER_EPS,
    ),
    bias="use_qkv_bias",
    assumed={"rope_theta": 10000.0},
    flags=(FromTensorPresence("qk_layernorm", "blk.0.attn_q_norm.weight"),),
    output=(EMBEDDING, *LAST_LAYER_NORM, HEAD),
    pre_norms=(
        *modules(("input_layernorm", "attn_norm")),
        *limit_to(_one_norm, modules(("post_attention_layernorm", "ffn_norm"))),
    ),
    attn=attention(bias=flag("use_qkv_bias"), output_bias=optional),
    qk_norms=tuple(
        Rule(
            (f"{BLOCK}.self_attn.{letter}_layernorm.norms.{{e}}.weight",),
            (f"blk.{{i}}.attn_{letter}_norm.weight",),
            StackExperts(),
            when=flag("qk_layernorm"),
            experts=heads,
        )
        for letter, heads in (("q", "num_attention_heads"), ("k", "num_key_value_heads"))
    ),
)
