"""PLaMo: attention and feed-forward side by side, heads of queries that share keys in turns.

It has no class in transformers: code beside the checkpoint runs it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ArchitectureError
from ...source import Source
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import has_head, norms, renamed
from ..keys import HEADS, INNER, LAYERS, RMS_EPS, WIDTH, AssumedByRuntime, DerivedKey, Entry, FromTensorRows
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..views import Columns, Gathered

_BLOCK = "model.layers.layers.{i}"
_CONTEXT = 4096  # not in config.json


def _key_heads(config: HFConfig) -> int:
    """As many as there are queries for one; ``num_key_value_heads`` of the config is another number."""
    heads, shared = config.integer("num_attention_heads"), config.integer("n_shared_head")
    if heads % shared:
        raise ArchitectureError(
            "the heads cannot be shared out",
            path="config.json",
            key="n_shared_head",
            found=shared,
            expected=f"a divisor of num_attention_heads {heads}",
        )
    return heads // shared


class _KeyHeads:
    """``n_shared_head`` ↔ the number of key heads."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield "attention.head_count_kv", ValueType.UINT32, _key_heads(config)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["n_shared_head"] = config["num_attention_heads"] // (
            facts.integer("attention.head_count_kv") or 1
        )


@dataclass(frozen=True)
class GroupHeads:
    """Query heads whose key heads take turns ↔ in groups, one for each key head.

    HF's query head h asks key head h mod k; llama.cpp wants those of one key head side by side.

    ``columns`` says that heads lie along rows (as in the output's matrix), and not one below the other.
    """

    columns: bool = False

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=False)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=True)

    def _moved(self, sources: Sequence[Source], config: HFConfig, *, inverse: bool) -> list[Source]:
        (source,) = sources
        heads, keys = config.integer("num_attention_heads"), _key_heads(config)
        if len(source.shape) != 2 or source.shape[self.columns] % heads:
            raise ArchitectureError(
                f"cannot be divided into {heads} heads",
                found=source.shape,
                expected=f"a multiple of {heads} {'columns' if self.columns else 'rows'}",
            )
        size = source.shape[self.columns] // heads
        order = np.arange(heads).reshape(-1, keys).T.reshape(-1)
        if inverse:
            order = np.argsort(order)
        if self.columns:
            return [Columns(source, (order[:, None] * size + np.arange(size)).reshape(-1))]
        return [Gathered(source, lambda row: order[row // size] * size + row % size)]


ARCHITECTURE = Architecture(
    name="plamo",
    classes=(HFClass("PlamoForCausalLM", "plamo", {"tie_word_embeddings": False}),),
    tokenizer_kinds=("spm",),
    keys=(
        DerivedKey("context_length", ValueType.UINT32, lambda config: _CONTEXT),
        WIDTH,
        INNER,
        LAYERS,
        HEADS,
        _KeyHeads(),
        RMS_EPS,
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("tie_word_embeddings", (False,)),
    ),
    tensors=(
        *renamed(("model.embed_tokens", "token_embd"), ("model.norm", "output_norm")),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        *norms(
            ("norm", "attn_norm"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            block=_BLOCK,
        ),
        *norms(("self_attn.q_proj", "attn_q"), transform=GroupHeads(), block=_BLOCK),
        *norms(
            ("self_attn.o_proj", "attn_output"),
            transform=GroupHeads(columns=True),
            block=_BLOCK,
        ),
    ),
)
