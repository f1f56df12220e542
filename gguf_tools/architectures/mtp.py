"""Blocks after the last that predict further tokens, which llama.cpp calls nextn and others MTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..spec import MAX_LAYERS, ValueType
from .config import GGUFFacts, HFConfig
from .decoder import BLOCK, optional
from .keys import LAYERS, Entry
from .tensors import Condition, Rule

__all__ = ["NEXT_TENSORS", "Blocks", "Predicting", "is_next", "trunk"]


@dataclass(frozen=True)
class Blocks:
    """``num_hidden_layers`` ↔ ``block_count``, in which the further blocks count too.

    Attributes:
        hf: the HF key with their number; none where it is not there.
    """

    hf: str

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        layers = config.integer(*LAYERS.hf, most=MAX_LAYERS)
        yield "block_count", ValueType.UINT32, layers + _count(config, self.hf)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        LAYERS.inverse(facts, config)
        config[LAYERS.hf[0]] -= facts.integer("nextn_predict_layers", least=0, most=MAX_LAYERS) or 0


@dataclass(frozen=True)
class Predicting:
    """The number of further blocks ↔ ``nextn_predict_layers``. ``hf`` is the HF key."""

    hf: str

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find(self.hf) is not None:
            yield "nextn_predict_layers", ValueType.UINT32, _count(config, self.hf)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        count = facts.integer("nextn_predict_layers", least=0, most=MAX_LAYERS)
        if count is not None:
            config[self.hf] = count


def _count(config: HFConfig, key: str) -> int:
    return 0 if config.find(key) is None else config.integer(key, least=0, most=MAX_LAYERS)


def is_next(config: HFConfig, layer: int) -> bool:
    """The condition that a block is one of these."""
    return layer >= config.integer(*LAYERS.hf)


def trunk(condition: Condition) -> Condition:
    """A condition that holds in blocks of the model proper, where ``condition`` does."""
    return lambda config, layer: not is_next(config, layer) and condition(config, layer)


NEXT_TENSORS = tuple(
    Rule((f"{BLOCK}.{hf}.weight",), (f"blk.{{i}}.nextn.{gguf}.weight",), when=is_next, needed=needed)
    for hf, gguf, needed in (
        ("eh_proj", "eh_proj", is_next),
        ("enorm", "enorm", is_next),
        ("hnorm", "hnorm", is_next),
        ("embed_tokens", "embed_tokens", optional),
        ("shared_head.head", "shared_head_head", optional),
        ("shared_head.norm", "shared_head_norm", optional),
    )
)
"""What they have besides the parts of a block, named as GLM and DeepSeek name them."""
