"""MiniCPM: a Llama with three multipliers, run by code beside its checkpoints."""

import math
from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, rounded, simplest
from ..decoder import decoder
from ..keys import CAUSAL, KV_HEADS, RMS_EPS, SIZES, Entry
from ..rope import LongropeFactors, Rope
from ..table import HFClass


class _Multipliers:
    """What embeddings, residuals and logits are multiplied or divided by ↔ the same for each layer."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        layers, width = config.integer("num_hidden_layers"), config.integer("hidden_size")
        scales = {
            "embedding_scale": config.number("scale_emb"),
            "residual_scale": rounded(_depth(config) / math.sqrt(layers)),
            "logit_scale": rounded(width / config.integer("dim_model_base")),
        }
        for name, scale in scales.items():
            yield name, ValueType.FLOAT32, scale

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        root = math.sqrt(config["num_hidden_layers"])
        embedding, logits = facts.number("embedding_scale"), facts.number("logit_scale")
        residual = facts.number("residual_scale")
        if embedding is not None:
            config["scale_emb"] = embedding
        if residual is not None:
            config["scale_depth"] = simplest(residual * root, lambda depth: depth / root, residual)
        if logits:
            config["dim_model_base"] = round(config["hidden_size"] / logits)


def _depth(config: HFConfig) -> float:
    config.number("scale_depth")  # checks it; the division comes before the rounding
    return float(config["scale_depth"])


ARCHITECTURE = decoder(
    "minicpm",
    HFClass("MiniCPMForCausalLM", "minicpm", {"tie_word_embeddings": True}),
    tokenizers=("spm",),
    keys=(
        *(*SIZES, KV_HEADS, CAUSAL),
        Rope(kinds=("linear", "yarn", "longrope", "dynamic"), theta=None),
        RMS_EPS,
    ),
    own=(_Multipliers(),),
    bias=None,
    permuted=True,
    computed=(LongropeFactors("long"), LongropeFactors("short")),
)
