"""Mistral's own format, ``params.json`` and ``consolidated*.safetensors``, as what transformers would have.

Names and settings are others, and the rows of queries and keys stand as ggml wants them already: they are put
into transformers' order, from which the table of the family takes them back. Which family that is, the
settings tell:

    moe and kv_lora_rank   DeepSeek V2: latent attention, whose rows stand as in transformers
    moe                    Mixtral
    llama_4_scaling        Ministral 3: attention cools with length
    none of these          Mistral

Names from the ``gguf`` package's tensor map; settings and the default context from vLLM's reading of
``params.json``, which llama.cpp's converter refers to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import ArchitectureError, UnsupportedError
from ..source import Source
from .config import HFConfig
from .transforms import PermuteHeads

__all__ = ["MISTRAL_TOKENIZERS", "mistral_config", "mistral_notes", "mistral_tensors"]

_PARAMS: Final = "params.json"

_SIZES: Final = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "hidden_dim": "intermediate_size",
    "n_heads": "num_attention_heads",
    "norm_eps": "rms_norm_eps",
    "vocab_size": "vocab_size",
}
_OPTIONAL: Final = {
    "head_dim": "head_dim",
    "n_kv_heads": "num_key_value_heads",
    "rope_theta": "rope_theta",
    "sliding_window": "sliding_window",
    "tied_embeddings": "tie_word_embeddings",
    "activation": "hidden_act",
}
_LATENT: Final = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
_ROUTED: Final = {
    "num_experts": "n_routed_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "expert_hidden_dim": "moe_intermediate_size",
}
_ROUTED_OPTIONAL: Final = {
    "routed_scale": "routed_scaling_factor",
    "num_expert_groups": "n_group",
    "num_expert_groups_per_tok": "topk_group",
}
_YARN: Final = {
    "factor": "factor",
    "original_max_position_embeddings": "original_max_position_embeddings",
    "beta": "beta_fast",
    "alpha": "beta_slow",
}
_TEMPERATURE: Final = {
    "beta": "llama_4_scaling_beta",
    "original_max_position_embeddings": "original_max_position_embeddings",
}

MISTRAL_TOKENIZERS: Final = ("tekken", "spm", "llama-hf", "bpe")
"""Kinds of tokenizers to look for, whatever the family."""

_CONTEXT: Final = 128_000

_NAMES: Final = (
    (r"tok_embeddings\.", "model.embed_tokens."),
    (r"norm\.", "model.norm."),
    (r"output\.", "lm_head."),
    (r"layers\.(\d+)\.attention\.w([qkvo])\.", r"model.layers.\1.self_attn.\2_proj."),
    (r"layers\.(\d+)\.attention_norm\.", r"model.layers.\1.input_layernorm."),
    (r"layers\.(\d+)\.ffn_norm\.", r"model.layers.\1.post_attention_layernorm."),
    (r"layers\.(\d+)\.feed_forward\.w1\.", r"model.layers.\1.mlp.gate_proj."),
    (r"layers\.(\d+)\.feed_forward\.w2\.", r"model.layers.\1.mlp.down_proj."),
    (r"layers\.(\d+)\.feed_forward\.w3\.", r"model.layers.\1.mlp.up_proj."),
    (r"layers\.(\d+)\.feed_forward\.gate\.", r"model.layers.\1.block_sparse_moe.gate."),
    (r"layers\.(\d+)\.feed_forward\.experts\.", r"model.layers.\1.block_sparse_moe.experts."),
    (r"layers\.(\d+)\.attention\.w(q|kv)_([ab])(_with_mqa)?\.", r"model.layers.\1.self_attn.\2_\3_proj\4."),
    (r"layers\.(\d+)\.attention\.(q|kv)_a_norm\.", r"model.layers.\1.self_attn.\2_a_layernorm."),
    (r"layers\.(\d+)\.gate\.", r"model.layers.\1.mlp.gate."),
    (r"layers\.(\d+)\.(experts\.\d+|shared_experts)\.w1\.", r"model.layers.\1.mlp.\2.gate_proj."),
    (r"layers\.(\d+)\.(experts\.\d+|shared_experts)\.w2\.", r"model.layers.\1.mlp.\2.down_proj."),
    (r"layers\.(\d+)\.(experts\.\d+|shared_experts)\.w3\.", r"model.layers.\1.mlp.\2.up_proj."),
)

_TURNED: Final = {
    ".q_proj.": PermuteHeads("num_attention_heads"),
    ".k_proj.": PermuteHeads("num_key_value_heads"),
}


def mistral_config(params: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of a model whose params.json is given.

    Raises:
        ArchitectureError: a setting is missing.
        UnsupportedError: settings are together in a way that no family here has, or the weights are packed in
            an unknown way.
    """
    config: dict[str, Any] = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_act": "silu",
        "max_position_embeddings": _context(params) or _CONTEXT,
        "num_key_value_heads": params["n_heads"],
        "sliding_window": None,
    }
    config |= _renamed(params, _SIZES, "sizes are missing")
    config |= {name: params[key] for key, name in _OPTIONAL.items() if params.get(key) is not None}
    scaling = _scaling(params)
    if scaling is not None:
        config["rope_scaling"] = scaling
    if isinstance(seeing := params.get("vision_encoder"), Mapping):
        config["vision_config"] = dict(seeing)
    return config | _family(params) | _packing(params)


def _renamed(
    given: Mapping[str, Any], names: Mapping[str, str], message: str, section: str = ""
) -> dict[str, Any]:
    """Settings of ``params.json``, or of an object in it, under transformers' names; all must be there."""
    if missing := [section + key for key in names if given.get(key) is None]:
        raise ArchitectureError(message, path=_PARAMS, key=", ".join(missing))
    return {name: given[key] for key, name in names.items()}


def _scaling(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """``rope_scaling``; vLLM's ``apply_yarn_scaling`` in it marks that it comes from here."""
    yarn, cooling = params.get("yarn"), params.get("llama_4_scaling")
    if not isinstance(yarn, Mapping):
        if cooling is None and yarn is None:
            return None
        raise ArchitectureError(
            "not an object" if yarn is not None else "missing, and llama_4_scaling takes it",
            path=_PARAMS,
            key="yarn",
            found=yarn,
        )
    made = _renamed(yarn, _YARN, "settings are missing", "yarn.")
    scaled = bool(yarn.get("apply_scale"))
    made |= {"rope_type": "yarn", "apply_yarn_scaling": scaled, "mscale_all_dim": 0.0 if scaled else 1.0}
    if isinstance(cooling, Mapping):
        given = _renamed(cooling, _TEMPERATURE, "settings are missing", "llama_4_scaling.")
        original = "original_max_position_embeddings"
        if given[original] != made[original]:
            raise UnsupportedError(
                "attention that cools from another length on than RoPE is scaled from",
                path=_PARAMS,
                key=f"llama_4_scaling.{original}",
                found=given[original],
                expected=made[original],
            )
        made |= given
    return made


def _family(params: Mapping[str, Any]) -> dict[str, Any]:
    """What of the config depends on the family."""
    moe, cooling = params.get("moe"), params.get("llama_4_scaling")
    latent = params.get("kv_lora_rank") is not None or params.get("q_lora_rank") is not None
    if latent and isinstance(moe, Mapping):
        return _routed(params, moe)
    if latent or (isinstance(moe, Mapping) and cooling is not None):
        raise UnsupportedError(
            "latent attention without experts" if latent else "experts and attention that cools with length",
            path=_PARAMS,
            key="kv_lora_rank" if latent else "moe, llama_4_scaling",
        )
    if isinstance(moe, Mapping):
        return {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "num_local_experts": moe.get("num_experts"),
            "num_experts_per_tok": moe.get("num_experts_per_tok"),
        }
    if cooling is not None:
        return {"architectures": ["Ministral3ForCausalLM"], "model_type": "ministral3"}
    return {}


def _routed(params: Mapping[str, Any], moe: Mapping[str, Any]) -> dict[str, Any]:
    """Latent attention and experts: a DeepSeek V2 whose router works with softmax, normed."""
    if moe.get("route_every_n", 1) != 1:
        raise UnsupportedError(
            "experts in some layers only, after the first dense ones",
            path=_PARAMS,
            key="moe.route_every_n",
            found=moe["route_every_n"],
            expected=1,
        )
    made = _renamed(params, dict(zip(_LATENT, _LATENT, strict=True)), "sizes are missing")
    made |= _renamed(moe, _ROUTED, "settings are missing", "moe.")
    scaling = _scaling(params)
    if scaling is None:
        raise UnsupportedError("latent attention without YaRN", path=_PARAMS, key="yarn")
    return made | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "q_lora_rank": params.get("q_lora_rank"),
        "first_k_dense_replace": moe.get("first_k_dense_replace", 0),
        "n_shared_experts": moe.get("num_shared_experts", 0),
        **{name: moe.get(key) for key, name in _ROUTED_OPTIONAL.items()},
        "norm_topk_prob": True,
        "scoring_func": "softmax",
        # both parts of what latent attention is scaled by, whatever apply_scale says
        "rope_scaling": scaling | {"mscale_all_dim": 1.0},
    }


def _context(params: Mapping[str, Any]) -> Any:
    return params.get("max_position_embeddings") or params.get("max_seq_len")


def mistral_notes(params: Mapping[str, Any]) -> list[str]:
    """What had to be assumed of a model whose params.json is given."""
    if _context(params):
        return []
    return [f"{_PARAMS} does not say the context length (max_position_embeddings): {_CONTEXT:,} is assumed"]


def _packing(params: Mapping[str, Any]) -> dict[str, Any]:
    quantization = params.get("quantization")
    if quantization is None:
        return {}
    weights = quantization.get("qformat_weight") if isinstance(quantization, Mapping) else quantization
    if weights != "fp8_e4m3":
        raise UnsupportedError(
            "unsupported packing of the weights",
            path=_PARAMS,
            key="quantization.qformat_weight",
            found=weights,
            expected="fp8_e4m3",
        )
    return {"quantization_config": {"quant_method": "fp8"}}


def mistral_tensors(config: Mapping[str, Any], tensors: Mapping[str, Source]) -> dict[str, Source]:
    """Tensors under transformers' names and in its order of rows, in the order they are given in.

    A name that is not known stays, and the family's table will say so.

    Raises:
        ArchitectureError: rows cannot be divided into heads.
    """
    facts = HFConfig(dict(config))
    turned = {} if "kv_lora_rank" in config else _TURNED
    found: dict[str, Source] = {}
    for given, source in tensors.items():
        name = given
        for pattern, replacement in _NAMES:
            if re.match(pattern, given):
                name = re.sub(pattern, replacement, given, count=1)
                break
        for part, permutation in turned.items():
            if part in name and name != given:
                (source,) = permutation.inverse([source], facts)
        found[name] = source
    return found
