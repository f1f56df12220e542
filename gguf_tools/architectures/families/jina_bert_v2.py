"""Jina's BERT, version 2: biases by distance (ALiBi) instead of positions, gated feed-forward."""

from collections.abc import Iterator
from typing import Any

from ..config import GGUFFacts, HFConfig
from ..keys import SIZES, AssumedByRuntime, Entry, FromTensorRows
from ..pooling import pooling_files
from ..table import Architecture, HFClass
from ..tensors import Rule, weight_and_bias
from ..traits import GraphTraits, Memory, VocabularyTraits
from ..transforms import SwapHalves
from . import bert

_PLAIN = "jinaai/jina-bert-implementation"
_NORMED = "jinaai/jina-bert-v2-qk-post-norm"
"""Repositories with the code of the models for text and of that for code, which norms queries and keys."""


class _Code:
    """``auto_map``, by which transformers finds the model's code."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        where = _NORMED if facts.has("blk.0.attn_q_norm.weight") else _PLAIN
        config["auto_map"] = {
            "AutoConfig": f"{where}--configuration_bert.JinaBertConfig",
            "AutoModel": f"{where}--modeling_bert.JinaBertModel",
        }


def _normed(config: HFConfig, layer: int) -> bool:
    return _NORMED in str(config.find("auto_map"))


def _plain(config: HFConfig, layer: int) -> bool:
    return not _normed(config, layer)


_LAYER = "bert.encoder.layer.{i}"
_DEFAULTS = bert.DEFAULTS

ARCHITECTURE = Architecture(
    name="jina-bert-v2",
    classes=(
        HFClass("JinaBertModel", "bert", _DEFAULTS, prefixed=False),
        HFClass("JinaBertForMaskedLM", "bert", _DEFAULTS),
    ),
    tokenizer_kinds=("wordpiece", "bpe"),
    prefix="bert.",
    unprefixed=("cls.",),
    keys=(*SIZES, bert.EPS),
    family_keys=(
        *bert.EMBEDDING,
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorRows("type_vocab_size", "token_types.weight"),
        AssumedByRuntime("hidden_act", bert.GELU),
        AssumedByRuntime("position_embedding_type", ("alibi",)),
        AssumedByRuntime("feed_forward_type", ("geglu",)),
        _Code(),
    ),
    tensors=(
        *bert.embeddings("bert."),
        *bert.attention("bert."),
        # the models for text, and that for code: other names, and the gate is the second half, where
        # llama.cpp takes the first
        Rule((f"{_LAYER}.mlp.gated_layers.weight",), ("blk.{i}.ffn_up.weight",), when=_plain),
        Rule((f"{_LAYER}.mlp.up_gated_layer.weight",), ("blk.{i}.ffn_up.weight",), SwapHalves()),
        *weight_and_bias(f"{_LAYER}.mlp.wo", "blk.{i}.ffn_down", when=_plain),
        *weight_and_bias(f"{_LAYER}.mlp.down_layer", "blk.{i}.ffn_down"),
        *weight_and_bias(f"{_LAYER}.mlp.layernorm", "blk.{i}.layer_output_norm", when=_plain),
        *weight_and_bias(f"{_LAYER}.layer_norm_2", "blk.{i}.layer_output_norm"),
        *(
            Rule((f"{_LAYER}.{hf}.{part}",), (f"blk.{{i}}.{gguf}.{part}",), needed=_normed)
            for hf, gguf in (
                ("layer_norm_1", "attn_norm_2"),
                ("attention.self.layer_norm_q", "attn_q_norm"),
                ("attention.self.layer_norm_k", "attn_k_norm"),
            )
            for part in ("weight", "bias")
        ),
    ),
    drops=bert.heads_without_use("bert."),
    export_notes=(bert.LOST_POOLER,),
    extras=pooling_files,
    vocabulary=VocabularyTraits(token_types=True, bpe_token_types=2),
    graph=GraphTraits(memory=Memory.NOTHING, rotary=False, second_residual=True),
)
