"""Gemma 3's text model: norms stored as the distance from one, local and global layers."""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import HEAD, decoder, norms
from ..keys import HEAD_DIM, AssumedByRuntime, Entry, Key
from ..rope import Rope
from ..table import HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Window
from ..transforms import AddOne, KeepTokens
from ..vocabularies import GEMMA_VOCABULARY
from ..windows import windows_but
from .gemma2 import AROUND_NORMS, attention_scalar

_PERIOD = 6  # llama.cpp takes every sixth layer for a global one


class _Window:
    """``sliding_window``, left out where every layer is global."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("sliding_window_pattern") != 1:
            yield "attention.sliding_window", ValueType.UINT32, config.integer("sliding_window")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        window = facts.integer("attention.sliding_window")
        if window is None:
            config["sliding_window_pattern"] = 1
        else:
            config["sliding_window"] = window


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return windows_but(1 if config.find("sliding_window_pattern") == 1 else _PERIOD)(config)


ARCHITECTURE = decoder(
    "gemma3",
    HFClass("Gemma3ForCausalLM", "gemma3_text"),
    HFClass("Gemma3ForConditionalGeneration", "gemma3"),
    defaults={"num_attention_heads": 8},
    tokenizers=("spm", "bpe"),
    rope=Rope(kinds=("linear", "yarn"), local="rope_local_base_freq", theta=1000000.0),
    head_dim=HEAD_DIM,
    own=(
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32, optional=True),
        _Window(),
    ),
    activation={"hidden_activation": ("gelu_pytorch_tanh",)},
    assumed={"attn_logit_softcapping": None},
    checks=(
        AssumedByRuntime("query_pre_attn_scalar", attention_scalar(62)),
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("sliding_window_pattern", (_PERIOD, 1), export=False),
        AssumedByRuntime("use_bidirectional_attention", (False,), export=False),
    ),
    output=(
        Rule(("model.embed_tokens.weight",), ("token_embd.weight",), KeepTokens()),
        Rule(("model.norm.weight",), ("output_norm.weight",), AddOne()),
        HEAD,
    ),
    pre_norms=AROUND_NORMS,
    qk_norms=norms(
        ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"), transform=AddOne()
    ),
    vocabulary=GEMMA_VOCABULARY,
    graph=GraphTraits(window=Window(6), scaled_embeddings=True, scaled_queries=True),
)
