"""Record what transformers assumes where config.json leaves a key out, for the classes of our families.

Run by ``make goldens`` in the environment of the parity tests. Recorded are the keys that a family's rules
read, as far as the class has a default of its own for them. Sizes every checkpoint states are left out: a
config without them is an error, except where a model of several parts leaves them to its text model.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf_tools.architectures import ARCHITECTURES, Architecture
from gguf_tools.architectures.config import HFConfig
from gguf_tools.architectures.tensors import expand
from gguf_tools.errors import GGUFToolsError

FILE = Path(__file__).resolve().parents[2] / "gguf_tools/architectures/data/hf_defaults.json"

SIZES = frozenset(
    {
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("n_embd", "n_layer", "n_head", "n_embed", "d_model", "n_layers", "n_heads", "dim", "hidden_dim"),
        *("d_ff", "d_kv", "num_heads", "num_layers", "model_dim", "num_transformer_layers"),
    }
)
"""What is no default of a family: the size of a model."""

FOREIGN = frozenset({"JinaBertModel", "JinaBertForMaskedLM"})
"""Classes of code beside checkpoints whose ``model_type`` is that of another class."""


class Recorder(HFConfig):
    """A config that notes which keys are read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def find(self, *keys: str) -> Any:
        self.read.update(keys)
        return super().find(*keys)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def _needed(self, keys: tuple[str, ...]) -> tuple[str, Any]:
        self.read.update(keys)
        return super()._needed(keys)


def text_config(model_type: str) -> Any:
    """transformers' default config of the text model, None where it has none of this name."""
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        return None
    return CONFIG_MAPPING[model_type]().get_text_config()


def stated_defaults(config: Any) -> dict[str, Any]:
    """The defaults a config class states, without what it computes from others.

    transformers 4 has them in the signature of ``__init__``, which 5 gives its dataclasses too.
    """
    parameters = inspect.signature(type(config).__init__).parameters.values()
    return {
        p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | list | dict)
    }


def keys_read(table: Architecture, name: str, config: dict[str, Any]) -> set[str]:
    """Keys of config.json that the rules of a family read."""
    recorder = Recorder(table.complete({**config, "architectures": [name]}))
    for rules in table.key_rules:
        for rule in rules:
            _exhaust(rule.forward(recorder))
    for rule in table.tensors:
        try:
            expand((rule,), 4, recorder)
        except (GGUFToolsError, KeyError, TypeError):
            continue
    return recorder.read


def _is_open(key: str, stated: dict[str, Any]) -> bool:
    """Whether a default only says that something is to be computed or is not there, or names a token."""
    return stated[key] == "auto" or key.endswith("_token_id") or (stated[key] == 0 and key.endswith("_size"))


def _exhaust(entries: Iterator[Any]) -> None:
    try:
        for _ in entries:
            pass
    except (GGUFToolsError, KeyError, TypeError):
        return


def record() -> dict[str, dict[str, Any]]:
    """Defaults by class name."""
    made: dict[str, dict[str, Any]] = {}
    for table in ARCHITECTURES:
        for entry in table.classes:
            config = None if entry.name in FOREIGN else text_config(entry.model_type)
            if config is None:
                continue
            stated = stated_defaults(config)
            read = keys_read(table, entry.name, config.to_dict())
            found = {
                key: stated[key] for key in sorted(read & set(stated) - SIZES) if not _is_open(key, stated)
            }
            found["tie_word_embeddings"] = bool(
                config.tie_word_embeddings
            )  # often a default of the base class
            made[entry.name] = {**made.get(entry.name, {}), **found}
    return dict(sorted(made.items()))


def main() -> None:
    lines = [
        f"  {json.dumps(name)}: {json.dumps(values, sort_keys=True)}" for name, values in record().items()
    ]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
