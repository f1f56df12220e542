"""OLMoE: routed experts in every layer, norms of query and key."""

from ...spec import ValueType
from ..config import rounded
from ..decoder import LLAMA_DEFAULTS, QK_NORMS, decoder, routed
from ..keys import DerivedKey, experts_keys
from ..table import HFClass

_EPS = 1e-5  # what the runtime acts on, whatever the config says

ARCHITECTURE = decoder(
    "olmoe",
    HFClass("OlmoeForCausalLM", "olmoe"),
    defaults={
        **LLAMA_DEFAULTS,
        "max_position_embeddings": 4096,
        "norm_topk_prob": False,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "rms_norm_eps": _EPS,
    },
    eps=DerivedKey("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, lambda config: rounded(_EPS)),
    expert_keys=experts_keys("num_experts"),
    bias=None,
    assumed={"attention_bias": False, "rms_norm_eps": _EPS, "norm_topk_prob": False, "clip_qkv": None},
    qk_norms=QK_NORMS,
    ffn=routed("num_experts"),
)
