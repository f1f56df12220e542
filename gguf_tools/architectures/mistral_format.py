"""Mistral's own format, ``params.json`` and ``consolidated*.safetensors``, as what transformers would have.

Names and settings are others, and the rows of queries and keys stand as ggml wants them already: they are put
into transformers' order, from which the table of the family takes them back.

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

__all__ = ["mistral_config", "mistral_notes", "mistral_tensors"]

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
}
_UNSUPPORTED: Final = ("llama_4_scaling", "q_lora_rank", "vision_encoder", "yarn")
"""Settings of other families, or without a counterpart in that of Llama."""

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
)

_TURNED: Final = {
    ".q_proj.": PermuteHeads("num_attention_heads"),
    ".k_proj.": PermuteHeads("num_key_value_heads"),
}


def mistral_config(params: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of a model whose params.json is given.

    Raises:
        ArchitectureError: a size is missing.
        UnsupportedError: the model has parts that the Llama family has not, or is packed in an unknown way.
    """
    if found := [key for key in _UNSUPPORTED if params.get(key) is not None]:
        raise UnsupportedError(
            "a model in Mistral's format with parts that are not supported; its Hugging Face form may be",
            path=_PARAMS,
            key=", ".join(found),
        )
    missing = [key for key in _SIZES if params.get(key) is None]
    if missing:
        raise ArchitectureError("sizes are missing", path=_PARAMS, key=", ".join(missing))
    config: dict[str, Any] = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_act": "silu",
        "max_position_embeddings": _context(params) or _CONTEXT,
        "num_key_value_heads": params["n_heads"],
        "sliding_window": None,
    }
    config |= {name: params[key] for key, name in _SIZES.items()}
    config |= {name: params[key] for key, name in _OPTIONAL.items() if params.get(key) is not None}
    moe = params.get("moe")
    if isinstance(moe, Mapping):
        config |= {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "num_local_experts": moe.get("num_experts"),
            "num_experts_per_tok": moe.get("num_experts_per_tok"),
        }
    return config | _packing(params)


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
    found: dict[str, Source] = {}
    for given, source in tensors.items():
        name = given
        for pattern, replacement in _NAMES:
            if re.match(pattern, given):
                name = re.sub(pattern, replacement, given, count=1)
                break
        for part, permutation in _TURNED.items():
            if part in name and name != given:
                (source,) = permutation.inverse([source], facts)
        found[name] = source
    return found
