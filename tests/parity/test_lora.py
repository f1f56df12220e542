"""Adapters against PEFT, which merges them with torch, and in llama.cpp, which applies them as it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from tests.adapters import adapt
from tests.goldens import record_lora
from tests.references import newer_llama

pytestmark = pytest.mark.parity

TOKENS = [5, 17, 99, 4, 250, 31, 8, 77, 300, 12]
LARGEST_DIFFERENCE = 1e-4
"""Of a log-probability; measured 1.5e-5 or less, of more than 1 that the adapters change."""

UNITS = 4
"""In the last place of a tensor's largest value."""

CASES = [
    ("llama", r".*(_proj|lm_head)\.weight", {}),
    ("llama-hf", r".*(embed_tokens|[qk]_proj)\.weight", {}),
    ("qwen3", r".*_proj\.weight", {"use_rslora": True}),
    ("gemma2", r".*_proj\.weight", {}),
    ("gpt2", r".*(c_attn|c_proj|c_fc)\.weight", {"fan_in_fan_out": True}),
]


def test_recording_again_gives_the_committed_golden(tmp_path: Path) -> None:
    assert record_lora.record(tmp_path) == record_lora.GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "targets", "config"),
    [
        *CASES,
        (
            "llama",
            r".*[qv]_proj\.weight",
            {"alpha_pattern": {"self_attn.v_proj": 5, "^model.layers.0.self_attn.q_proj": 3}},
        ),
        ("mixtral", r".*experts\.1\.w2\.weight", {"alpha_pattern": {"w2": 7}}),
    ],
)
def test_the_merged_weights_are_pefts(
    model: str,
    targets: str,
    config: dict[str, Any],
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
    measured: Callable[[str], None],
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny_checkpoints[model]
    modules = targets.removesuffix(r"\.weight")
    adapter = adapt(base, tmp_path / "lora", targets, target_modules=modules, **config)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(plain, adapter).merge_and_unload().save_pretrained(tmp_path / base.name)
    for file in base.iterdir():
        if not file.name.startswith("model") and not (tmp_path / base.name / file.name).exists():
            (tmp_path / base.name / file.name).write_bytes(file.read_bytes())
    gguf_tools.convert(tmp_path / base.name, tmp_path / "peft.gguf", type="F32")
    gguf_tools.convert(base, tmp_path / "ours.gguf", type="F32", merge_lora=[adapter])
    worst = 0.0
    with gguf_tools.open(tmp_path / "ours.gguf") as ours, gguf_tools.open(tmp_path / "peft.gguf") as theirs:
        # transformers does not save an output matrix that is tied, even if it was stored
        assert ours.tensors.keys() - theirs.tensors.keys() <= {"output.weight"}
        for name, tensor in theirs.tensors.items():
            one, other = ours.tensors[name].dequantize(), tensor.dequantize()
            worst = max(worst, float(np.abs(one - other).max() / np.spacing(np.abs(other).max())))
    measured(f"merged {model} against PEFT: {worst:.2f} units in the last place")
    assert worst <= UNITS


@pytest.mark.parametrize(("model", "targets", "config"), CASES)
def test_llama_cpp_with_the_adapter_computes_what_the_merged_model_does(
    model: str,
    targets: str,
    config: dict[str, Any],
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
    measured: Callable[[str], None],
) -> None:
    base = tiny_checkpoints[model]
    adapter = adapt(base, tmp_path / "lora", targets, **config)
    gguf_tools.convert_lora(adapter, tmp_path / "lora.gguf", base=base)
    gguf_tools.convert(base, tmp_path / "base.gguf", type="F32")
    gguf_tools.convert(base, tmp_path / "merged.gguf", type="F32", merge_lora=[(adapter, 0.25)])
    plain = newer_llama.next_log_probabilities(tmp_path / "base.gguf", [TOKENS])
    merged = newer_llama.next_log_probabilities(tmp_path / "merged.gguf", [TOKENS])
    applied = newer_llama.next_log_probabilities(
        tmp_path / "base.gguf", [TOKENS], adapter=tmp_path / "lora.gguf", scale=0.25
    )
    largest = float(np.abs(applied - merged).max())
    changed = float(np.abs(plain - merged).max())
    measured(f"adapter {model}: largest difference {largest:.1e} of {changed:.1e} that it changes")
    assert changed > 0.1
    assert largest < LARGEST_DIFFERENCE
