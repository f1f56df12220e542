"""DeepSeek V2 and V3: latent attention, which llama.cpp computes as one key head, and experts with groups."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real, shortest
from ..decoder import decoder
from ..keys import VOCABULARY_SIZE, DerivedKey, Entry, Key, experts_keys
from ..latent_attention import LATENT_ATTENTION, SPLIT_KEYS_AND_VALUES, KeyParts
from ..mistral_yarn import LOG_MULTIPLIER, Cooling
from ..routing import GATING, Gating, dense_then_routed, is_mixed
from ..table import HFClass

_V2, _V3 = "DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"
_SIGMOID = {"scoring_func": "sigmoid"}


class LogMultiplier:
    """``mscale_all_dim`` of YaRN, a tenth of it."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        scaling = config.find("rope_parameters", "rope_scaling")
        if isinstance(scaling, Mapping) and scaling.get("mscale_all_dim") is not None:
            value = real(0.1 * scaling["mscale_all_dim"], "rope_scaling.mscale_all_dim")
            yield LOG_MULTIPLIER, ValueType.FLOAT32, value

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        value = facts.number(LOG_MULTIPLIER)
        scaling = config.get("rope_scaling")
        if value is not None and isinstance(scaling, dict):
            scale = shortest(value * 10)
            config["rope_scaling"] = scaling | {"mscale": scale, "mscale_all_dim": scale}


def _has_shared(config: HFConfig, layer: int) -> bool:
    return is_mixed(config, layer) and bool(config.find("n_shared_experts"))


def _is_v3(config: HFConfig, layer: int) -> bool:
    return is_mixed(config, layer) and config.find("scoring_func") == "sigmoid"


def _key_length(config: HFConfig) -> int:
    return config.integer("kv_lora_rank") + config.integer("qk_rope_head_dim")


ONE_KEY_HEAD = DerivedKey(
    "attention.head_count_kv",
    ValueType.UINT32,
    lambda config: 1,
    lambda facts, config: {"num_key_value_heads": config["num_attention_heads"]},
)
NORMED = DerivedKey(
    "expert_weights_norm",
    ValueType.BOOL,
    lambda config: config.flag("norm_topk_prob") or None,
    lambda facts, config: {"norm_topk_prob": facts.find("expert_weights_norm") is True},
)
QUERY_RANK = DerivedKey(
    "attention.q_lora_rank",
    ValueType.UINT32,
    lambda config: None if config.find("q_lora_rank") is None else config.integer("q_lora_rank"),
    lambda facts, config: {"q_lora_rank": facts.integer("attention.q_lora_rank")},
)
LATENT_KEYS = (
    QUERY_RANK,
    Key("attention.kv_lora_rank", "kv_lora_rank"),
    KeyParts("attention.key_length_mla", rotated=False),
    Key("attention.value_length_mla", "v_head_dim"),
)

ARCHITECTURE = decoder(
    "deepseek2",
    HFClass(_V3, "deepseek_v3", _SIGMOID),
    HFClass("KimiVLForConditionalGeneration", "kimi_vl", _SIGMOID, like=_V3),
    HFClass("KimiK25ForConditionalGeneration", "kimi_k25", _SIGMOID, like=_V3),
    HFClass(_V2, "deepseek_v2"),
    choose=lambda facts: _V3 if facts.integer("expert_gating_func") == GATING["sigmoid"] else _V2,
    sizes={"attention.head_count_kv": ONE_KEY_HEAD},
    expert_keys=(
        *experts_keys("n_routed_experts"),
        Key("expert_group_count", "n_group", optional=True),
        Key("expert_group_used_count", "topk_group", optional=True),
        Gating(),
        DerivedKey("attention.key_length", ValueType.UINT32, _key_length),
        DerivedKey("attention.value_length", ValueType.UINT32, lambda config: config.integer("kv_lora_rank")),
    ),
    head_dim=None,
    own=(
        Key("leading_dense_block_count", "first_k_dense_replace"),
        VOCABULARY_SIZE,
        *LATENT_KEYS,
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32, optional=True),
        NORMED,
        DerivedKey(
            "rope.dimension_count", ValueType.UINT32, lambda config: config.integer("qk_rope_head_dim")
        ),
        LogMultiplier(),
        Cooling(),
    ),
    bias=None,
    assumed={"attention_bias": False},
    attn=(*LATENT_ATTENTION, SPLIT_KEYS_AND_VALUES),
    ffn=dense_then_routed(biased=_is_v3, shared=_has_shared),
    drop_mtp_layers=True,
)
