"""Command R: one norm for attention and feed-forward, which run side by side; scaled logits."""

from ...spec import ValueType
from ..decoder import EMBEDDING, LAST_NORM, QK_NORMS, TIED_OUTPUT, decoder, flag, norms
from ..keys import CONTEXT, LAYER_EPS, NO_SCALING_TYPE, FromTensorPresence, Key
from ..rope import Rope
from ..table import HFClass
from ..tensors import limit_to

DEFAULTS = {
    "layer_norm_eps": 1e-5,
    "logit_scale": 0.0625,
    "max_position_embeddings": 8192,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
LOGIT_SCALE = Key("logit_scale", "logit_scale", type=ValueType.FLOAT32)
ENDS = (EMBEDDING, LAST_NORM)
NORM = norms(("input_layernorm", "attn_norm"))

ARCHITECTURE = decoder(
    "command-r",
    HFClass("CohereForCausalLM", "cohere", {"use_qk_norm": False}),
    # The config may say less than what the model was trained on.
    sizes={"context_length": CONTEXT.named("model_max_length", "max_position_embeddings")},
    rope=Rope(kinds=()),
    eps=LAYER_EPS,
    own=(LOGIT_SCALE, NO_SCALING_TYPE),
    flags=(FromTensorPresence("use_qk_norm", "blk.0.attn_q_norm.weight"),),
    output=ENDS,
    pre_norms=NORM,
    qk_norms=limit_to(flag("use_qk_norm"), QK_NORMS),
    drops=(TIED_OUTPUT,),
)
