"""Tiny checkpoints in the layout transformers saves, one or more per architecture, the same bytes everywhere.

``build("llama", directory)`` writes ``directory/tiny-llama`` and returns its path. The name of that
directory matters: ``general.name`` and friends are derived from it. Weights come from SHAKE-256 of the
tensor's name, so they depend on no random generator's version. Tokenizers are the files in
``fixtures/tiny-tokenizers``. Between them the models visit the awkward places: rows that are not a
multiple of 256 or of 32, tied and untied and tied-but-stored output, sharded files, biases, extra
buffers, a padded vocabulary, grouped heads, head sizes that do not divide the width.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import dense, encoders, first, hybrids, mixed, packed, second, third
from .base import TOKENIZERS, Tiny, decoder, normal, to_bf16, write_safetensors, write_sharded

__all__ = [
    "KNOWN",
    "MODELS",
    "NAMES",
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

_PLAIN: dict[str, Tiny] = {
    **first.MODELS,
    **second.MODELS,
    **third.MODELS,
    **dense.MODELS,
    **encoders.MODELS,
    **hybrids.MODELS,
    **mixed.MODELS,
}

NAMES = tuple(_PLAIN)
"""Those with plain weights."""

KNOWN = tuple(name for name, model in _PLAIN.items() if model.known and not model.foreign)
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
