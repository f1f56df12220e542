"""Tensor rules: HF name pattern ↔ GGUF name pattern, with a transform, read in either direction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import ArchitectureError
from ..source import Source
from ..spec import MAX_LAYERS, GGMLType
from .config import HFConfig
from .transforms import IDENTITY, Transform

__all__ = [
    "COMMON_DROPS",
    "Condition",
    "Drop",
    "PerLayer",
    "Rule",
    "always",
    "expand",
    "limit_to",
    "listed",
    "matched",
    "packable",
    "translate",
    "unless",
    "weight_and_bias",
]

MAX_EXPERTS: Final = 1024
"""llama.cpp's ``LLAMA_MAX_EXPERTS``."""

_SHOWN: Final = 20
"""Names an error lists before it only counts."""

Condition = Callable[[HFConfig, int], bool]


def always(config: HFConfig, layer: int) -> bool:
    """The condition that holds everywhere."""
    return True


def unless(condition: Condition) -> Condition:
    """The condition that another one does not hold."""
    return lambda config, layer: not condition(config, layer)


@dataclass(frozen=True)
class PerLayer:
    """A transform that is another one in every layer: ``at`` gives it."""

    at: Callable[[int], Transform]


@dataclass(frozen=True)
class Rule:
    """One row of the tensor table.

    Patterns are names with ``{i}`` for the layer and, in HF names, ``{e}`` for the expert: then the rule
    takes one HF tensor per expert. Several HF or several GGUF patterns make a fusion or a split.

    Rules that give the same GGUF tensors are alternatives, for layouts a family has been published in: a
    checkpoint has one of them, an export takes the first.

    Attributes:
        hf: HF name patterns.
        gguf: GGUF name patterns.
        transform: what happens to the data.
        when: where the rule exists at all, by config and layer (0 for a rule without layers).
        needed: where its tensors must be there; elsewhere they may be.
        experts: HF config key with the number of experts, for patterns with ``{e}``.
        stored: a type with blocks that the HF tensors are in: an export takes the rule only where packed
            tensors are wanted and all of its GGUF tensors are stored so, and then before its alternatives.
        layers: HF config key with the number of layers, where it is not the model's (a decoder beside an
            encoder).
    """

    hf: tuple[str, ...]
    gguf: tuple[str, ...]
    transform: Transform | PerLayer = IDENTITY
    when: Condition = always
    needed: Condition = always
    experts: str = "num_local_experts"
    stored: GGMLType | None = None
    layers: str | None = None


@dataclass(frozen=True)
class Drop:
    """HF tensors with no place in GGUF: a regular expression for the whole name, why, and in which models."""

    pattern: str
    reason: str
    when: Callable[[HFConfig], bool] = lambda config: True


COMMON_DROPS: Final = (
    Drop(r".*\.rotary_emb\.inv_freq", "a buffer: follows from the RoPE base"),
    Drop(r".*\.attention\.(masked_)?bias", "a buffer: the causal mask"),
)


@dataclass
class Instance:
    """A rule for one layer: concrete names on both sides, and what happens to the data."""

    transform: Transform
    hf: list[str]
    gguf: list[str]
    needed: bool
    stored: GGMLType | None = None


def weight_and_bias(
    hf: str,
    gguf: str,
    transform: Transform = IDENTITY,
    *,
    bias: Condition = always,
    when: Condition = always,
) -> tuple[Rule, Rule]:
    """Rules for the ``.weight`` and the ``.bias`` of one module; ``bias`` says where the bias must be."""
    return (
        Rule((f"{hf}.weight",), (f"{gguf}.weight",), transform, when=when),
        Rule((f"{hf}.bias",), (f"{gguf}.bias",), transform, when=when, needed=bias),
    )


def limit_to(when: Condition, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rules, for layers of which ``when`` holds too."""

    def both(rule: Rule) -> Condition:
        return lambda config, layer: when(config, layer) and rule.when(config, layer)

    return tuple(replace(rule, when=both(rule)) for rule in rules)


def expand(rules: Iterable[Rule], layers: int, config: HFConfig) -> list[Instance]:
    """All instances of the rules for a model of so many layers.

    Raises:
        ArchitectureError: more experts than llama.cpp can hold.
    """
    instances = []
    for rule in rules:
        count = layers if rule.layers is None else config.integer(rule.layers, most=MAX_LAYERS)
        for layer in range(count) if "{i}" in rule.gguf[0] else (0,):
            if rule.when(config, layer):
                hf = [name for pattern in rule.hf for name in _names(pattern, layer, rule, config)]
                gguf = [pattern.format(i=layer) for pattern in rule.gguf]
                transform = rule.transform
                if isinstance(transform, PerLayer):
                    transform = transform.at(layer)
                instances.append(Instance(transform, hf, gguf, rule.needed(config, layer), rule.stored))
    return instances


def packable(
    instances: Iterable[Instance], sources: Mapping[str, Source], *, packed: bool
) -> tuple[list[Instance], bool]:
    """The instances an export has to do with, in order of precedence, and whether any of them packs.

    Args:
        instances: what `expand` gave.
        sources: the GGUF tensors.
        packed: whether packed tensors are wanted where they can be had.
    """
    plain: list[Instance] = []
    packing: list[Instance] = []
    for instance in instances:
        stored = instance.stored
        if stored is None:
            plain.append(instance)
        elif packed and all(name in sources and sources[name].storage is stored for name in instance.gguf):
            packing.append(instance)
    return [*packing, *plain], bool(packing)


def _names(pattern: str, layer: int, rule: Rule, config: HFConfig) -> list[str]:
    if "{e}" not in pattern:
        return [pattern.format(i=layer)]
    experts = config.integer(rule.experts, most=MAX_EXPERTS)
    return [pattern.format(i=layer, e=expert) for expert in range(experts)]


def matched(
    instances: Sequence[Instance], sources: Mapping[str, Source], *, inverse: bool
) -> tuple[dict[str, Instance], list[str], list[str]]:
    """Which instance each name belongs to, the names of ``sources`` without one, and those that are missing.

    Arguments as for `translate`.
    """
    by_name: dict[str, Instance] = {}
    absent: list[tuple[Instance, list[str]]] = []
    made: set[str] = set()
    for instance in instances:
        names = instance.gguf if inverse else instance.hf
        if inverse and not made.isdisjoint(names):
            continue  # an alternative to a rule that comes first
        if gone := [name for name in names if name not in sources]:
            absent.append((instance, gone))
        if inverse or len(gone) < len(names):
            made.update(instance.gguf)
        by_name.update(dict.fromkeys(names, instance))
    missing = [
        name
        for instance, gone in absent
        if len(gone) < len(instance.gguf if inverse else instance.hf)
        or (instance.needed and (inverse or not made.issuperset(instance.gguf)))
        for name in gone
    ]
    return by_name, [name for name in sources if name not in by_name], missing


def translate(
    instances: Sequence[Instance],
    sources: Mapping[str, Source],
    config: HFConfig,
    *,
    inverse: bool,
    shown: Mapping[str, str] | None = None,
    hint: str = "",
) -> list[tuple[str, Source]]:
    """All tensors under the other side's names, in the order in which the first of each rule is met.

    Args:
        instances: what `expand` gave.
        sources: the tensors, under HF names, or GGUF names when ``inverse``.
        config: given to the transforms.
        inverse: GGUF → HF instead of HF → GGUF.
        shown: names to use in errors instead of the keys of ``sources``.
        hint: appended to the error about names.

    Raises:
        ArchitectureError: tensors without a rule, or missing (all are counted, the first ones named), or
            of a shape the transform cannot take.
    """
    by_name, unmapped, missing = matched(instances, sources, inverse=inverse)
    unmapped = [(shown or {}).get(name, name) for name in unmapped]
    if unmapped or missing:
        parts = [listed("without a rule", unmapped)] if unmapped else []
        parts += [listed("missing", missing)] if missing else []
        raise ArchitectureError(f"the tensors do not match the architecture: {'; '.join(parts)}{hint}")
    done: list[tuple[str, Source]] = []
    seen: set[int] = set()
    for name in sources:
        instance = by_name[name]
        if id(instance) not in seen:
            seen.add(id(instance))
            done += _apply(instance, sources, config, inverse)
    return done


def _apply(
    instance: Instance, sources: Mapping[str, Source], config: HFConfig, inverse: bool
) -> list[tuple[str, Source]]:
    here, there = (instance.gguf, instance.hf) if inverse else (instance.hf, instance.gguf)
    transform = instance.transform
    try:
        made = (transform.inverse if inverse else transform.forward)([sources[name] for name in here], config)
    except ArchitectureError as error:
        if error.tensor is None and error.path is None:
            error.tensor = here[0]
        raise
    if len(made) != len(there):
        raise ArchitectureError(
            "the number of parts does not fit the model", tensor=here[0], found=len(made), expected=len(there)
        )
    return list(zip(there, made, strict=True))


def listed(what: str, names: Sequence[str]) -> str:
    """``3 tensors missing: a, b, c``, with at most `_SHOWN` names."""
    text = ", ".join(name if len(name) <= 120 else name[:120] + "…" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''} {what}: {text}{more}"


def dropped(drops: Sequence[Drop], name: str, config: HFConfig) -> str | None:
    """Why a tensor is left out, or None when it is not."""
    hits = (drop for drop in drops if re.fullmatch(drop.pattern, name) and drop.when(config))
    return next((drop.reason for drop in hits), None)
