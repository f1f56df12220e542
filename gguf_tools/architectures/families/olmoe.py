"""OLMoE: routed experts in every layer, norms of query and key."""

from ...spec import ValueType
from ..config import rounded
from ..decoder import QK_NORMS, decoder, routed
from ..keys import DerivedKey, experts_keys
from ..table import HFClass

_EPS = 1e-5  # what the runtime acts on, whatever the config says

ARCHITECTURE = decoder(
    "olmoe",
    HFClass("OlmoeForCausalLM", "olmoe"),
    eps=DerivedKey("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, lambda config: rounded(_EPS)),
    expert_keys=experts_keys("num_experts"),
    bias=None,
    assumed={"attention_bias": False, "rms_norm_eps": _EPS, "norm_topk_prob": False, "clip_qkv": None},
    qk_norms=QK_NORMS,
    ffn=routed("num_experts"),
)
