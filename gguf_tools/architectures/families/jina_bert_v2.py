"""Jina's BERT, version 2: biases by distance (ALiBi) instead of positions, gated feed-forward."""

from typing import Any

from ..config import GGUFFacts, HFConfig
from ..decoder import modules
from ..encoder import LOST_POOLER, attention, embeddings, encoder, heads_without_use
from ..keys import Restored
from ..table import HFClass
from ..tensors import Rule, unless, weight_and_bias
from ..traits import GraphTraits, Memory, VocabularyTraits
from ..transforms import SwapHalves

_PLAIN = "jinaai/jina-bert-implementation"
_NORMED = "jinaai/jina-bert-v2-qk-post-norm"
"""Repositories with the code of the models for text and of that for code, which norms queries and keys."""


def _code(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, Any]:
    """``auto_map``, by which transformers finds the model's code."""
    where = _NORMED if facts.has("blk.0.attn_q_norm.weight") else _PLAIN
    names = {"AutoConfig": "configuration_bert.JinaBertConfig", "AutoModel": "modeling_bert.JinaBertModel"}
    return {"auto_map": {use: f"{where}--{name}" for use, name in names.items()}}


def _normed(config: HFConfig, layer: int) -> bool:
    return _NORMED in str(config.find("auto_map"))


_plain = unless(_normed)
DEFAULTS = {"layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2}
BLOCK = "bert.encoder.layer.{i}"
# The models for text, and that for code: other names, and the gate is the second half, where llama.cpp takes
# the first.
FEED_FORWARD = (
    Rule((f"{BLOCK}.mlp.gated_layers.weight",), ("blk.{i}.ffn_up.weight",), when=_plain),
    Rule((f"{BLOCK}.mlp.up_gated_layer.weight",), ("blk.{i}.ffn_up.weight",), SwapHalves()),
    *weight_and_bias(f"{BLOCK}.mlp.wo", "blk.{i}.ffn_down", when=_plain),
    *weight_and_bias(f"{BLOCK}.mlp.down_layer", "blk.{i}.ffn_down"),
    *weight_and_bias(f"{BLOCK}.mlp.layernorm", "blk.{i}.layer_output_norm", when=_plain),
    *weight_and_bias(f"{BLOCK}.layer_norm_2", "blk.{i}.layer_output_norm"),
)
NORMS = tuple(
    Rule(rule.hf, rule.gguf, needed=_normed)
    for rule in modules(
        ("layer_norm_1", "attn_norm_2"),
        ("attention.self.layer_norm_q", "attn_q_norm"),
        ("attention.self.layer_norm_k", "attn_k_norm"),
        block=BLOCK,
    )
)

ARCHITECTURE = encoder(
    "jina-bert-v2",
    HFClass("JinaBertModel", "bert", DEFAULTS, prefixed=False),
    HFClass("JinaBertForMaskedLM", "bert", DEFAULTS),
    tokenizers=("wordpiece", "bpe"),
    own=(Restored(_code),),
    assumed={"position_embedding_type": "alibi", "feed_forward_type": "geglu"},
    tensors=(*embeddings("bert."), *attention("bert."), *FEED_FORWARD, *NORMS),
    prefix="bert.",
    unprefixed=("cls.",),
    drops=heads_without_use("bert."),
    export_notes=(LOST_POOLER,),
    vocabulary=VocabularyTraits(token_types=True, bpe_token_types=2),
    graph=GraphTraits(memory=Memory.NOTHING, rotary=False, second_residual=True),
)
