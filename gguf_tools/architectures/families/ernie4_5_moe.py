"""ERNIE 4.5 with experts in all but the first layers."""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, FFN, decoder, norms, routed
from ..keys import DerivedKey, Key
from ..table import HFClass
from ..tensors import Drop, Rule, limit_to
from ..traits import GraphTraits, SpacePrefix, VocabularyTraits
from ..transforms import Reshape


def _is_mixed(config: HFConfig, layer: int) -> bool:
    first, step = config.integer("moe_layer_start_index", least=0), config.integer("moe_layer_interval")
    return layer >= first and (layer + 1) % step == 0


def _is_dense(config: HFConfig, layer: int) -> bool:
    return not _is_mixed(config, layer)


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
        Key("expert_count", "moe_num_experts"),
        Key("expert_used_count", "moe_k"),
        Key("interleave_moe_layer_step", "moe_layer_interval"),
        Key("leading_dense_block_count", "moe_layer_start_index"),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "moe_num_shared_experts"),
        DerivedKey("expert_shared_feed_forward_length", ValueType.UINT32, _shared_size),
    ),
    bias="use_bias",
    ffn=(*limit_to(_is_dense, FFN), *routed("moe_num_experts", when=_is_mixed)),
    tensors=limit_to(
        _is_mixed,
        (
            *norms(
                ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
                ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
                ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
            ),
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
