"""LoRA adapters for tiny checkpoints, in the layout PEFT saves, the same bytes everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.architectures.parts.base import Tensors, normal, write_safetensors

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


class Case(NamedTuple):
    """An adapter whose conversion is recorded.

    Attributes:
        model: the tiny checkpoint it is for.
        targets: what it changes, see `adapt`.
        kinds: what its factors are stored as.
        rank: of all its factors.
        dtype: of the file.
        config: changes to the config.
        files: further files in its directory.
    """

    model: str
    targets: str
    kinds: tuple[str, ...] = ("f32",)
    rank: int = 8
    dtype: str = "F32"
    config: dict[str, Any] = {}  # noqa: RUF012
    files: dict[str, str] = {}  # noqa: RUF012

    def build(self, checkpoint: Path, directory: Path) -> Path:
        """Write the adapter."""
        made = adapt(checkpoint, directory, self.targets, rank=self.rank, dtype=self.dtype, **self.config)
        for name, text in self.files.items():
            (made / name).write_text(text, encoding="utf-8")
        return made


_PROJECTIONS = r".*(_proj|lm_head)\.weight"
_CARD = "---\nlicense: mit\nbase_model: example/Tiny-Llama-1B\n---\n# An adapter\n"

CASES = {
    "llama": Case("llama", _PROJECTIONS, ("f32", "f16", "bf16", "q8_0")),
    "llama-bf16": Case("llama", _PROJECTIONS, ("f32", "q8_0"), 32, "BF16", files={"README.md": _CARD}),
    "llama-embeddings": Case("llama", r".*(embed_tokens|q_proj)\.weight", ("f32", "f16")),
    "llama-activated": Case("llama", r".*[qv]_proj\.weight", config={"alora_invocation_tokens": [17, 4, 9]}),
    "mixtral": Case("mixtral", r".*(\.w[123]|[qk]_proj)\.weight"),
    "qwen3": Case("qwen3", _PROJECTIONS),
    "gemma2": Case("gemma2", _PROJECTIONS),
    "gemma3-vision": Case("gemma3-vision", r".*language_model.*_proj\.weight"),
    "glm4": Case("glm4", _PROJECTIONS),
    "gpt-neox": Case("gpt-neox", r".*(query_key_value|dense_h_to_4h)\.weight"),
    "bloom": Case("bloom", r".*(query_key_value|dense)\.weight"),
    "falcon": Case("falcon", r".*(query_key_value|dense)\.weight"),
    "internlm2": Case("internlm2", r".*(wqkv|wo)\.weight"),
    "openelm": Case("openelm", r".*_proj\.weight"),
    "granite-hybrid": Case("granite-hybrid", r".*(in_proj|q_proj)\.weight"),
    "t5": Case("t5", r".*(SelfAttention\.[qkvo]|wo)\.weight"),
    "gpt2": Case("gpt2", r".*(c_attn|c_fc)\.weight", config={"fan_in_fan_out": True}),
}
"""Each family with a transform of its own, and each thing a config can say that a GGUF adapter has too."""
