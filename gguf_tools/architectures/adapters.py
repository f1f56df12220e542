"""Adapters in the light of an architecture's table: they have pairs of factors for some of its matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ArchitectureError
from ..source import Source
from .config import HFConfig
from .low_rank import LowRank, factored, transposed
from .table import Architecture
from .tensors import COMMON_DROPS, dropped, expand
from .transforms import Chain, Transform, Transpose

__all__ = ["AdapterTable"]

_EMBEDDING = "token_embd.weight"


class AdapterTable:
    """The table of one model, asked for single tensors.

    Args:
        architecture: the family.
        config: config.json of the base model as parsed.
        names: of the tensors that are known, which tell what some configs do not say.

    Raises:
        ArchitectureError: a config value is missing or unusable.
    """

    def __init__(self, architecture: Architecture, config: Mapping[str, Any], names: Iterable[str]) -> None:
        self._architecture = architecture
        self._facts = HFConfig(architecture.complete(config, names))
        entries = architecture.entries(self._facts)
        layers = next(value for key, _, value in entries if key.endswith("block_count"))
        instances = expand(architecture.tensors, layers, self._facts)
        self._by_name = {name: instance for instance in instances for name in instance.hf}
        self._wrapped = architecture.is_wrapped(config)

    def name(self, given: str) -> str:
        """What the table calls a tensor."""
        return self._architecture.table_name(given, wrapped=self._wrapped)

    def is_conv1d(self, given: str) -> bool:
        """Whether a matrix is stored as (inputs, outputs), as transformers' ``Conv1D`` has them."""
        instance = self._by_name.get(self.name(given))
        return instance is not None and _first(instance.transform) == Transpose()

    def tied(self, given: Iterable[str]) -> list[str]:
        """Those of some tensors that are the token embeddings and the output at once."""
        shared = self._facts.flag("tie_word_embeddings")
        found = [(name, self._by_name.get(self.name(name))) for name in given] if shared else []
        return [name for name, instance in found if instance is not None and _EMBEDDING in instance.gguf]

    def to_gguf(self, pairs: Mapping[str, LowRank]) -> list[tuple[str, Source]]:
        """The factors under GGUF names, ``….lora_a`` and ``….lora_b``.

        Args:
            pairs: by HF name, as wide and high as the base's tensors are in the checkpoint.

        Raises:
            ArchitectureError: a tensor has no rule; or some tensors of a rule are adapted and others are
                not; or the rule does to them what cannot be done to factors.
        """
        known = {self.name(given): given for given in pairs}
        done: list[tuple[str, Source]] = []
        seen: set[int] = set()
        for name, given in known.items():
            reason = dropped((*COMMON_DROPS, *self._architecture.drops), name, self._facts)
            if reason is not None:
                raise ArchitectureError(f"is left out of GGUF files ({reason})", tensor=given)
            instance = self._by_name.get(name)
            if instance is None:
                raise ArchitectureError(
                    f"the adapter changes a tensor that {self._architecture.name} does not have", tensor=given
                )
            if id(instance) in seen:
                continue
            seen.add(id(instance))
            if missing := [other for other in instance.hf if other not in known]:
                raise ArchitectureError(
                    f"becomes one with {', '.join(missing[:4])}, which the adapter does not change; "
                    "merge the adapter into its base model instead",
                    tensor=given,
                )
            try:
                made = instance.transform.forward([pairs[known[n]] for n in instance.hf], self._facts)
                for target, view in zip(instance.gguf, made, strict=True):
                    done += _named(target, factored(view))
            except ArchitectureError as error:
                error.tensor = error.tensor or given
                raise
        return done


def _named(name: str, pair: LowRank) -> list[tuple[str, Source]]:
    """llama.cpp looks rows up in the first factor of token embeddings, where it multiplies by others."""
    a, b = (pair.b, transposed(pair.a)) if name == _EMBEDDING else (pair.a, pair.b)
    return [(f"{name}.lora_a", a), (f"{name}.lora_b", b)]


def _first(transform: Transform) -> Transform:
    return _first(transform.first) if isinstance(transform, Chain) else transform
