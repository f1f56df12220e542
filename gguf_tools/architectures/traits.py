"""What a family is to those who do not convert its tensors: its vocabulary and its graph.

Facts of llama.cpp b11434 that a file or a checkpoint does not state, as data: tokenizers and the
estimate ask them, and never the family's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

__all__ = [
    "PLAIN_GRAPH",
    "PLAIN_VOCABULARY",
    "GraphTraits",
    "Memory",
    "Mixer",
    "Routing",
    "SpacePrefix",
    "Stack",
    "VocabularyTraits",
    "Window",
]


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


class Memory(Enum):
    """What a model keeps from one batch to the next."""

    CACHE = auto()
    """Keys and values of every layer."""
    NOTHING = auto()
    """Encoders see a text at once."""
    STATE = auto()
    """A recurrent state of every layer; none attends."""
    EITHER = auto()
    """Layers with key-value heads attend, the others have a state."""
    EITHER_OR_NEITHER = auto()
    """The same, and layers with a feed-forward network only."""
    BOTH = auto()
    """Every layer attends and has a state."""
    PERIODIC = auto()
    """One layer in ``full_attention_interval`` attends, the others have a state."""


class Mixer(Enum):
    """What mixes tokens in layers that have a state."""

    MAMBA = auto()
    MAMBA2 = auto()
    SHORT_CONVOLUTION = auto()
    DELTA_NET = auto()
    RWKV6 = auto()
    RWKV7 = auto()


class Stack(Enum):
    """How a model's layers are put together."""

    DECODER = auto()
    MIXERS = auto()
    """A layer is one part: a mixer, attention, or a network."""
    RWKV = auto()
    GEMMA3N = auto()
    ENCODER_DECODER = auto()
    ENCODER = auto()
    """The first half of such a model alone."""


class Routing(Enum):
    """How a token's experts are weighted."""

    USUAL = auto()
    LATE_SOFTMAX = auto()
    """The softmax is taken over the chosen experts only."""
    WEIGHTED_INPUTS = auto()
    """Sigmoids multiply what goes into the experts."""


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window.

    Attributes:
        period: one layer in so many sees everything, where the file does not say which do.
        first: whether it is the first of them rather than the last.
        size: the window's length where the file does not say; None makes that no window.
        fixed: whether ``size`` holds whatever the file says.
        required: whether the file has to say it.
        layers: the only depth at which the family has one; None: at any.
        symmetric: whether the window reaches both ways, which an encoder's does.
    """

    period: int
    first: bool = False
    size: int | None = None
    fixed: bool = False
    required: bool = False
    layers: int | None = None
    symmetric: bool = False


@dataclass(frozen=True, slots=True)
class GraphTraits:
    """What llama.cpp's graph of an architecture does without the file saying so.

    Attributes:
        stack: how layers are put together.
        memory: what is kept from one batch to the next.
        mixer: what mixes tokens where a layer has a state.
        window: the sliding window of some layers.
        cached_layers: layers from this one on attend to what earlier ones cached; None for none.
        positions: numbers that say where a token is; four for models that see.
        rotary: whether queries and keys are rotated by them.
        scaled_embeddings: whether embeddings are multiplied by a number given with every token.
        scaled_queries: whether queries are scaled before they meet the keys.
        residual_first: whether a layer's input is the first operand of the sum with what attention made.
        attention_first: whether, side by side with the network, attention is the first operand.
        network_norm_after: whether ``post_attention_norm`` is the network's input norm.
        unweighted_norms: whether norms have no weights, so that none are in the file.
        attention_norm: whether ``attn_norm_2`` is attention's own norm beside the network's.
        second_residual: whether ``attn_norm_2`` norms attention's sum with the layer's input.
        routing: how a token's experts are weighted.
        normed_weights: whether those weights add up to one although no key says so.
    """

    stack: Stack = Stack.DECODER
    memory: Memory = Memory.CACHE
    mixer: Mixer = Mixer.MAMBA2
    window: Window | None = None
    cached_layers: int | None = None
    positions: int = 1
    rotary: bool = True
    scaled_embeddings: bool = False
    scaled_queries: bool = False
    residual_first: bool = False
    attention_first: bool = False
    network_norm_after: bool = False
    unweighted_norms: bool = False
    attention_norm: bool = False
    second_residual: bool = False
    routing: Routing = Routing.USUAL
    normed_weights: bool = False


PLAIN_GRAPH: Final = GraphTraits()
"""A decoder like Llama."""
