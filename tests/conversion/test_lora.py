"""Adapters as llama.cpp's ``convert_lora_to_gguf.py`` converts them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.errors import ArchitectureError, CheckpointError, GGUFToolsError, UnsupportedError
from tests.adapters import CASES, PREFIX, adapt, factors, write_adapter
from tests.architectures.parts.base import normal
from tests.goldens.record_lora import GOLDEN, described

KNOWN: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))

ANOTHER_ORDER = {"mixtral": "its converter writes experts in an order of its own"}
TURNED = {"gpt2": "takes the factors of a Conv1D for those of a Linear: llama.cpp refuses its file"}
"""Deliberate differences: cases whose files differ from the reference's, and why."""


@pytest.mark.parametrize("recorded", KNOWN)
def test_the_file_is_the_converters(recorded: str, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    name, kind = recorded.rsplit(" ", 1)
    base = tiny_checkpoints[CASES[name].model]
    adapter = CASES[name].build(base, tmp_path / f"{name}-lora")
    plan = gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base, type=kind)
    found, golden = described(tmp_path / "a.gguf"), KNOWN[recorded]
    assert plan.size == (tmp_path / "a.gguf").stat().st_size
    assert found["metadata"] == golden["metadata"]
    assert list(found["metadata"]) == list(golden["metadata"])
    if name in TURNED:
        assert found["tensors"].keys() == golden["tensors"].keys()
        assert found["tensors"] != golden["tensors"]
        return
    assert found["tensors"] == golden["tensors"]
    assert (found["sha256"] == golden["sha256"]) == (name not in ANOTHER_ORDER)


def test_every_case_is_recorded() -> None:
    assert set(KNOWN) == {f"{name} {kind}" for name, case in CASES.items() for kind in case.kinds}


def test_factors_of_a_conv1d_have_the_shapes_llama_cpp_asks_for(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_checkpoints["gpt2"]
    adapter = CASES["gpt2"].build(base, tmp_path / "lora")
    gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base)
    gguf_tools.convert(base, tmp_path / "base.gguf", type="F32")
    with gguf_tools.open(tmp_path / "a.gguf") as made, gguf_tools.open(tmp_path / "base.gguf") as whole:
        for name in made.tensors:
            if name.endswith(".lora_a"):
                stem = name.removesuffix(".lora_a")
                rows, columns = whole.tensors[stem].shape
                assert made.tensors[name].shape == (8, columns)
                assert made.tensors[f"{stem}.lora_b"].shape == (rows, 8)


def test_alpha_of_a_rank_stabilized_adapter(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """llama.cpp divides by the rank, so that alpha must be √rank times as large; its converter forgets."""
    base = tiny_checkpoints["llama"]
    adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight", use_rslora=True)
    gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base)
    with gguf_tools.open(tmp_path / "a.gguf") as made:
        assert made.metadata["adapter.lora.alpha"] == np.float32(12 * np.sqrt(8))


class TestRefused:
    """Errors that name what is wrong, where, and what would do."""

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"peft_type": "IA3"}, "key 'peft_type': .*found IA3, expected LORA"),
            ({"use_dora": True}, "key 'use_dora'"),
            ({"bias": "all"}, "key 'bias': .*found all, expected none"),
            ({"lora_bias": True}, "key 'lora_bias'"),
            ({"init_lora_weights": "pissa_niter_16"}, "key 'init_lora_weights'"),
            ({"init_lora_weights": ["x"]}, "key 'init_lora_weights'"),
            ({"layer_replication": [[0, 2]]}, "key 'layer_replication'"),
            ({"target_parameters": ["mlp.experts.down_proj"]}, "key 'target_parameters'"),
            ({"rank_pattern": {"(a+)+$": 4}}, "key 'rank_pattern': a regular expression"),
            ({"rank_pattern": [4]}, "key 'rank_pattern': unusable value"),
            ({"r": 0}, "key 'r': .*found 0, expected a positive integer"),
            ({"r": 16}, r"q_proj.lora_A.weight': .*found \(8, 256\), expected a matrix of 16 rows"),
            ({"lora_alpha": float("nan")}, "key 'lora_alpha': .*found nan"),
            ({"lora_alpha": 0}, "key 'lora_alpha': .*found 0, expected a finite number that is not 0"),
            ({"lora_alpha": 10**99}, "key 'lora_alpha'"),
            ({"lora_alpha": 10**400}, "too long a number"),
            ({"lora_alpha": "16"}, "key 'lora_alpha': .*expected a number"),
            ({"alpha_pattern": {"layers.0.self_attn.q_proj": 4}}, "key 'alpha_pattern'"),
            ({"alora_invocation_tokens": ["a"]}, "key 'alora_invocation_tokens'"),
            ({"invocation_string": "go"}, "key 'invocation_string'"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_config(
        self, config: dict[str, Any], words: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
    ) -> None:
        base = tiny_checkpoints["llama"]
        adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight", **{"r": 8, **config})
        text = (adapter / "adapter_config.json").read_text(encoding="utf-8")
        settings = json.loads(text) | config
        (adapter / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
        with pytest.raises(GGUFToolsError, match=words):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base)
        assert not (tmp_path / "a.gguf").exists()

    @pytest.mark.parametrize(
        ("model", "targets", "words"),
        [
            ("deepseek-v2", r".*kv_b_proj\.weight", "kv_b_proj.weight': .*cannot be done to the factors"),
            ("falcon-h1-multipliers", r".*lm_head\.weight", "lm_head.weight': .*cannot be done"),
            (
                "mixtral",
                r".*experts\.1\.w1\.weight",
                r"experts\.1\.w1.weight': becomes one with .*experts\.0",
            ),
            ("bert", r"pooler\.dense\.weight", "pooler.dense.weight': is left out of GGUF files"),
        ],
    )
    def test_tensors(
        self, model: str, targets: str, words: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
    ) -> None:
        base = tiny_checkpoints[model]
        adapter = adapt(base, tmp_path / "lora", targets)
        with pytest.raises(ArchitectureError, match=words):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base)

    def test_a_tensor_of_another_model(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        tensors = factors("model.layers.9.self_attn.q_proj.weight", (256, 256), 8)
        adapter = write_adapter(tmp_path / "lora", tensors)
        with pytest.raises(ArchitectureError, match=r"layers.9.*llama does not have"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=tiny_checkpoints["llama"])

    def test_whole_tensors(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        tensors = factors("model.layers.0.self_attn.q_proj.weight", (256, 256), 8)
        tensors[f"{PREFIX}model.norm.weight"] = normal("n", (256,), 1)
        adapter = write_adapter(tmp_path / "lora", tensors, modules_to_save=["norm"])
        with pytest.raises(UnsupportedError, match=r"norm.weight': .*--merge-lora"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=tiny_checkpoints["llama"])

    def test_half_a_pair(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        tensors = factors("model.layers.0.self_attn.q_proj.weight", (256, 256), 8)
        tensors.pop(f"{PREFIX}model.layers.0.self_attn.q_proj.lora_B.weight")
        adapter = write_adapter(tmp_path / "lora", tensors)
        with pytest.raises(CheckpointError, match=r"only one of lora_A and lora_B is there: .*q_proj"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=tiny_checkpoints["llama"])

    def test_parts_that_are_not_known(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        name = f"{PREFIX}model.layers.0.self_attn.q_proj.lora_magnitude_vector"
        adapter = write_adapter(tmp_path / "lora", {name: normal("m", (256,), 1)})
        with pytest.raises(UnsupportedError, match="lora_magnitude_vector': a part of an adapter"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=tiny_checkpoints["llama"])

    def test_directories(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        base = tiny_checkpoints["llama"]
        with pytest.raises(CheckpointError, match=r"adapter_config.json is missing"):
            gguf_tools.convert_lora(base, tmp_path / "a.gguf", base=base)
        adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight")
        with pytest.raises(CheckpointError, match=r"key 'base_model_name_or_path': .*--base DIR"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf")
        with pytest.raises(CheckpointError, match=r"config.json is missing"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=adapter)
        with pytest.raises(UnsupportedError, match="found q4_k, expected f32, f16, bf16, q8_0"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base, type="q4_k")
        (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
        with pytest.raises(CheckpointError, match=r"adapter_model.bin is a pickle"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=base)
