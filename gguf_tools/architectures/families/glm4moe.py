"""GLM 4.5 to 4.7: experts routed by sigmoid beside a shared one, and a block that predicts one token more."""

from ...spec import ValueType
from ..decoder import QK_NORMS, attention, decoder, flag, norms, optional
from ..keys import EXPERT_GROUPS, EXPERT_SCALE_AND_NORM, DerivedKey, FromTensorPresence, Key, experts_keys
from ..mrope import Axes
from ..mtp import NEXT_TENSORS, Blocks, Predicting
from ..rope import PartialRotary
from ..routing import GATING, dense_then_routed
from ..table import HFClass
from ..tensors import limit_to
from ..traits import GraphTraits, VocabularyTraits

_FURTHER = "num_nextn_predict_layers"
_ROLES = {"bos": "[gMASK]", "eot": "<|user|>", "unk": "<|endoftext|>", "eom": "<|observation|>"}

ARCHITECTURE = decoder(
    "glm4moe",
    HFClass("Glm4MoeForCausalLM", "glm4_moe"),
    HFClass("Glm4vMoeForConditionalGeneration", "glm4v_moe", {"attention_bias": True}),
    defaults={"max_position_embeddings": 131072, "use_qk_norm": False},
    sizes={"block_count": Blocks(_FURTHER)},
    rope=Axes(),
    expert_keys=(*experts_keys("n_routed_experts"), *EXPERT_GROUPS),
    own=(
        PartialRotary(),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("leading_dense_block_count", "first_k_dense_replace", least=0),
        DerivedKey("expert_gating_func", ValueType.UINT32, lambda config: GATING["sigmoid"]),
        *EXPERT_SCALE_AND_NORM,
        Predicting(_FURTHER),
    ),
    flags=(FromTensorPresence("use_qk_norm", "blk.0.attn_q_norm.weight"),),
    pre_norms=norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
    attn=attention(bias=flag("attention_bias"), output_bias=optional),
    qk_norms=limit_to(flag("use_qk_norm"), QK_NORMS),
    ffn=dense_then_routed(),
    tensors=NEXT_TENSORS,
    vocabulary=VocabularyTraits(roles=_ROLES),
    graph=GraphTraits(network_norm_after=True, normed_weights=True),
)
