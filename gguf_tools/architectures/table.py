"""An architecture as a table of rules, and the reading of that table in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..container.metadata import Array
from ..errors import ArchitectureError, FormatError
from ..recipes.traits import PLAIN_RECIPE, RecipeTraits
from ..source import Source
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .hf_defaults import hf_defaults
from .keys import Entry, KeyRule, entries_and_remarks
from .multimodal_prefix import reason_to_leave, unwrapped
from .tensor_to_key import Scalars
from .tensors import COMMON_DROPS, Drop, Rule, dropped, expand, packable, translate
from .traits import PLAIN_GRAPH, PLAIN_VOCABULARY, GraphTraits, VocabularyTraits
from .weight_scales import INPUT_SCALE, applied, factor_tensors

__all__ = ["Architecture", "FromConfig", "GGUFParts", "HFClass", "HFParts"]


_LAYER = re.compile(r"model\.layers\.(\d{1,6})\.")


@dataclass(frozen=True)
class HFClass:
    """A transformers model class.

    Attributes:
        name: what stands in ``architectures`` of config.json.
        model_type: what stands in ``model_type``.
        defaults: values of keys that config.json may leave out, beside those in `hf_defaults`. Essential
            sizes are not here: a config without them is an error.
        derived_defaults: keys that transformers computes where they are null, or left out without a default.
        prefixed: whether its tensors carry the architecture's ``prefix``.
        when: which configs of the class are this architecture, where GGUF has several for one class.
        export_only: whether it converts to another architecture, of the same computation.
        vocabulary: traits of its vocabulary, where they are not those of the family.
        like: the class whose defaults in `hf_defaults` it has, where transformers does not know its own.
    """

    name: str
    model_type: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    derived_defaults: Mapping[str, Callable[[HFConfig], Any]] = field(default_factory=dict)
    prefixed: bool = True
    when: Callable[[HFConfig], bool] | None = None
    export_only: bool = False
    vocabulary: VocabularyTraits | None = None
    like: str | None = None


class FromConfig(Protocol):
    """A GGUF tensor that HF states as numbers in config.json."""

    @property
    def name(self) -> str:
        """The GGUF tensor's name."""

    def forward(self, config: HFConfig) -> Source | None:
        """The tensor, or None when this model has none."""

    def inverse(self, source: Source, config: dict[str, Any], notes: list[str]) -> None:
        """Put the numbers back into ``config``. ArchitectureError when they cannot be derived."""


@dataclass(frozen=True)
class GGUFParts:
    """What an architecture contributes to a GGUF file.

    Attributes:
        leading: keys that llama.cpp's converter comes upon among the tensors, and so writes first. As in the
            next two, each is (full key, type, value), with floats already rounded to float32.
        shared: keys that all families have.
        family: the family's own.
        tensors: (GGUF name, rows), computed tensors first, then in the checkpoint's order.
        dropped: (HF name, reason) of tensors left out on purpose.
        notes: what GGUF or llama.cpp will not honour of the config, one sentence each.
        factors: names of tensors that only go with the stored form of another one, and that one's name; they
            follow it in ``tensors``.
        weight_only: names of tensors made of such that are ``weight_only``.
    """

    leading: Sequence[tuple[str, ValueType, Any]]
    shared: Sequence[tuple[str, ValueType, Any]]
    family: Sequence[tuple[str, ValueType, Any]]
    tensors: list[tuple[str, Source]]
    dropped: list[tuple[str, str]]
    notes: list[str]
    factors: Mapping[str, str] = field(default_factory=dict)
    weight_only: frozenset[str] = frozenset()

    @property
    def metadata(self) -> list[tuple[str, ValueType, Any]]:
        """All of the architecture's keys."""
        return [*self.leading, *self.shared, *self.family]


@dataclass(frozen=True)
class HFParts:
    """What an architecture contributes to a Hugging Face checkpoint.

    Attributes:
        config: config.json.
        tensors: (HF name, rows), in the GGUF file's order.
        notes: what the GGUF file did not carry, one sentence each.
        files: further JSON files by relative path (pooling of sentence-transformers).
        packed: whether some of the tensors are packed.
    """

    config: dict[str, Any]
    tensors: list[tuple[str, Source]]
    notes: list[str]
    files: dict[str, Any]
    packed: bool = False


@dataclass(frozen=True)
class Architecture:
    """One model family: everything its conversion needs, as data.

    Attributes:
        name: ``general.architecture``; tables for other layouts of the same may share it.
        classes: the transformers classes it covers; exports use the first unless ``choose`` says other.
        tokenizer_kinds: which tokenizers to look for, in order.
        prefix: transformers' ``base_model_prefix`` with its dot. A checkpoint of the bare model lacks it.
        unprefixed: beginnings of names that never carry the prefix.
        keys: rules for the metadata all families have, in the order in which they are written.
        leading_keys: rules for what llama.cpp's converter comes upon among the tensors, and so writes first.
        family_keys: rules for the family's own, which llama.cpp's converter writes last. The rules that only
            check config.json may stand in either.
        tensors: rules for tensors.
        computed: tensors made from config.json.
        scalars: tensors that become keys, which are written first of all.
        drops: tensors left out, besides `COMMON_DROPS`.
        drop_mtp_layers: layers after the last are left out too: they predict further tokens.
        renames: (regular expression, replacement) applied to HF names before anything else.
        matches_gguf: tells a GGUF file of this table from those of other tables of the same name; a table
            without takes all that are left.
        repeated: names (after ``renames``) a checkpoint may store several times; one is taken, if it can be
            the one with that very name.
        choose: picks the class of an export by name.
        export_notes: notes every export carries.
        extras: further JSON files of an export.
        vocabulary: what is said of its vocabulary beyond the tokenizer's files.
        graph: what the runtime's graph does without the file saying so.
        recipe: exceptions from the rules of recipes.
    """

    name: str
    classes: tuple[HFClass, ...]
    tokenizer_kinds: tuple[str, ...]
    keys: tuple[KeyRule, ...]
    tensors: tuple[Rule, ...]
    leading_keys: tuple[KeyRule, ...] = ()
    family_keys: tuple[KeyRule, ...] = ()
    prefix: str = "model."
    unprefixed: tuple[str, ...] = ("lm_head.",)
    computed: tuple[FromConfig, ...] = ()
    scalars: tuple[Scalars, ...] = ()
    drops: tuple[Drop, ...] = ()
    drop_mtp_layers: bool = False
    renames: tuple[tuple[str, str], ...] = ()
    matches_gguf: Callable[[GGUFFacts], bool] | None = None
    repeated: tuple[str, ...] = ()
    choose: Callable[[GGUFFacts], str] | None = None
    export_notes: tuple[str, ...] = ()
    extras: Callable[[GGUFFacts, dict[str, Any]], dict[str, Any]] | None = None
    vocabulary: VocabularyTraits = PLAIN_VOCABULARY
    graph: GraphTraits = PLAIN_GRAPH
    recipe: RecipeTraits = PLAIN_RECIPE

    def vocabulary_of(self, config: Mapping[str, Any]) -> VocabularyTraits:
        """The traits of a checkpoint's vocabulary."""
        name = class_name(config)
        stated = next((entry.vocabulary for entry in self.classes if entry.name == name), None)
        return self.vocabulary if stated is None else stated

    @property
    def hf_classes(self) -> tuple[str, ...]:
        """Names of the transformers classes it is the architecture of."""
        return tuple(entry.name for entry in self.classes if not entry.export_only)

    def covers(self, config: Mapping[str, Any]) -> bool:
        """Whether a config is of one of the classes, and not of the kind another architecture is for."""
        name = class_name(config)
        chosen = next((entry for entry in self.classes if entry.name == name and not entry.export_only), None)
        return chosen is not None and (chosen.when is None or chosen.when(HFConfig(self.complete(config))))

    def complete(self, config: Mapping[str, Any], tensor_names: Iterable[str] = ()) -> dict[str, Any]:
        """The config with nested text settings at the root and transformers' defaults filled in.

        ``tensor_names`` are those of the checkpoint, which tell what some configs do not say.

        Raises:
            ArchitectureError: it names no class of this architecture.
        """
        text = config.get("text_config")
        values = {**config, **text} if isinstance(text, Mapping) else dict(config)
        chosen = next((c for c in self.classes if c.name == class_name(config)), None)
        if chosen is None:
            raise ArchitectureError(
                f"not a class of {self.name}",
                path="config.json",
                key="architectures",
                found=class_name(config),
                expected=", ".join(self.hf_classes),
            )
        values = {
            "tie_word_embeddings": False,
            **hf_defaults(chosen.like or chosen.name),
            **chosen.defaults,
            **values,
        }
        for key, value in chosen.derived_defaults.items():
            if values.get(key) is None:
                values[key] = value(HFConfig(values, tensor_names=tensor_names))
        return values

    def to_gguf(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Source],
        *,
        token_count: int | None = None,
        read_json: Callable[[str], Any] | None = None,
    ) -> GGUFParts:
        """Translate a checkpoint.

        Args:
            config: config.json as parsed; code it refers to (``auto_map``) is ignored.
            tensors: the checkpoint's tensors by name.
            token_count: length of the tokenizer's vocabulary; families that pad their embeddings are cut
                to it.
            read_json: reads another JSON file of the checkpoint by relative path (``modules.json``),
                giving None when there is none. Without it pooling is not written.

        Raises:
            ArchitectureError: a config value is missing or unusable, tensors are missing or unknown, or a
                shape does not fit.
        """
        facts = HFConfig(self.complete(config, tensors), token_count=token_count, read_json=read_json)
        groups = []
        notes: list[str] = []
        for rules in self.key_rules:
            entries, remarks = entries_and_remarks(rules, facts)
            groups.append([(f"{self.name}.{key}", kind, value) for key, kind, value in entries])
            notes += remarks
        leading, shared, family = groups
        every = (*leading, *shared, *family)
        layers = next(value for key, _, value in every if key.endswith(".block_count"))
        wrapped = self.is_wrapped(config)
        sources, original, left_out = self._named(tensors, layers, facts, wrapped=wrapped)
        leading[:0] = [rule.forward(sources, layers) for rule in self.scalars]
        hint = ""
        quantization = facts.find("quantization_config")
        if isinstance(quantization, Mapping):
            method = quantization.get("quant_method")
            hint = f" (config.json says quant_method {method!r}: is this a packed checkpoint?)"
        instances = expand(self.tensors, layers, facts)
        translated = translate(instances, sources, facts, inverse=False, shown=original, hint=hint)
        made = [(rule.name, made) for rule in self.computed if (made := rule.forward(facts)) is not None]
        factors: dict[str, str] = {}
        for name, source in translated:
            beside = factor_tensors(name, source)
            factors |= dict.fromkeys((ending for ending, _ in beside), name)
            made += [(name, source), *beside]
        weight_only = frozenset(
            name
            for instance in instances
            if any(hf in sources and sources[hf].weight_only for hf in instance.hf)
            for name in instance.gguf
        )
        return GGUFParts(leading, shared, family, made, left_out, notes, factors, weight_only)

    def to_hf(
        self,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, Source],
        *,
        dtype: str | None = None,
        packed: bool = False,
    ) -> HFParts:
        """Translate a GGUF file back.

        Args:
            metadata: the file's metadata (all of it: token ids come from the tokenizer's keys).
            tensors: the file's tensors by name.
            dtype: written as ``torch_dtype``.
            packed: whether tensors that the family is published with in packed form keep their blocks.

        Raises:
            FormatError: a key is missing or unusable.
            ArchitectureError: tensors are missing or unknown, or the keys say something config.json
                cannot.
        """
        inputs = any(name.endswith(INPUT_SCALE) for name in tensors)
        tensors = applied(tensors)
        facts = GGUFFacts(self.name, metadata, tensors)
        wanted = self.choose(facts) if self.choose else self.classes[0].name
        chosen = next(entry for entry in self.classes if entry.name == wanted)
        config: dict[str, Any] = {"architectures": [chosen.name], "model_type": chosen.model_type}
        for rules in self.key_rules:
            for rule in rules:
                rule.inverse(facts, config)
        config.update(_token_ids(metadata))
        if dtype is not None:
            config["torch_dtype"] = dtype
        notes = list(self.export_notes)
        if inputs:
            notes.append(f"scales of activations ({INPUT_SCALE}) have no place in the checkpoint: left out")
        rest = dict(tensors)
        for extra in self.computed:
            if (source := rest.pop(extra.name, None)) is not None:
                extra.inverse(source, config, notes)
        files = self.extras(facts, config) if self.extras else {}
        completed = HFConfig(self.complete(config), read_json=files.get)
        notes += self._compared(completed, facts)
        layers = facts.integer("block_count") or 0
        instances, packing = packable(expand(self.tensors, layers, completed), rest, packed=packed)
        translated = translate(instances, rest, completed, inverse=True)
        translated += [made for rule in self.scalars for made in rule.inverse(facts, layers)]
        if not chosen.prefixed:
            translated = [(name.removeprefix(self.prefix), source) for name, source in translated]
        return HFParts(config, translated, notes, files, packing)

    @property
    def key_rules(self) -> tuple[tuple[KeyRule, ...], ...]:
        """All rules for keys, in the order in which they are written."""
        return self.leading_keys, self.keys, self.family_keys

    def entries(self, config: HFConfig) -> list[Entry]:
        """The keys of a complete config, without the architecture's name."""
        return self._entries(config)[0]

    def _entries(self, config: HFConfig) -> tuple[list[Entry], list[str]]:
        return entries_and_remarks((rule for rules in self.key_rules for rule in rules), config)

    def is_wrapped(self, config: Mapping[str, Any]) -> bool:
        """Whether a config is of a model that holds the text model as a part."""
        return any(isinstance(config.get(key), Mapping) for key in ("text_config", "vision_config"))

    def table_name(self, given: str, *, wrapped: bool) -> str:
        """The name the rules use for a checkpoint's tensor."""
        name = unwrapped(given, self.prefix) if wrapped else given
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name if name.startswith((self.prefix, *self.unprefixed)) else self.prefix + name

    def _named(
        self, tensors: Mapping[str, Source], layers: int, config: HFConfig, *, wrapped: bool
    ) -> tuple[dict[str, Source], dict[str, str], list[tuple[str, str]]]:
        """Tensors under the names the rules use, their original names, and those dropped with reasons."""
        sources: dict[str, Source] = {}
        original: dict[str, str] = {}
        left_out: list[tuple[str, str]] = []
        for given, source in tensors.items():
            if wrapped and (reason := reason_to_leave(given)) is not None:
                left_out.append((given, reason))
                continue
            name = self.table_name(given, wrapped=wrapped)
            if (reason := dropped((*COMMON_DROPS, *self.drops), name, config)) is not None:
                left_out.append((given, reason))
            elif self.drop_mtp_layers and (at := _LAYER.match(name)) and int(at[1]) >= layers:
                left_out.append((given, "beyond num_hidden_layers: predicts several tokens at once"))
            elif name in self.repeated and name in sources:
                spare, kept = (original[name], given) if given == name else (given, original[name])
                left_out.append((spare, f"the same as {kept}"))
                sources[name], original[name] = tensors[kept], kept
            elif name in sources:
                raise ArchitectureError(f"the same tensor as {original[name]!r}", tensor=given)
            else:
                sources[name], original[name] = source, given
        return sources, original, left_out

    def _compared(self, config: HFConfig, facts: GGUFFacts) -> list[str]:
        """Notes on keys the new config does not give again; the way back must not change any value."""
        entries, remarks = self._entries(config)
        again = {facts.key(key): value for key, _, value in entries}
        for key, value in again.items():
            if key in facts.metadata and not _same(facts.metadata[key], value):
                raise FormatError(
                    "config.json cannot express this value together with the others",
                    key=key,
                    found=facts.metadata[key],
                    expected=value,
                )
        unused = [key for key in facts.metadata if key.startswith(f"{self.name}.") and key not in again]
        return [f"{key} has no counterpart in config.json and was left out" for key in unused] + remarks


def class_name(config: Mapping[str, Any]) -> str:
    """The transformers class of a config: that of the nested text model where it names one.

    Raises:
        ArchitectureError: there is none.
    """
    text = config.get("text_config")
    for place in (text if isinstance(text, Mapping) else {}, config):
        names = place.get("architectures")
        if isinstance(names, Sequence) and not isinstance(names, str) and names and isinstance(names[0], str):
            return names[0]
    raise ArchitectureError(
        "the model's config does not name its class",
        path="config.json",
        key="architectures",
        found=config.get("architectures"),
        expected='a list such as ["LlamaForCausalLM"]',
    )


def _same(found: Any, made: Any) -> bool:
    if isinstance(found, Array) or isinstance(made, Array):
        return bool(found == made)
    if isinstance(made, float) and isinstance(found, int | float):
        return bool(np.float32(found) == np.float32(made))
    return type(found) is type(made) and bool(found == made)


def _token_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    ids = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    found = {hf: metadata.get(f"tokenizer.ggml.{name}_token_id") for hf, name in ids.items()}
    return {hf: token for hf, token in found.items() if type(token) is int}
