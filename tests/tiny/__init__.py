"""Tiny checkpoints in the layout transformers saves, one or more per architecture, the same bytes everywhere.

``build("llama", directory)`` writes ``directory/tiny-llama`` and returns its path. The name of that
directory matters: ``general.name`` and friends are derived from it. A family's checkpoints stand in the
module of ``tests.architectures.families`` that is called as its table's in the package. Weights come from
SHAKE-256 of the tensor's name, so they depend on no random generator's version. Tokenizers are the files in
``fixtures/tiny-tokenizers``. Between them the models visit the awkward places: rows that are not a
multiple of 256 or of 32, tied and untied and tied-but-stored output, sharded files, biases, extra
buffers, a padded vocabulary, grouped heads, head sizes that do not divide the width.
"""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from gguf_tools.architectures.families import FAMILIES
from tests.architectures.parts.base import (
    TOKENIZERS,
    Tiny,
    decoder,
    normal,
    to_bf16,
    write_safetensors,
    write_sharded,
)
from tests.tiny import packed

__all__ = [
    "KNOWN",
    "MODELS",
    "NAMES",
    "OF_FAMILY",
    "PACKED_NAMES",
    "TOKENIZERS",
    "Tiny",
    "build",
    "decoder",
    "normal",
    "to_bf16",
    "write",
    "write_safetensors",
    "write_sharded",
]


def _of_family(name: str) -> dict[str, Tiny]:
    module = f"tests.architectures.families.{name}"
    return import_module(module).MODELS if find_spec(module) else {}


OF_FAMILY: dict[str, dict[str, Tiny]] = {name: _of_family(name) for name in FAMILIES}
"""Those with plain weights, by the module of their family; a test asks for one at least of each."""

_PLAIN = {name: model for models in OF_FAMILY.values() for name, model in models.items()}

NAMES = tuple(name for name, model in _PLAIN.items() if not model.apart)
"""Those with plain weights and goldens."""

KNOWN = tuple(name for name in NAMES if _PLAIN[name].known and not _PLAIN[name].foreign)
"""Those transformers can load."""

PACKED_NAMES = tuple(packed.PACKED)

MODELS: dict[str, Tiny] = {**_PLAIN, **packed.PACKED}


def build(name: str, directory: Path) -> Path:
    """Write the checkpoint ``name`` to ``directory/tiny-<name>`` afresh and return that path."""
    return write(MODELS[name], directory / f"tiny-{name}")


def write(model: Tiny, target: Path) -> Path:
    """Write a checkpoint to the directory ``target`` afresh and return that path."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    (target / "config.json").write_text(json.dumps(model.config, indent=2) + "\n", encoding="utf-8")
    write_sharded(target, model.tensors(model.config), model.dtype, model.shards)
    for file in sorted((TOKENIZERS / model.tokenizer).iterdir()):
        if file.name not in model.without:
            shutil.copyfile(file, target / file.name)
    for file_name, text in model.files.items():
        (target / file_name).parent.mkdir(exist_ok=True)
        (target / file_name).write_text(text, encoding="utf-8")
    return target
