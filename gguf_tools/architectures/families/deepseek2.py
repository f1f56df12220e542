"""DeepSeek V2 and V3: latent attention, which llama.cpp computes as one key head, and experts with groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ArchitectureError
from ...source import Source
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real, shortest
from ..decoder import BLOCK, OUTPUT, PRE_NORMS, TIED, norms
from ..keys import (
    CAUSAL,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    DerivedKey,
    Entry,
    FromTensorRows,
    Key,
    experts_keys,
)
from ..mistral_yarn import Cooling
from ..rope import Rope
from ..routing import GATING, Gating, dense_then_routed, is_mixed
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..transforms import Transform
from ..views import Gathered, Joined, Sliced, Transposed

_V2, _V3 = "DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"


class _Latent:
    """The sizes of latent attention: heads as they are computed, and as they are in the checkpoint."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        rank, rotated = config.integer("kv_lora_rank"), config.integer("qk_rope_head_dim")
        if config.find("q_lora_rank") is not None:
            yield "attention.q_lora_rank", ValueType.UINT32, config.integer("q_lora_rank")
        yield "attention.kv_lora_rank", ValueType.UINT32, rank
        key = config.integer("qk_nope_head_dim") + rotated
        yield "attention.key_length_mla", ValueType.UINT32, key
        yield "attention.value_length_mla", ValueType.UINT32, config.integer("v_head_dim")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rotated = facts.integer("rope.dimension_count") or 0
        config["q_lora_rank"] = facts.integer("attention.q_lora_rank")
        config["kv_lora_rank"] = facts.integer("attention.kv_lora_rank")
        config["qk_rope_head_dim"] = rotated
        config["qk_nope_head_dim"] = (facts.integer("attention.key_length_mla") or 0) - rotated
        config["v_head_dim"] = facts.integer("attention.value_length_mla")
        config["num_key_value_heads"] = config["num_attention_heads"]


def _key_length(config: HFConfig) -> int:
    return config.integer("kv_lora_rank") + config.integer("qk_rope_head_dim")


class _LogMultiplier:
    """``mscale_all_dim`` of YaRN, a tenth of it."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        scaling = config.find("rope_parameters", "rope_scaling")
        if isinstance(scaling, Mapping) and scaling.get("mscale_all_dim") is not None:
            value = real(0.1 * scaling["mscale_all_dim"], "rope_scaling.mscale_all_dim")
            yield "rope.scaling.yarn_log_multiplier", ValueType.FLOAT32, value

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        value = facts.number("rope.scaling.yarn_log_multiplier")
        scaling = config.get("rope_scaling")
        if value is not None and isinstance(scaling, dict):
            scale = shortest(value * 10)
            config["rope_scaling"] = scaling | {"mscale": scale, "mscale_all_dim": scale}


@dataclass(frozen=True)
class SplitLatent(Transform):
    """``kv_b_proj`` ↔ its key part, transposed for each head, and its value part.

    Rows of (heads, nope + v) become (heads, rank, nope) and (heads, v, rank).
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        heads, key, value = self._sizes(config)
        if len(source.shape) != 2 or source.shape[0] != heads * (key + value):
            raise ArchitectureError(
                "the latent projection has the wrong number of rows",
                found=source.shape,
                expected=heads * (key + value),
            )
        rank = source.shape[1]
        keys = Gathered(source, lambda row: row + row // key * value, (heads, key, rank))
        values = Gathered(source, lambda row: row + (row // value + 1) * key, (heads, value, rank))
        return [Transposed(keys), values]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        heads, key, value = self._sizes(config)
        keys, values = Transposed(sources[0]), sources[1]
        rank = values.shape[-1]
        if keys.shape != (heads, key, rank) or values.shape != (heads, value, rank):
            raise ArchitectureError(
                "the parts of the latent projection do not fit",
                found=[sources[0].shape, values.shape],
                expected=[(heads, rank, key), (heads, value, rank)],
            )
        parts = [
            Sliced(part, head * rows, (rows, rank))
            for head in range(heads)
            for part, rows in ((keys, key), (values, value))
        ]
        return [Joined(parts, (heads * (key + value), rank))]

    @staticmethod
    def _sizes(config: HFConfig) -> tuple[int, int, int]:
        heads = config.integer("num_attention_heads")
        return heads, config.integer("qk_nope_head_dim"), config.integer("v_head_dim")


def _has_shared(config: HFConfig, layer: int) -> bool:
    return is_mixed(config, layer) and bool(config.find("n_shared_experts"))


def _is_v3(config: HFConfig, layer: int) -> bool:
    return is_mixed(config, layer) and config.find("scoring_func") == "sigmoid"


def _low_rank(config: HFConfig, layer: int) -> bool:
    return config.find("q_lora_rank") is not None


def _full_rank(config: HFConfig, layer: int) -> bool:
    return config.find("q_lora_rank") is None


_DEFAULTS = {
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "v_head_dim": 128,
}
_V3_DEFAULTS = _DEFAULTS | {
    "first_k_dense_replace": 3,
    "max_position_embeddings": 4096,
    "moe_intermediate_size": 2048,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_experts_per_tok": 8,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_group": 4,
}
_OWN = (
    Key("leading_dense_block_count", "first_k_dense_replace"),
    Key("vocab_size", "vocab_size"),
    _Latent(),
    Key("expert_feed_forward_length", "moe_intermediate_size"),
    Key("expert_shared_count", "n_shared_experts"),
    Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32, optional=True),
    DerivedKey("expert_weights_norm", ValueType.BOOL, lambda config: config.flag("norm_topk_prob") or None),
    DerivedKey("rope.dimension_count", ValueType.UINT32, lambda config: config.integer("qk_rope_head_dim")),
    _LogMultiplier(),
    Cooling(),
)


class _Normed:
    """``norm_topk_prob``, which is written where it is set."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["norm_topk_prob"] = facts.find("expert_weights_norm") is True


ARCHITECTURE = Architecture(
    name="deepseek2",
    classes=(
        HFClass(_V3, "deepseek_v3", _V3_DEFAULTS),
        HFClass("KimiVLForConditionalGeneration", "kimi_vl", _V3_DEFAULTS),
        HFClass("KimiK25ForConditionalGeneration", "kimi_k25", _V3_DEFAULTS),
        HFClass(
            _V2,
            "deepseek_v2",
            _DEFAULTS
            | {
                "first_k_dense_replace": 0,
                "max_position_embeddings": 2048,
                "moe_intermediate_size": 1407,
                "n_routed_experts": 64,
                "n_shared_experts": 2,
                "norm_topk_prob": False,
                "routed_scaling_factor": 1.0,
            },
        ),
    ),
    choose=lambda facts: _V3 if facts.integer("expert_gating_func") == GATING["sigmoid"] else _V2,
    tokenizer_kinds=("bpe",),
    drop_mtp_layers=True,
    keys=(
        *SIZES,
        DerivedKey("attention.head_count_kv", ValueType.UINT32, lambda config: 1),
        CAUSAL,
        Rope(),
        RMS_EPS,
        *experts_keys("n_routed_experts"),
        Key("expert_group_count", "n_group", optional=True),
        Key("expert_group_used_count", "topk_group", optional=True),
        Gating(),
        DerivedKey("attention.key_length", ValueType.UINT32, _key_length),
        DerivedKey("attention.value_length", ValueType.UINT32, lambda config: config.integer("kv_lora_rank")),
    ),
    family_keys=(
        *_OWN,
        _Normed(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("attention_bias", (False,)),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *(
            Rule(rule.hf, rule.gguf, when=_low_rank)
            for rule in norms(
                ("self_attn.q_a_proj", "attn_q_a"),
                ("self_attn.q_a_layernorm", "attn_q_a_norm"),
                ("self_attn.q_b_proj", "attn_q_b"),
            )
        ),
        Rule((f"{BLOCK}.self_attn.q_proj.weight",), ("blk.{i}.attn_q.weight",), when=_full_rank),
        *norms(
            ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
            ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
            ("self_attn.o_proj", "attn_output"),
        ),
        Rule(
            (f"{BLOCK}.self_attn.kv_b_proj.weight",),
            ("blk.{i}.attn_k_b.weight", "blk.{i}.attn_v_b.weight"),
            SplitLatent(),
        ),
        *dense_then_routed(biased=_is_v3, shared=_has_shared),
    ),
)
