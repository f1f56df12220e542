"""Models as recipes see them, with their architecture's exceptions, and what the quantizer is asked for."""

from __future__ import annotations

from typing import Any

from gguf_tools import architectures
from gguf_tools.recipes import ModelSizes, Overrides, combine


def model_of(
    architecture: str, layers: int, heads: int = 0, kv_heads: int = 0, experts: int = 0
) -> ModelSizes:
    """The facts of a model of a known architecture, or of one without a family here."""
    return ModelSizes(
        architecture, layers, heads, kv_heads, experts, architectures.recipe_traits(architecture)
    )


Shapes = dict[str, tuple[int, ...]]


def dense(layers: int, *, tied: bool = False, row: int = 256, rows: int = 2) -> Shapes:
    """A llama-like model; rows are as short as the block formats allow, since only types matter."""
    shapes: Shapes = {"token_embd.weight": (4, row), "output_norm.weight": (row,), "rope_freqs.weight": (32,)}
    if not tied:
        shapes["output.weight"] = (4, row)
    for i in range(layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            shapes[f"blk.{i}.{part}.weight"] = (rows, row)
        shapes[f"blk.{i}.attn_norm.weight"] = (row,)
        shapes[f"blk.{i}.attn_q.bias"] = (rows,)
    return shapes


def experts(layers: int, count: int, *, dense_layers: int = 0) -> Shapes:
    """Mixtral-like: stacked experts; the first ``dense_layers`` have none, and all others a shared one."""
    shapes: Shapes = {"token_embd.weight": (4, 256), "output.weight": (4, 256), "output_norm.weight": (256,)}
    for i in range(layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{i}.{part}.weight"] = (2, 256)
        for part in ("ffn_gate", "ffn_up", "ffn_down"):
            if i < dense_layers:
                shapes[f"blk.{i}.{part}.weight"] = (2, 256)
            else:
                shapes[f"blk.{i}.{part}_exps.weight"] = (count, 2, 256)
                shapes[f"blk.{i}.{part}_shexp.weight"] = (2, 256)
        shapes[f"blk.{i}.ffn_gate_inp.weight"] = (count, 256)
        shapes[f"blk.{i}.ffn_gate_inp_shexp.weight"] = (3, 256)
    return shapes


def fused(layers: int, *, falcon: bool = True) -> Shapes:
    """Falcon-like: one matrix for query, key and value."""
    shapes: Shapes = {"token_embd.weight": (4, 256), "output.weight": (4, 256), "output_norm.bias": (256,)}
    for i in range(layers):
        for part in ("attn_qkv", "attn_output", "ffn_up", "ffn_down"):
            shapes[f"blk.{i}.{part}.weight"] = (2, 256)
    return shapes if falcon else {**shapes, "blk.0.attn_kv_b.weight": (2, 256)}


def bert(layers: int) -> Shapes:
    shapes = dense(layers, tied=True, row=384)
    shapes |= {
        "position_embd.weight": (8, 384),
        "token_types.weight": (2, 384),
        "token_embd_norm.weight": (384,),
        "cls.weight": (2, 384),
        "cls.output.weight": (1, 384),  # one row: a vector to ggml
    }
    return shapes


def uneven() -> Shapes:
    """Rows of many lengths, no length where even the fallback does not divide the row."""
    shapes = dense(9)
    for i in range(9):
        shapes[f"blk.{i}.attn_v.weight"] = (2, 256 if i % 2 else 288)
        shapes[f"blk.{i}.ffn_down.weight"] = (2, 32 * (i + 1))
        shapes[f"blk.{i}.attn_q.weight"] = (2, 96)
    shapes["output.weight"] = (4, 288)
    return shapes


ODD: Shapes = {
    "token_embd.weight": (4, 256),
    "per_layer_token_embd.weight": (4, 256),
    "per_layer_model_proj.weight": (4, 256),
    "output.weight": (4, 256),
    "output.weight_scale": (4, 256),
    "my_output.weight": (4, 256),
    "blob5": (4, 256),  # five bytes: a weight to llama.cpp
    "blob66": (4, 256),
    "a_norm.weight": (4, 256),
    "weight": (4, 256),
    "altup_proj.weight": (4, 256),
    "blk.0.laurel_l.weight": (4, 256),
    "blk.0.altup_router.weight": (4, 256),
    "blk.0.ssm_conv1d.weight": (4, 256),
    "blk.0.shortconv.conv.weight": (4, 256),
    "blk.0.attn_rel_b.weight": (4, 256),
    "blk.1.attn_v.weight": (2, 3, 256),
    "blk.10.attn_v.weight": (4, 256),
    "blk.2.attn_v.weight": (4, 256),
    "blk.2x.attn_v.weight": (4, 256),
    "blk.x.attn_v.weight": (4, 256),
    "enc.blk.3.attn_v.weight": (4, 256),
    "dec.blk.0.cross_attn_v.weight": (4, 256),
    "blk.3.attn_v.weight.lora_a": (4, 256),
    "blk.3.attn_kv_b.weight": (4, 256),
    "blk.4.attn_qkv.weight": (4, 256),
    "blk.4.ffn_down.weight.weight": (4, 256),
    "blk.4.ffn_downweight": (4, 256),
    "blk.5.ffn_down.weight": (1, 256),
    "blk.6.ffn_down.weight": (1, 1, 256),
    "blk.7.ffn_down.weight": (3, 1, 256),
    **{
        f"blk.{i}.time_mix_{part}.weight": (4, 256)
        for i, part in enumerate(("w0", "w1", "first", "decay_w1", "g2"))
    },
    "blk.0.time_mix_key.weight": (4, 256),
    "blk.0.time_mix_lerp_fused.weight": (5, 1, 1, 256),
}


MODELS: dict[str, tuple[ModelSizes, Shapes]] = {
    "two layers, tied": (model_of("llama", 2, 4, 4), dense(2, tied=True)),
    **{f"llama of {n}": (model_of("llama", n, 8, 2), dense(n)) for n in (1, 7, 16, 22, 40)},
    "llama 70B": (model_of("llama", 80, 64, 8), dense(80)),
    "llama 65B, all heads": (model_of("llama", 80, 64, 64), dense(80)),
    "qwen2 72B": (model_of("qwen2", 80, 64, 64), dense(80, tied=True)),
    "qwen3": (model_of("qwen3", 28, 16, 8), dense(28, tied=True)),
    "gemma3": (model_of("gemma3", 18, 4, 1), dense(18, tied=True, row=640)),
    "8 experts": (model_of("llama", 32, 32, 8, experts=8), experts(32, 8)),
    "4 experts": (model_of("llama", 12, 32, 8, experts=4), experts(12, 4, dense_layers=3)),
    "falcon": (model_of("falcon", 32, 71, 1), fused(32)),
    "falcon with 8 experts": (model_of("falcon", 16, 8, 8, experts=8), {**fused(16), **experts(16, 8)}),
    "starcoder2 with kv_b": (model_of("llama", 17, 8, 8), fused(17, falcon=False)),
    "bert": (model_of("bert", 6, 12, 12), bert(6)),
    "uneven rows": (model_of("llama", 9, 8, 8), uneven()),
    "uneven rows, tied falcon": (
        model_of("falcon", 9, 8, 8),
        {name: shape for name, shape in uneven().items() if name != "output.weight"},
    ),
    "odd names": (model_of("llama", 12, 8, 8), ODD),
}

IN_PROCESS = (
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L",
    "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_XS", "MXFP4_MOE",
)  # fmt: skip
"""Recipes the packaged quantizer knows and is quick with. What is recorded covers all."""


def asked(words: str) -> Overrides:
    """The overrides of ``llama-quantize``'s options."""
    parts = words.split()
    values: dict[str, Any] = {"tensor_types": []}
    while parts:
        option = parts.pop(0)
        if option == "--pure":
            values["pure"] = True
        elif option == "--tensor-type":
            values["tensor_types"].append(parts.pop(0))
        else:
            values[{"--output-tensor-type": "output", "--token-embedding-type": "embedding"}[option]] = (
                parts.pop(0)
            )
    return combine(Overrides(), **values)
