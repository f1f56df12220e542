"""Gemma 3n's text model: four streams mixed by altup, low-rank laurel paths, embeddings for every layer."""

from collections.abc import Iterator
from typing import Any

from ...container.metadata import Array
from ...errors import ArchitectureError
from ...spec import ValueType
from ..activation_sparsity import ActivationSparsity
from ..config import GGUFFacts, HFConfig
from ..decoder import HEAD, decoder, norms, renamed
from ..keys import HEAD_DIM, KV_HEADS, DerivedKey, Entry, FromTensorRows, Key, Note
from ..padding import PadTokens
from ..per_layer_keys import listed
from ..rope import Rope
from ..table import HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Stack, Window
from ..transforms import StackExperts
from ..vocabularies import GEMMA_VOCABULARY
from ..windows import WindowPattern, layer_type

_PERIOD = 5  # every fifth layer is a global one
_OWN_KV_LAYERS = 20  # llama.cpp lets all layers after these use the keys and values of earlier ones
_SPARSE_LAYERS = 10
_STREAMS = 4
_FIXED = {"altup_num_inputs": _STREAMS, "hidden_size_per_layer_input": 256, "laurel_rank": 64}
_TOKENS, _PER_LAYER_TOKENS = 262400, 262144  # of all releases


def _default_sparsity(config: HFConfig) -> list[float]:
    layers = config.integer("num_hidden_layers")
    sparse = _SPARSE_LAYERS if layers > _SPARSE_LAYERS else 0
    return [0.95] * sparse + [0.0] * (layers - sparse)


def _default_types(config: HFConfig) -> list[str]:
    return [layer_type((i + 1) % _PERIOD != 0) for i in range(config.integer("num_hidden_layers"))]


def _inner_sizes(config: HFConfig) -> Array:
    """``intermediate_size``, of each layer or of all."""
    if isinstance(config.find("intermediate_size"), list):
        return Array(ValueType.INT32, listed(config, "intermediate_size"))
    sizes = [config.integer("intermediate_size")] * config.integer("num_hidden_layers")
    return Array(ValueType.INT32, sizes)


def _restored_sizes(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, Any]:
    sizes = facts.find("feed_forward_length")
    return {"intermediate_size": list(sizes) if isinstance(sizes, Array) else sizes}


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


ARCHITECTURE = decoder(
    "gemma3n",
    HFClass("Gemma3nForCausalLM", "gemma3n_text"),
    HFClass("Gemma3nForConditionalGeneration", "gemma3n"),
    defaults={"num_attention_heads": 8, "vocab_size": _TOKENS},
    derived={
        "activation_sparsity_pattern": _default_sparsity,
        "layer_types": _default_types,
        "vocab_size_per_layer_input": lambda config: config.find("vocab_size"),
    },
    tokenizers=("spm", "bpe"),
    sizes={
        "feed_forward_length": DerivedKey(
            "feed_forward_length", ValueType.ARRAY, _inner_sizes, _restored_sizes
        ),
        KV_HEADS.gguf: KV_HEADS.named(*KV_HEADS.hf),  # null is no number of heads here
    },
    rope=Rope(kinds=(), local="rope_local_base_freq", theta=1000000.0),
    head_dim=HEAD_DIM,
    own=(
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32, optional=True),
        Key("attention.sliding_window", "sliding_window"),
        Key("altup.active_idx", "altup_active_idx", least=0),
        Key("altup.num_inputs", "altup_num_inputs"),
        Key("embedding_length_per_layer_input", "hidden_size_per_layer_input"),
        Key("attention.shared_kv_layers", "num_kv_shared_layers", least=0),
        ActivationSparsity(),
        WindowPattern(),
        FromTensorRows("laurel_rank", "blk.0.laurel_l.weight"),
    ),
    activation={"hidden_activation": ("gelu_pytorch_tanh",)},
    assumed={"altup_correct_scale": True},
    checks=(
        _Sizes(),
        Note(
            lambda config: (
                config.integer("num_kv_shared_layers", least=0)
                != max(0, config.integer("num_hidden_layers") - _OWN_KV_LAYERS)
            ),
            f"llama.cpp computes keys and values in the first {_OWN_KV_LAYERS} layers, not in as many as "
            "config.json says",
        ),
    ),
    output=(
        *renamed(
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
            ("model.per_layer_model_projection", "per_layer_model_proj"),
            ("model.per_layer_projection_norm", "per_layer_proj_norm"),
        ),
        Rule(("model.embed_tokens_per_layer.weight",), ("per_layer_token_embd.weight",), PadTokens()),
        HEAD,
        _streams("altup_projections", "altup_proj"),
        _streams("altup_unembed_projections", "altup_unembd_proj"),
    ),
    pre_norms=(
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
        stack=Stack.GEMMA3N,
        window=Window(5, required=True),
        cached_layers=20,
        scaled_embeddings=True,
    ),
)
