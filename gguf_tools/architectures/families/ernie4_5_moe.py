"""ERNIE 4.5 with experts in all but the first layers."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, FFN, decoder, gated, routed
from ..keys import DerivedKey, Key, experts_keys
from ..table import HFClass
from ..tensors import Drop, Rule, limit_to, unless
from ..traits import GraphTraits, SpacePrefix, VocabularyTraits
from ..transforms import Reshape


def _is_mixed(config: HFConfig, layer: int) -> bool:
    first, step = config.integer("moe_layer_start_index", least=0), config.integer("moe_layer_interval")
    return layer >= first and (layer + 1) % step == 0


def _shared_size(config: HFConfig) -> int | None:
    """As llama.cpp's converter has it; the runtime takes the tensors' own."""
    if not config.integer("moe_num_shared_experts", least=0):
        return None
    return config.integer("intermediate_size") // config.integer("num_key_value_heads")


ARCHITECTURE = decoder(
    "ernie4_5-moe",
    HFClass("Ernie4_5_MoeForCausalLM", "ernie4_5_moe"),
    tokenizers=("spm", "llama-hf"),
    own=(
        *experts_keys("moe_num_experts", "moe_k"),
        Key("interleave_moe_layer_step", "moe_layer_interval"),
        Key("leading_dense_block_count", "moe_layer_start_index"),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "moe_num_shared_experts"),
        DerivedKey("expert_shared_feed_forward_length", ValueType.UINT32, _shared_size),
    ),
    bias="use_bias",
    ffn=(*limit_to(unless(_is_mixed), FFN), *routed("moe_num_experts", when=_is_mixed)),
    tensors=limit_to(
        _is_mixed,
        (
            *gated("mlp.shared_experts", "_shexp"),
            Rule(
                (f"{BLOCK}.mlp.moe_statics.e_score_correction_bias",),
                ("blk.{i}.exp_probs_b.bias",),
                Reshape(gguf=lambda shape: shape[-1:], hf=lambda shape: (1, *shape)),
            ),
        ),
    ),
    drops=(Drop(r"model\.mtp_.*", "predicts several tokens at once"),),
    vocabulary=VocabularyTraits(space_prefix=SpacePrefix.CONFIG),
    graph=GraphTraits(normed_weights=True),
)
