"""LoRA adapters for tiny checkpoints, in the layout PEFT saves, the same bytes everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.tiny.base import Tensors, normal, write_safetensors

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": None,
    "bias": "none",
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "lora_alpha": 12,
    "lora_dropout": 0.0,
    "modules_to_save": None,
    "r": 8,
    "rank_pattern": {},
    "alpha_pattern": {},
    "use_dora": False,
    "use_rslora": False,
}
PREFIX = "base_model.model."

_CONV1D = re.compile(r".*\.(c_attn|c_proj|c_fc)\.weight")
"""Matrices that GPT-2 has as (inputs, outputs)."""

_EMBEDDING = re.compile(r"(.*\.)?(embed_tokens|wte|shared)\.weight")


def shapes_of(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a checkpoint."""
    found = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        header.pop("__metadata__", None)
        found |= {name: tuple(entry["shape"]) for name, entry in header.items()}
    return found


def factors(name: str, shape: tuple[int, ...], rank: int) -> Tensors:
    """A and B for one matrix of a base model, under PEFT's names."""
    module = PREFIX + name.removesuffix(".weight")
    if (embedding := _EMBEDDING.fullmatch(name)) or _CONV1D.fullmatch(name):
        shape = (shape[1], shape[0])
    a, b = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A.weight", "lora_B.weight")
    return {
        f"{module}.{a}": normal(f"{name} A", (rank, shape[1]), 0.1),
        f"{module}.{b}": normal(f"{name} B", (shape[0], rank), 0.1),
    }


def write_adapter(
    directory: Path,
    tensors: Tensors,
    *,
    dtype: str = "F32",
    files: dict[str, str] | None = None,
    **config: Any,
) -> Path:
    """Write an adapter of these tensors, with these changes to the config, and return its path."""
    directory.mkdir(parents=True)
    text = json.dumps(CONFIG | config, indent=2)
    (directory / "adapter_config.json").write_text(text, encoding="utf-8")
    write_safetensors(directory / "adapter_model.safetensors", tensors, dtype)
    for name, contents in (files or {}).items():
        (directory / name).write_text(contents, encoding="utf-8")
    return directory


def adapt(
    checkpoint: Path, directory: Path, targets: str, *, rank: int = 8, dtype: str = "F32", **config: Any
) -> Path:
    """Write an adapter of all matrices of a checkpoint whose names match a regular expression."""
    tensors: Tensors = {}
    for name, shape in shapes_of(checkpoint).items():
        if re.fullmatch(targets, name):
            tensors |= factors(name, shape, rank)
    assert tensors
    return write_adapter(directory, tensors, dtype=dtype, **{"r": rank, **config})
