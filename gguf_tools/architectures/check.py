"""What an architecture's table says against a GGUF file: all of it, where a conversion stops at the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..container.metadata import Array, Metadata
from ..errors import ArchitectureError, FormatError, GGUFToolsError
from ..source import Source
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .table import Architecture
from .tensors import expand, matched
from .weight_scales import applied

__all__ = ["Problem", "check"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not match the table.

    Attributes:
        kind: "missing-key", "key-value" (unusable), "key-type" (llama.cpp insists on types), "unusual" (no
            config.json of this family would lead to such keys), "missing-tensor" or "unknown-tensor".
        name: of the key or tensor.
        message: what.
    """

    kind: Literal["missing-key", "key-value", "key-type", "unusual", "missing-tensor", "unknown-tensor"]
    name: str
    message: str


def check(architecture: Architecture, metadata: Metadata, tensors: Mapping[str, Source]) -> list[Problem]:
    """Compare keys, their types, and the set of tensors with what the table asks for.

    Tensors can only be told when the keys are sound; those of a file without any are not missed.
    """
    tensors = applied(tensors)
    facts = GGUFFacts(architecture.name, metadata, tensors)
    config: dict[str, Any] = {
        "architectures": [architecture.choose(facts) if architecture.choose else architecture.classes[0].name]
    }
    problems = list(_keys(architecture, facts, config))
    if problems:
        return problems
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not tensors and isinstance(tokens, Array):  # a vocabulary, without the embedding that tells its size
        config.setdefault("vocab_size", len(tokens))
    try:
        rest = dict(tensors)
        for extra in architecture.computed:
            if (source := rest.pop(extra.name, None)) is not None:
                extra.inverse(source, config, [])
        files = architecture.extras(facts, config) if architecture.extras else {}
        completed = HFConfig(architecture.complete(config), read_json=files.get)
        entries = architecture.entries(completed)
        instances = expand(architecture.tensors, facts.integer("block_count") or 0, completed)
    except (ArchitectureError, FormatError) as error:
        return [Problem("unusual", error.key or error.tensor or "", _said(error))]
    problems += _types({facts.key(key): kind for key, kind, _ in entries}, metadata)
    if tensors:
        _, unknown, missing = matched(instances, rest, inverse=True)
        problems += [
            Problem("missing-tensor", name, "the architecture needs this tensor") for name in missing
        ]
        problems += [Problem("unknown-tensor", name, "not a tensor of this architecture") for name in unknown]
    return problems


def _keys(architecture: Architecture, facts: GGUFFacts, config: dict[str, Any]) -> Iterator[Problem]:
    """Keys that are missing or unusable, by asking each rule for its part of config.json."""
    failed = False
    for rules in architecture.key_rules:
        for rule in rules:
            try:
                rule.inverse(facts, config)
            except FormatError as error:
                failed = True
                missing = error.key is not None and error.key not in facts.metadata
                yield Problem("missing-key" if missing else "key-value", error.key or "", _said(error))
            except ArchitectureError as error:
                if not failed:  # otherwise it follows from what is missing
                    yield Problem("unusual", error.key or error.tensor or "", _said(error))
            except KeyError:
                if not failed:
                    raise


def _types(expected: Mapping[str, ValueType], metadata: Metadata) -> Iterator[Problem]:
    """Keys of another type than this family has them in. A list for every layer may stand for one number."""
    for key, kind in expected.items():
        found = metadata.type_of(key) if key in metadata else kind
        if found is not kind and ValueType.ARRAY not in (found, kind):
            yield Problem("key-type", key, f"stored as {found.name}, and not as {kind.name}")


def _said(error: GGUFToolsError) -> str:
    """An error without its place."""
    return str(GGUFToolsError(error.message, found=error.found, expected=error.expected))
