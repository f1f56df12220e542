"""Pooling of embedding models: sentence-transformers' files ↔ ``pooling_type``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import ArchitectureError, FormatError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .keys import Entry

__all__ = ["Pooling", "pooling_files"]

_MODES: Final = {  # GGUF value: sentence-transformers' flag, and its newer spelling
    1: ("pooling_mode_mean_tokens", "mean"),
    2: ("pooling_mode_cls_token", "cls"),
    3: ("pooling_mode_lasttoken", "lasttoken"),
}


@dataclass(frozen=True)
class Pooling:
    """Reads ``modules.json`` and the pooling module's config; nothing is written where there are none."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        modules = config.read_json("modules.json")
        if modules is None:
            return
        if not isinstance(modules, list) or not all(isinstance(module, Mapping) for module in modules):
            raise ArchitectureError("not a list of modules", path="modules.json", found=modules)
        pooling = next((m for m in modules if str(m.get("type")).endswith("Pooling")), None)
        if pooling is None:
            return
        name = f"{pooling.get('path')}/config.json"
        settings = config.read_json(name)
        if not isinstance(settings, Mapping):
            raise ArchitectureError("modules.json names a pooling module that is not there", path=name)
        for value, (flag, mode) in _MODES.items():
            if settings.get(flag) or settings.get("pooling_mode") == mode:
                yield "pooling_type", ValueType.UINT32, value
                return
        raise ArchitectureError(
            "a pooling mode llama.cpp does not have",
            path=name,
            found=[key for key, on in settings.items() if key.startswith("pooling_mode") and on],
            expected="mean, cls or last token",
        )

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        return


def pooling_files(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, Any]:
    """The files of a sentence-transformers directory that state the pooling; none where GGUF has none.

    Raises:
        FormatError: a pooling type sentence-transformers has no name for.
    """
    pooling = facts.integer("pooling_type", least=0)
    if not pooling:
        return {}
    if pooling not in _MODES:
        raise FormatError(
            "no counterpart in sentence-transformers", key=facts.key("pooling_type"), found=pooling
        )
    package = "sentence_transformers.models."
    return {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": package + "Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": package + "Pooling"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": facts.integer("embedding_length"),
            **{flag: value == pooling for value, (flag, _) in _MODES.items()},
        },
    }
