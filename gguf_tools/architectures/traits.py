"""What a family is to those who do not convert its tensors: its vocabulary and its graph.

Facts of llama.cpp b11434 that a file or a checkpoint does not state, as data: tokenizers and the
estimate ask them, and never the family's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

__all__ = ["PLAIN_VOCABULARY", "SpacePrefix", "VocabularyTraits"]


class SpacePrefix(Enum):
    """Where ``tokenizer.ggml.add_space_prefix`` comes from."""

    UNSAID = auto()
    CONFIG = auto()
    """``add_prefix_space`` of tokenizer_config.json, before the vocabulary."""
    CONFIG_AFTER_TOKENS = auto()
    """The same, after it."""
    MODEL = auto()
    """The normalizer of tokenizer.model."""
    OFF = auto()
    """False, if the vocabulary is SentencePiece's."""
    OFF_IN_JSON = auto()
    """False, if such a vocabulary is in tokenizer.json."""


@dataclass(frozen=True, slots=True)
class VocabularyTraits:
    """What llama.cpp's converter says of a family's vocabulary beyond its files.

    Attributes:
        space_prefix: where the key about a space before the text comes from.
        adds: by role (``bos``, ``eos``, ``sep``), whether the runtime adds that token, unless files say.
        roles: texts of added tokens with a role that the family's files leave out, by role.
        ids: special ids by role, whatever the files say.
        by_size: traits (``ids`` and ``adds``) of models with a vocabulary of just this size.
        token_types: whether the runtime wants to know how many kinds of texts the model tells apart.
        bpe_token_types: their number where the vocabulary is BPE's; None for what config.json says.
        turn_end: whether the token that ends a turn takes the place of the EOS.
        eot_from_generation: whether the first of several tokens that end a generation is what ends a turn.
        unscored: whether SentencePiece tokens without scores are the family's own kind of vocabulary.
    """

    space_prefix: SpacePrefix = SpacePrefix.UNSAID
    adds: Mapping[str, bool] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, int] = field(default_factory=dict)
    by_size: Mapping[int, VocabularyTraits] = field(default_factory=dict)
    token_types: bool = False
    bpe_token_types: int | None = None
    turn_end: bool = False
    eot_from_generation: bool = False
    unscored: bool = False


PLAIN_VOCABULARY: Final = VocabularyTraits()
"""A vocabulary of which the files say everything."""
