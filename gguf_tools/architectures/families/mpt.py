"""MPT: ALiBi, layer norms without biases, query, key and value in one matrix."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real, rounded, shortest
from ..decoder import SPARE_HEAD, decoder, modules, optional, renamed
from ..keys import CONTEXT, HEADS, LAYERS, WIDTH, DerivedKey, Entry, FourTimes
from ..table import HFClass
from ..traits import GraphTraits


class _AttentionConfig:
    """What MPT nests under ``attn_config``: clamping and ALiBi."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        given = config.find("attn_config")
        nested = given if isinstance(given, Mapping) else {}
        if nested.get("clip_qkv") is not None:
            yield "attention.clamp_kqv", ValueType.FLOAT32, real(nested["clip_qkv"], "attn_config.clip_qkv")
        bias = real(nested.get("alibi_bias_max", 8), "attn_config.alibi_bias_max")
        yield "attention.max_alibi_bias", ValueType.FLOAT32, bias if nested.get("alibi", True) else 0.0

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        bias = facts.number("attention.max_alibi_bias") or 0.0
        clip = facts.number("attention.clamp_kqv")
        config["attn_config"] = {
            "alibi": bias > 0,
            "alibi_bias_max": int(bias) or 8,
            "clip_qkv": None if clip is None else shortest(clip),
            "qk_ln": facts.has("blk.0.attn_q_norm.weight"),
        }


ARCHITECTURE = decoder(
    "mpt",
    HFClass("MPTForCausalLM", "mpt"),
    HFClass("MptForCausalLM", "mpt"),
    keys=(
        CONTEXT.named("max_seq_len"),
        WIDTH.named("d_model"),
        LAYERS.named("n_layers"),
        FourTimes("n_inner", "d_model"),
        HEADS.named("n_heads"),
        DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(1e-5)),
        _AttentionConfig(),
    ),
    bias=None,
    activation={},
    assumed={"expansion_ratio": 4, "no_bias": True},
    output=(
        *renamed(("transformer.wte", "token_embd")),
        *renamed(("transformer.norm_f", "output_norm"), bias=optional),
        SPARE_HEAD,
    ),
    blocks=modules(
        ("norm_1", "attn_norm"),
        ("attn.Wqkv", "attn_qkv"),
        ("attn.out_proj", "attn_output"),
        ("norm_2", "ffn_norm"),
        ("ffn.up_proj", "ffn_up"),
        ("ffn.down_proj", "ffn_down"),
        bias=optional,
        block="transformer.blocks.{i}",
    ),
    prefix="transformer.",
    graph=GraphTraits(rotary=False),
)
