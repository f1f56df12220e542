"""Tensors of other shapes than the config asks for are refused before anything is written."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.shapes import wrong_shapes
from gguf_tools.container.metadata import Metadata
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.errors import ArchitectureError
from gguf_tools.source import ArraySource
from gguf_tools.spec import ValueType
from tests import tiny
from tests.architectures.parts import base

SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")


@pytest.mark.parametrize(
    ("name", "changes", "tensor"),
    [
        ("qwen2", {"hidden_size": 32}, "blk.0.attn_norm.weight"),
        ("dots1", {"num_key_value_heads": 524}, "blk.0.attn_k.weight"),
        ("exaone4", {"num_key_value_heads": None}, "blk.0.attn_k.weight"),
        ("gpt-oss", {"intermediate_size": 128_000}, "blk.0.ffn_down_exps.weight"),
        ("stablelm", {"intermediate_size": 512}, "blk.0.ffn_down.weight"),
        ("modern-bert", {"intermediate_size": 512}, "blk.0.ffn_up.weight"),
        ("umt5", {"d_model": None}, "output.weight"),
        ("nemotron", {"vocab_size": 544}, "token_embd.weight"),
        ("nomic-bert", {"vocab_size": 448_000}, "token_embd.weight"),
        ("rwkv7", {"vocab_size": None}, "token_embd.weight"),
        ("t5", {"vocab_size": None}, "token_embd.weight"),
    ],
)
def test_a_config_that_its_tensors_contradict(
    name: str, changes: dict[str, Any], tensor: str, tmp_path: Path
) -> None:
    directory = tiny.build(name, tmp_path)
    config = tiny.MODELS[name].config | changes
    config = {key: value for key, value in config.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ArchitectureError) as caught:
        plan_conversion(directory, recipe="BF16")
    assert (caught.value.path, caught.value.tensor) == (str(directory), tensor)


def test_tensors_that_grow_with_the_config_fit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that are equal in a tiny model by chance are not in this one, so no role stands for another."""
    monkeypatch.setattr(base, "normal", lambda name, shape, scale, centre=0.0: np.zeros(shape, np.float32))
    tried = 0
    for name, model in tiny.MODELS.items():
        if name not in tiny.NAMES:
            continue
        before = {tensor: array.shape for tensor, array in model.tensors(model.config).items()}
        for key in SIZES:
            if not isinstance(model.config.get(key), int):
                continue
            config = copy.deepcopy(model.config)
            config[key] *= 2
            tensors = model.tensors(config)
            if {tensor: array.shape for tensor, array in tensors.items()} == before:
                continue  # written down, not made of the config
            family = architectures.find(config)
            side = family.to_gguf(config, {tensor: ArraySource(array) for tensor, array in tensors.items()})
            metadata = Metadata([("general.architecture", ValueType.STRING, family.name), *side.metadata])
            assert list(wrong_shapes(metadata, dict(side.tensors))) == [], (name, key)
            tried += 1
    assert tried > 50


def test_latent_attention_of_the_real_sizes() -> None:
    """DeepSeek-V3: the cache has 512 values for all heads, a head has 128."""
    metadata = Metadata(
        [
            ("general.architecture", ValueType.STRING, "deepseek2"),
            ("deepseek2.embedding_length", ValueType.UINT32, 7168),
            ("deepseek2.attention.head_count", ValueType.UINT32, 128),
            ("deepseek2.attention.head_count_kv", ValueType.UINT32, 1),
            ("deepseek2.attention.key_length", ValueType.UINT32, 576),
            ("deepseek2.attention.value_length", ValueType.UINT32, 512),
            ("deepseek2.attention.key_length_mla", ValueType.UINT32, 192),
            ("deepseek2.attention.value_length_mla", ValueType.UINT32, 128),
        ]
    )

    def wrong(**shapes: tuple[int, int]) -> list[str]:
        tensors = {f"blk.0.{name}.weight": SimpleNamespace(shape=shape) for name, shape in shapes.items()}
        return [found.tensor for found in wrong_shapes(metadata, tensors)]

    assert wrong(attn_output=(7168, 128 * 128), attn_q=(128 * 192, 7168)) == []
    assert wrong(attn_output=(7168, 128 * 512)) == ["blk.0.attn_output.weight"]
    assert wrong(attn_q=(128 * 576, 7168)) == ["blk.0.attn_q.weight"]
