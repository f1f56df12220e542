"""Classes transformers does not have: llama.cpp computes of our files what transformers computes of the same
arithmetic under another name, a Llama with the weights taken apart for most of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from gguf_tools import architectures
from gguf_tools.architectures.traits import Memory
from tests import tiny
from tests.goldens.describe import describe
from tests.parity.reference import LARGEST_DIFFERENCE, MEDIAN_DIVERGENCE, TEXT, divergence, load_state, logits
from tests.references.llama import Llama

pytestmark = pytest.mark.parity

Json = dict[str, Any]
State = dict[str, NDArray[np.float32]]

WIDTH, HEAD, HEADS, KV_HEADS, LAYERS = 256, 64, 4, 2, 2
"""Of those whose config does not say, or which are taken apart here."""


def _sizes(config: Json, **changes: Any) -> Json:
    """What all transformers classes ask for."""
    width, heads = config.get("hidden_size", WIDTH), config.get("num_attention_heads", HEADS)
    return {
        "head_dim": width // heads,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": config.get("intermediate_size", WIDTH),
        "max_position_embeddings": 512,
        "num_attention_heads": heads,
        "num_hidden_layers": config.get("num_hidden_layers", LAYERS),
        "num_key_value_heads": config.get("num_key_value_heads", heads),
        "rms_norm_eps": 1e-5,
        "rope_theta": float(config.get("rope_theta", 10000.0)),
        "vocab_size": config["vocab_size"],
    } | changes


def _longrope(config: Json) -> Json | None:
    scaling = config.get("rope_scaling")
    return scaling and {**scaling, "factor": 1.0, "rope_type": "longrope"}


def _model(kind: str, settings: Json, state: State, per_layer: list[Json] | None = None) -> Any:
    """A float32 model of transformers with these weights; ``per_layer`` changes settings of single layers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **settings), attn_implementation="eager"
    )
    for layer, changes in enumerate(per_layer or []):
        config = AutoConfig.for_model(kind, **settings | changes)
        config._attn_implementation = "eager"
        model.model.layers[layer] = type(model.model.layers[layer])(config, layer)
    if "lm_head.weight" not in state:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    tensors = {name: torch.from_numpy(values.copy()) for name, values in state.items()}
    model.load_state_dict(tensors, strict=True)
    return model.float().eval()


def _renamed(state: State, *pairs: tuple[str, str]) -> State:
    made = {}
    for name, values in state.items():
        for old, new in pairs:
            name = name.replace(old, new)
        made[name] = values
    return made


def _llama(config: Json, state: State) -> Any:
    return _model("llama", _sizes(config), state)


def _exaone(config: Json, state: State) -> Any:
    pairs = (
        ("transformer.wte", "model.embed_tokens"),
        ("transformer.ln_f", "model.norm"),
        ("transformer.h.", "model.layers."),
        ("attn.attention.out_proj", "self_attn.o_proj"),
        ("attn.attention", "self_attn"),
        ("ln_1", "input_layernorm"),
        ("ln_2", "post_attention_layernorm"),
        ("c_fc_0", "gate_proj"),
        ("c_fc_1", "up_proj"),
        ("c_proj", "down_proj"),
    )
    return _model("llama", _sizes(config, rope_scaling=config["rope_scaling"]), _renamed(state, *pairs))


def _orion(config: Json, state: State) -> Any:
    settings = _sizes(config, layer_norm_eps=1e-5, partial_rotary_factor=1.0)
    return _model("stablelm", settings, state)


def _baichuan(config: Json, state: State) -> Any:
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}.self_attn."
        parts = np.split(state.pop(at + "W_pack.weight"), 3)
        state.update({f"{at}{letter}_proj.weight": part for letter, part in zip("qkv", parts, strict=True)})
    return _llama(config, state)


def _internlm2(config: Json, state: State) -> Any:
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        groups = state.pop(at + "attention.wqkv.weight").reshape(KV_HEADS, -1, HEAD, WIDTH)
        parts = {"q": groups[:, :-2], "k": groups[:, -2], "v": groups[:, -1]}
        state |= {f"{at}self_attn.{key}_proj.weight": part.reshape(-1, WIDTH) for key, part in parts.items()}
    pairs = (
        ("tok_embeddings", "embed_tokens"),
        ("output.", "lm_head."),
        ("attention.wo", "self_attn.o_proj"),
        ("attention_norm", "input_layernorm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("feed_forward.w1", "mlp.gate_proj"),
        ("feed_forward.w2", "mlp.down_proj"),
        ("feed_forward.w3", "mlp.up_proj"),
    )
    return _llama(config, _renamed(state, *pairs))


def _minicpm(config: Json, state: State) -> Any:
    settings = _sizes(
        config,
        attention_multiplier=HEAD**-0.5,
        embedding_multiplier=float(config["scale_emb"]),
        logits_scaling=WIDTH / config["dim_model_base"],
        residual_multiplier=config["scale_depth"] / LAYERS**0.5,
        rope_scaling=_longrope(config),
    )
    return _model("granite", settings, state)


def _minicpm3(config: Json, state: State) -> Any:
    """DeepSeek V3 without experts, its weights scaled by what MiniCPM scales activations by."""
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    state["model.embed_tokens.weight"] = state["model.embed_tokens.weight"] * np.float32(config["scale_emb"])
    for name in state:
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            state[name] = state[name] * np.float32(config["scale_depth"] / LAYERS**0.5)
    ranks = ("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim")
    settings = _sizes(
        config,
        first_k_dense_replace=LAYERS,
        rope_interleave=False,
        rope_scaling=_longrope(config),
        v_head_dim=HEAD,
        **{rank: config[rank] for rank in ranks},
    )
    settings.pop("head_dim")
    return _model("deepseek_v3", settings, state)


def _openelm(config: Json, state: State) -> Any:
    """Qwen 3, with layers of their own sizes."""
    per_layer = []
    for i, (heads, keys) in enumerate(zip(config["num_query_heads"], config["num_kv_heads"], strict=True)):
        at, there = f"transformer.layers.{i}.", f"model.layers.{i}."
        fused = state.pop(at + "attn.qkv_proj.weight")
        q, k, v = np.split(fused, np.cumsum([heads * HEAD, keys * HEAD]))
        gate, up = np.split(state.pop(at + "ffn.proj_1.weight"), 2)
        state |= {
            f"{there}self_attn.{key}_proj.weight": part for key, part in zip("qkv", (q, k, v), strict=True)
        }
        state |= {f"{there}mlp.gate_proj.weight": gate, f"{there}mlp.up_proj.weight": up}
        per_layer.append(
            {"num_attention_heads": heads, "num_key_value_heads": keys, "intermediate_size": len(gate)}
        )
    pairs = (
        ("transformer.token_embeddings", "model.embed_tokens"),
        ("transformer.", "model."),
        ("attn.out_proj", "self_attn.o_proj"),
        ("attn.q_norm", "self_attn.q_norm"),
        ("attn.k_norm", "self_attn.k_norm"),
        ("attn_norm", "input_layernorm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn.proj_2", "mlp.down_proj"),
    )
    return _model("qwen3", _sizes(config, rms_norm_eps=1e-6), _renamed(state, *pairs), per_layer)


def _maincoder(config: Json, state: State) -> Any:
    """HunYuan, which norms query and key after the rotation too, by other names.

    It rotates the first half of each head against the second, and Maincoder neighbours, as Llama 4 does.
    """
    for name, weight in state.items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "q_norm.weight", "k_norm.weight")):
            pairwise = weight.reshape(-1, HEAD // 2, 2, *weight.shape[1:])
            state[name] = np.ascontiguousarray(pairwise.swapaxes(1, 2)).reshape(weight.shape)
    pairs = (("feed_forward.", "mlp."), ("q_norm", "query_layernorm"), ("k_norm", "key_layernorm"))
    return _model("hunyuan_v1_dense", _sizes(config), _renamed(state, *pairs))


EQUIVALENTS: dict[str, Callable[[Json, State], Any]] = {
    "baichuan": _baichuan,
    "exaone": _exaone,
    "internlm2": _internlm2,
    "internlm3": _llama,
    "maincoder": _maincoder,
    "minicpm": _minicpm,
    "minicpm-longrope": _minicpm,
    "minicpm3": _minicpm3,
    "openelm": _openelm,
    "orion": _orion,
    "xverse": _llama,
}


def test_every_class_that_transformers_lacks_is_here() -> None:
    """Those with a state are in `tests.e2e.test_recurrent`; the ones apart have tests of their own."""
    lacking = {
        name
        for name in tiny.NAMES
        if not tiny.MODELS[name].known
        and architectures.find(tiny.MODELS[name].config).graph.memory is Memory.CACHE
    }
    assert lacking | {"baichuan"} == set(EQUIVALENTS)


@pytest.mark.parametrize("name", EQUIVALENTS)
def test_logits_agree(name: str, tmp_path: Path, measured: Callable[[str], None]) -> None:
    checkpoint = tiny.write(tiny.MODELS[name], tmp_path / f"tiny-{name}")
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(checkpoint, path, type="F32")
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        ours = model.logits(tokens)
    theirs = logits(EQUIVALENTS[name](tiny.MODELS[name].config, load_state(checkpoint)), tokens)
    largest = float(np.abs(ours - theirs).max())
    median = float(np.median(divergence(ours, theirs)))
    measured(f"logits {name}: largest difference {largest:.1e}, median divergence {median:.1e}")
    assert theirs.std() > 0.1
    assert median < MEDIAN_DIVERGENCE
    assert largest < LARGEST_DIFFERENCE


def test_baichuan_goes_there_and_back(tmp_path: Path) -> None:
    """There is no golden of it, see `tests.architectures.families.baichuan`."""
    checkpoint = tiny.write(tiny.MODELS["baichuan"], tmp_path / "original" / "tiny-baichuan")
    exported = tmp_path / "exported" / "tiny-baichuan"
    exported.parent.mkdir()
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    gguf_tools.convert(checkpoint, first, type="BF16")
    gguf_tools.export(first, exported, dtype="bf16")
    gguf_tools.convert(exported, second, type="BF16")
    assert describe(second).metadata == describe(first).metadata
    theirs, ours = load_state(checkpoint), load_state(exported)
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
