"""Phi 3.5 with experts: layer norms, a bias of the output matrix."""

from ..decoder import EMBEDDING, HEAD, LAST_LAYER_NORM, PRE_LAYER_NORMS, decoder, flag, routed
from ..keys import FromTensorPresence, experts_keys
from ..table import HFClass
from ..tensors import Rule
from ..traits import GraphTraits
from . import phi3

ARCHITECTURE = decoder(
    "phimoe",
    HFClass("PhiMoEForCausalLM", "phimoe"),
    defaults={"original_max_position_embeddings": 4096, "partial_rotary_factor": 1.0},
    tokenizers=("spm", "bpe"),
    leading_keys=(phi3.SCALE,),
    keys=phi3.KEYS,
    own=(phi3.ZeroMeansNone(), *reversed(experts_keys("num_local_experts"))),
    flags=(FromTensorPresence("lm_head_bias", "output.bias"),),
    computed=phi3.FACTORS,
    output=(
        *(EMBEDDING, *LAST_LAYER_NORM, HEAD),
        Rule(("lm_head.bias",), ("output.bias",), needed=flag("lm_head_bias")),
    ),
    pre_norms=PRE_LAYER_NORMS,
    ffn=routed(
        "num_local_experts",
        router="block_sparse_moe.gate",
        module="block_sparse_moe.experts",
        names=("w1", "w3", "w2"),
    ),
    graph=GraphTraits(normed_weights=True),
)
