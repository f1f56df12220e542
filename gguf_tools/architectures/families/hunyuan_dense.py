"""HunYuan (dense): Qwen 3's shape with norms after the rotation, whose base follows from a factor alpha."""

from ..decoder import OUTPUT_WHERE_TIED, decoder, norms
from ..keys import CONTEXT, HEAD_DIM, head_size
from ..rope_alpha import AlphaBase, AlphaContext, AlphaScaling
from ..table import HFClass
from ..traits import VocabularyTraits

ARCHITECTURE = decoder(
    "hunyuan-dense",
    HFClass("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense"),
    derived={"head_dim": head_size},
    sizes={CONTEXT.gguf: AlphaContext()},
    rope=AlphaBase(),
    head_dim=HEAD_DIM,
    own=(AlphaScaling(),),
    qk_norms=norms(("self_attn.query_layernorm", "attn_q_norm"), ("self_attn.key_layernorm", "attn_k_norm")),
    drops=(OUTPUT_WHERE_TIED,),
    vocabulary=VocabularyTraits(eot_from_generation=True),
)
