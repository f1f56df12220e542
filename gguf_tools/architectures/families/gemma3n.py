"""Gemma 3n's text model: four streams mixed by altup, low-rank laurel paths, embeddings for every layer."""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np

from ...container.metadata import Array
from ...errors import ArchitectureError, FormatError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, shortest
from ..decoder import FFN, TIED, attention, flag, has_head, norms, renamed
from ..keys import (
    CAUSAL,
    CONTEXT,
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    Entry,
    FromTensorPresence,
    FromTensorRows,
    Key,
    Note,
    layer_type,
)
from ..padding import PadTokens
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Stack, Window
from ..transforms import StackExperts
from ..vocabularies import GEMMA_VOCABULARY

_PERIOD = 5  # every fifth layer is a global one
_OWN_KV_LAYERS = 20  # llama.cpp lets all layers after these use the keys and values of earlier ones
_SPARSE_LAYERS = 10
_STREAMS = 4
_FIXED = {"altup_num_inputs": _STREAMS, "hidden_size_per_layer_input": 256, "laurel_rank": 64}
_TOKENS, _PER_LAYER_TOKENS = 262400, 262144  # of all releases
_DEFAULTS = {
    "altup_active_idx": 0,
    "altup_num_inputs": _STREAMS,
    "final_logit_softcapping": 30.0,
    "head_dim": 256,
    "hidden_size_per_layer_input": 256,
    "laurel_rank": 64,
    "max_position_embeddings": 32768,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_kv_shared_layers": 15,
    "rms_norm_eps": 1e-6,
    "rope_local_base_freq": 10000.0,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "tie_word_embeddings": True,
    "vocab_size": _TOKENS,
}


def _default_sparsity(config: HFConfig) -> list[float]:
    layers = config.integer("num_hidden_layers")
    sparse = _SPARSE_LAYERS if layers > _SPARSE_LAYERS else 0
    return [0.95] * sparse + [0.0] * (layers - sparse)


def _default_types(config: HFConfig) -> list[str]:
    return [layer_type((i + 1) % _PERIOD != 0) for i in range(config.integer("num_hidden_layers"))]


def _each(config: HFConfig, key: str) -> list[Any]:
    """A list with a value for every layer."""
    values, layers = config.find(key), config.integer("num_hidden_layers")
    if not isinstance(values, list) or len(values) != layers:
        raise ArchitectureError(
            "not a list with a value for every layer",
            path="config.json",
            key=key,
            found=values,
            expected=f"{layers} values",
        )
    return values


class _Inner:
    """``intermediate_size``, of each layer or of all, ↔ a width for every layer."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if not isinstance(config.find("intermediate_size"), list):
            sizes = [config.integer("intermediate_size")] * config.integer("num_hidden_layers")
        else:
            sizes = _each(config, "intermediate_size")
        yield "feed_forward_length", ValueType.ARRAY, Array(ValueType.INT32, sizes)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        sizes = facts.find("feed_forward_length")
        config["intermediate_size"] = list(sizes) if isinstance(sizes, Array) else sizes


class _Sparsity:
    """The share of a layer's activations that is cut off ↔ how many deviations above the mean that is."""

    name = "activation_sparsity_scale"

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        scales = [_deviations(share) for share in _each(config, "activation_sparsity_pattern")]
        yield self.name, ValueType.ARRAY, Array(ValueType.FLOAT32, scales)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        scales = facts.find(self.name)
        if not isinstance(scales, Array):
            raise FormatError("the key is missing", key=facts.key(self.name), found=scales)
        config["activation_sparsity_pattern"] = [_share(scale) for scale in scales]


def _deviations(share: Any) -> float:
    """The normal distribution's quantile, −inf for a share of nothing; as float32, as torch has it."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ArchitectureError(
            "not a share",
            path="config.json",
            key="activation_sparsity_pattern",
            found=share,
            expected="0 to 1",
        )
    if share == 0:
        return -np.inf
    # torch: erfinv(2 p − 1) · √2, every step in float32
    doubled = np.float32(2) * np.float32(share) - np.float32(1)
    inverse = np.float32(NormalDist().inv_cdf((float(doubled) + 1) / 2) / math.sqrt(2))
    return float(inverse * np.float32(math.sqrt(2)))


def _share(scale: float) -> float:
    """The shortest decimal of which `_deviations` makes this."""
    share = NormalDist().cdf(scale) if scale > -np.inf else 0.0
    tried = (round(share, digits) for digits in range(1, 10))
    return next((short for short in tried if 0 < short < 1 and _deviations(short) == scale), shortest(share))


class _Pattern:
    """``layer_types`` ↔ which layers have a window."""

    name = "attention.sliding_window_pattern"

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        slides = [kind == layer_type(True) for kind in _each(config, "layer_types")]
        yield self.name, ValueType.ARRAY, Array(ValueType.BOOL, slides)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        slides = facts.find(self.name)
        if isinstance(slides, Array):
            config["layer_types"] = [layer_type(bool(one)) for one in slides]


class _Sizes:
    """What GGUF has no keys for, because the releases all have the same."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        for key, expected in _FIXED.items():
            if config.integer(key) != expected:
                raise ArchitectureError(
                    "llama.cpp knows this architecture only with one size",
                    path="config.json",
                    key=key,
                    found=config[key],
                    expected=expected,
                )
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        tokens = facts.rows_of("token_embd.weight")
        config["vocab_size_per_layer_input"] = _PER_LAYER_TOKENS if tokens == _TOKENS else tokens


def _streams(hf: str, gguf: str) -> Rule:
    """A matrix for every stream but the first ↔ all of them stacked."""
    return Rule(
        tuple(f"model.{hf}.{stream}.weight" for stream in range(_STREAMS - 1)),
        (f"{gguf}.weight",),
        StackExperts(),
    )


ARCHITECTURE = Architecture(
    name="gemma3n",
    classes=tuple(
        HFClass(
            name,
            model_type,
            _DEFAULTS,
            {
                "activation_sparsity_pattern": _default_sparsity,
                "layer_types": _default_types,
                "vocab_size_per_layer_input": lambda config: config.find("vocab_size"),
            },
        )
        for name, model_type in (
            ("Gemma3nForCausalLM", "gemma3n_text"),
            ("Gemma3nForConditionalGeneration", "gemma3n"),
        )
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        LAYERS,
        CONTEXT,
        WIDTH,
        _Inner(),
        HEADS,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=(), local="rope_local_base_freq", theta=1000000.0),
        RMS_EPS,
        HEAD_DIM,
    ),
    family_keys=(
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32, optional=True),
        Key("attention.sliding_window", "sliding_window"),
        Key("altup.active_idx", "altup_active_idx", least=0),
        Key("altup.num_inputs", "altup_num_inputs"),
        Key("embedding_length_per_layer_input", "hidden_size_per_layer_input"),
        Key("attention.shared_kv_layers", "num_kv_shared_layers", least=0),
        _Sparsity(),
        _Pattern(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorRows("laurel_rank", "blk.0.laurel_l.weight"),
        _Sizes(),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_activation", ("gelu_pytorch_tanh",)),
        AssumedByRuntime("altup_correct_scale", (True,)),
        Note(
            lambda config: (
                config.integer("num_kv_shared_layers", least=0)
                != max(0, config.integer("num_hidden_layers") - _OWN_KV_LAYERS)
            ),
            f"llama.cpp computes keys and values in the first {_OWN_KV_LAYERS} layers, not in as many as "
            "config.json says",
        ),
    ),
    tensors=(
        *renamed(
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
            ("model.per_layer_model_projection", "per_layer_model_proj"),
            ("model.per_layer_projection_norm", "per_layer_proj_norm"),
        ),
        Rule(("model.embed_tokens_per_layer.weight",), ("per_layer_token_embd.weight",), PadTokens()),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        _streams("altup_projections", "altup_proj"),
        _streams("altup_unembed_projections", "altup_unembd_proj"),
        *attention(bias=flag("attention_bias")),
        *FFN,
        *norms(
            ("input_layernorm", "attn_norm"),
            ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
            ("per_layer_input_gate", "inp_gate"),
            ("per_layer_projection", "proj"),
            ("post_per_layer_input_norm", "post_norm"),
            ("altup.correction_coefs", "altup_correct_coef"),
            ("altup.prediction_coefs", "altup_predict_coef"),
            ("altup.modality_router", "altup_router"),
            ("altup.router_norm", "altup_router_norm"),
            ("laurel.linear_left", "laurel_l"),
            ("laurel.linear_right", "laurel_r"),
            ("laurel.post_laurel_norm", "laurel_post_norm"),
        ),
        Rule(("model.layers.{i}.altup.correct_output_scale",), ("blk.{i}.altup_correct_scale.weight",)),
    ),
    vocabulary=GEMMA_VOCABULARY,
    graph=GraphTraits(
        stack=Stack.GEMMA3N, window=Window(5, required=True), cached_layers=20, scaled_embeddings=True
    ),
)
