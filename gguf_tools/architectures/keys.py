"""Rules between config.json and GGUF keys, each readable in both directions.

A key rule yields GGUF entries from a config, and remarks on what they do not say (`forward`); it puts HF keys
into a config from GGUF facts (`inverse`). Keys are written without the architecture's name. `inverse` need
not check that what it found can be expressed: an export recomputes the GGUF keys from the new config and
compares (see `table`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ArchitectureError, FormatError
from ..spec import MAX_LAYERS, ValueType
from .config import MAX_UINT32, GGUFFacts, HFConfig

__all__ = [
    "CAUSAL",
    "CONTEXT",
    "EXPERT_GROUPS",
    "EXPERT_SCALE_AND_NORM",
    "HEADS",
    "HEAD_DIM",
    "INNER",
    "KV_HEADS",
    "LAYERS",
    "LAYER_EPS",
    "META_LAYOUT",
    "MLP_BIAS",
    "NO_SCALING_TYPE",
    "RMS_EPS",
    "ROPE_DIMENSION",
    "SIZES",
    "VOCABULARY_SIZE",
    "WIDTH",
    "AssumedByRuntime",
    "Causal",
    "Conditional",
    "ConstHF",
    "DerivedKey",
    "Entry",
    "FourTimes",
    "FromTensorPresence",
    "FromTensorRows",
    "HeadDim",
    "Key",
    "KeyRule",
    "Note",
    "Remark",
    "RequireEqual",
    "Restored",
    "Text",
    "entries_and_remarks",
    "experts_keys",
    "head_size",
]

Entry = tuple[str, ValueType, Any]
"""A GGUF key without the architecture's name, its type and its value."""

Restore = Callable[[GGUFFacts, dict[str, Any]], Mapping[str, Any]]
"""HF keys by a GGUF file and the config made so far."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence for the user on what the GGUF side cannot express of a config."""

    text: str


class KeyRule(Protocol):
    """One row of an architecture's key table."""

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        """GGUF entries of this config, and remarks. ArchitectureError names the config key at fault."""

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        """Put the HF keys into ``config``. FormatError names the GGUF key at fault."""


def entries_and_remarks(rules: Iterable[KeyRule], config: HFConfig) -> tuple[list[Entry], list[str]]:
    """What rules say of a config: the GGUF entries, and the sentences for the user, both in order.

    Raises:
        ArchitectureError: a value is missing or unusable; names the config key.
    """
    entries: list[Entry] = []
    remarks: list[str] = []
    for rule in rules:
        for said in rule.forward(config):
            if isinstance(said, Remark):
                remarks.append(said.text)
            else:
                entries.append(said)
    return entries, remarks


class Key:
    """One HF key ↔ one GGUF key of type UINT32, FLOAT32 or BOOL.

    Args:
        gguf: the GGUF key.
        hf: the HF key and its aliases; an export writes the first.
        type: the GGUF type.
        optional: nothing is written when the HF key is missing or null.
        absent: what an export writes when the GGUF key is absent: a value, or a function of the config
            made so far. Without it an absent key is an error, or left out when ``optional``.
        least: the smallest number allowed in a UINT32 key.
        most: the largest.
    """

    def __init__(
        self,
        gguf: str,
        *hf: str,
        type: ValueType = ValueType.UINT32,  # noqa: A002
        optional: bool = False,
        absent: Any = None,
        least: int = 1,
        most: int = MAX_UINT32,
    ) -> None:
        self.gguf, self.hf, self.type = gguf, hf, type
        self.optional, self.absent, self.least, self.most = optional, absent, least, most

    def named(self, *hf: str) -> Key:
        """The same rule where config.json has other names for it."""
        changed = copy(self)
        changed.hf = hf
        return changed

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if self.optional and config.find(*self.hf) is None:
            return
        value: Any
        if self.type is ValueType.FLOAT32:
            value = config.number(*self.hf)
        elif self.type is ValueType.BOOL:
            value = config.flag(*self.hf)
        else:
            value = config.integer(*self.hf, least=self.least, most=self.most)
        yield self.gguf, self.type, value

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        value: Any
        if self.type is ValueType.BOOL:
            value = facts.find(self.gguf)
        elif self.type is ValueType.FLOAT32:
            value = facts.number(self.gguf)
        else:
            value = facts.integer(self.gguf, least=self.least, most=self.most)
        if value is None:
            value = self.absent(config) if callable(self.absent) else self.absent
        if value is not None:
            config[self.hf[0]] = value
        elif not self.optional:
            raise FormatError("the key is missing", key=facts.key(self.gguf))


@dataclass(frozen=True)
class DerivedKey:
    """A GGUF key that follows from HF keys.

    Attributes:
        gguf: the GGUF key.
        type: its type.
        value: its value; nothing is written where that is None.
        restore: the HF keys an export works out from it, given the file and the config made so far. Without
            it an export leaves the key to the comparison.
    """

    gguf: str
    type: ValueType
    value: Callable[[HFConfig], Any]
    restore: Restore | None = None

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        value = self.value(config)
        if value is not None:
            yield self.gguf, self.type, value

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if self.restore is not None:
            config.update(self.restore(facts, config))


@dataclass(frozen=True)
class Restored:
    """HF keys GGUF has no key for, which an export works out from the file and the config made so far."""

    restore: Restore

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config.update(self.restore(facts, config))


@dataclass(frozen=True)
class AssumedByRuntime:
    """An HF key GGUF has no place for, because llama.cpp takes it for granted.

    A checkpoint that says otherwise gets a note; an export writes the first expected value.

    Attributes:
        hf: the HF key.
        expected: the values llama.cpp acts on, or a function of the config that gives them.
        export: whether an export states the key.
    """

    hf: str
    expected: tuple[Any, ...] | Callable[[HFConfig], tuple[Any, ...]]
    export: bool = True

    def forward(self, config: HFConfig) -> Iterator[Remark]:
        found, expected = config.find(self.hf), self._expected(config)
        if found is not None and found not in expected:
            yield Remark(
                f"config.json says {self.hf} = {brief(found)}; GGUF cannot carry it, llama.cpp will act on "
                f"{brief(expected[0])}"
            )

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if self.export:
            config[self.hf] = self._expected(HFConfig(config))[0]

    def _expected(self, config: HFConfig) -> tuple[Any, ...]:
        return self.expected(config) if callable(self.expected) else self.expected


def brief(value: Any) -> str:
    """A value for an error or a note, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


@dataclass(frozen=True)
class RequireEqual:
    """An HF key the GGUF architecture stands for: any other value is another model. Absent will do."""

    hf: str
    value: Any

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        found = config.get(self.hf, self.value)
        if found != self.value:
            raise ArchitectureError(
                "llama.cpp has no such variant of this model",
                path="config.json",
                key=self.hf,
                found=brief(found),
                expected=self.value,
            )
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config[self.hf] = self.value


@dataclass(frozen=True)
class ConstHF:
    """An HF key GGUF has no use for and every export needs."""

    hf: str
    value: Any

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config[self.hf] = self.value


@dataclass(frozen=True)
class Text:
    """An HF key ↔ a GGUF key, both texts; nothing is written where there is none."""

    gguf: str
    hf: str

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        text = config.find(self.hf)
        if text is None:
            return
        if not isinstance(text, str):
            raise ArchitectureError("not a text", path="config.json", key=self.hf, found=brief(text))
        yield self.gguf, ValueType.STRING, text

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        text = facts.find(self.gguf)
        if isinstance(text, str):
            config[self.hf] = text


@dataclass(frozen=True)
class Note:
    """A note for checkpoints of which something holds that llama.cpp does not honour."""

    holds: Callable[[HFConfig], bool]
    text: str

    def forward(self, config: HFConfig) -> Iterator[Remark]:
        if self.holds(config):
            yield Remark(self.text)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        return


class Conditional:
    """Rules that hold for some configs of a family only; ``inverse`` asks the config made so far."""

    def __init__(self, holds: Callable[[HFConfig], bool], *rules: KeyRule) -> None:
        self.holds, self.rules = holds, rules

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        if self.holds(config):
            for rule in self.rules:
                yield from rule.forward(config)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if self.holds(HFConfig(config)):
            for rule in self.rules:
                rule.inverse(facts, config)


@dataclass(frozen=True)
class FromTensorPresence:
    """An HF flag that GGUF tells by a tensor being there (or, with ``absent``, not being there)."""

    hf: str
    tensor: str
    absent: bool = False

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        config.flag(self.hf)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config[self.hf] = facts.has(self.tensor) is not self.absent


@dataclass(frozen=True)
class FromTensorRows:
    """An HF size that GGUF tells by the rows of a tensor."""

    hf: str
    tensor: str

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find(self.hf) is not None:
            config.integer(self.hf)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rows = facts.rows_of(self.tensor)
        if rows is not None:
            config[self.hf] = rows


@dataclass(frozen=True)
class Causal:
    """``is_causal``, of which only false is ever written."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("is_causal") is False:
            yield "attention.causal", ValueType.BOOL, False

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if facts.find("attention.causal") is False:
            config["is_causal"] = False


def experts_keys(count: str, used: str = "num_experts_per_tok", *, least: int = 1) -> tuple[KeyRule, ...]:
    """How many routed experts there are, and how many a token uses, by their HF keys."""
    return Key("expert_count", count, least=least), Key("expert_used_count", used, least=least)


@dataclass(frozen=True)
class FourTimes:
    """A feed-forward network four times as wide as the model, which is all that llama.cpp's converter knows.

    Attributes:
        hf: the HF key some configs give its width by.
        width: the HF key of the model's width.
    """

    hf: str
    width: str = "hidden_size"

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        inner = 4 * config.integer(self.width)
        if config.find(self.hf) not in (None, inner):
            raise ArchitectureError(
                "the feed-forward must be four times as wide as the model in this architecture",
                path="config.json",
                key=self.hf,
                found=config.find(self.hf),
                expected=inner,
            )
        yield "feed_forward_length", ValueType.UINT32, inner

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        return


@dataclass(frozen=True)
class HeadDim:
    """``head_dim`` ↔ key and value length, which HF's families here keep equal.

    ``always``: whether an export states it even where the file does not.
    """

    always: bool | Callable[[GGUFFacts], bool] = True

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("head_dim") is not None:
            size = config.integer("head_dim")
            yield "attention.key_length", ValueType.UINT32, size
            yield "attention.value_length", ValueType.UINT32, size

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        size = facts.integer("attention.key_length")
        if size is not None:
            config["head_dim"] = size
        elif self.always(facts) if callable(self.always) else self.always:
            config["head_dim"] = head_size(HFConfig(config))


def head_size(config: HFConfig) -> int:
    """``head_dim``, or the width divided by the heads where the config does not say."""
    if config.find("head_dim") is not None:
        return config.integer("head_dim")
    width, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    if width % heads:
        raise ArchitectureError(
            "the width is not a multiple of the heads, and there is no head_dim",
            path="config.json",
            key="num_attention_heads",
            found=heads,
            expected=f"a divisor of hidden_size {width}",
        )
    return width // heads


LAYERS = Key("block_count", "num_hidden_layers", "n_layers", "n_layer", "num_layers", most=MAX_LAYERS)
CONTEXT = Key("context_length", "max_position_embeddings", "n_ctx", "n_positions")
WIDTH = Key("embedding_length", "hidden_size", "n_embd", "dim")
INNER = Key("feed_forward_length", "intermediate_size", "n_inner", "hidden_dim")
HEADS = Key("attention.head_count", "num_attention_heads", "n_head", "n_heads")
SIZES: tuple[KeyRule, ...] = (LAYERS, CONTEXT, WIDTH, INNER, HEADS)
"""What every transformer has, in the order most families write it."""

KV_HEADS = Key(
    "attention.head_count_kv",
    "num_key_value_heads",
    "n_kv_heads",
    absent=lambda config: config["num_attention_heads"],
)
LAYER_EPS = Key(
    "attention.layer_norm_epsilon",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "norm_epsilon",
    type=ValueType.FLOAT32,
)
CAUSAL = Causal()
RMS_EPS = Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps", type=ValueType.FLOAT32)
HEAD_DIM = HeadDim()
EXPERT_GROUPS: tuple[KeyRule, ...] = (
    Key("expert_group_count", "n_group"),
    Key("expert_group_used_count", "topk_group"),
)
EXPERT_SCALE_AND_NORM: tuple[KeyRule, ...] = (
    Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32),
    Key("expert_weights_norm", "norm_topk_prob", type=ValueType.BOOL),
)
VOCABULARY_SIZE = Key("vocab_size", "vocab_size")
ROPE_DIMENSION = DerivedKey("rope.dimension_count", ValueType.UINT32, head_size)
NO_SCALING_TYPE = DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "none")
META_LAYOUT = DerivedKey("tensor_data_layout", ValueType.STRING, lambda config: "Meta AI original pth")
MLP_BIAS = FromTensorPresence("mlp_bias", "blk.0.ffn_gate.bias")
