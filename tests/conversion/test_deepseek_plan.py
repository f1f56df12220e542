"""Checkpoints shaped like DeepSeek-V3: planned in their full size, and really converted scaled down."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import open_checkpoint
from gguf_tools.conversion.to_gguf import plan_conversion
from tests import deepseek
from tests.floats import assert_same_floats
from tests.packing import e4m3

PEAK = 500_000_000
"""Bytes of memory planning may take."""

SCRIPT = """
import json, sys
from gguf_tools.conversion.to_gguf import plan_conversion
plan = plan_conversion(sys.argv[1], recipe="Q4_K_M")
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([int(peak) * 1024, plan.parameters, len(list(plan.tensors())), plan.size]))
"""


def test_planning_the_real_shapes_takes_little_memory(tmp_path: Path) -> None:
    checkpoint = deepseek.build(tmp_path / "v3", deepseek.V3, deepseek.V3_SHARDS, sparse=True)
    apparent = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    assert apparent > 680e9
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(checkpoint)], capture_output=True, text=True, check=True
    )
    peak, parameters, tensors, size = json.loads(done.stdout)
    assert peak < PEAK
    expected = sum(
        prod(shape)
        for name, _, shape in deepseek.entries(deepseek.V3)
        if not name.startswith("model.layers.61.") and not name.endswith("_scale_inv")
    )
    assert parameters == expected > 671e9
    assert tensors == 1086  # as in everybody's GGUF files of it
    assert 4.8 < 8 * size / parameters < 4.9


@pytest.mark.parametrize("recipe", ["BF16", "Q4_K_M", "Q8_0"])
def test_scaled_down_the_predicted_size_is_the_real_one(recipe: str, tmp_path: Path) -> None:
    checkpoint = deepseek.build(tmp_path / "small", deepseek.SMALL, 7, sparse=False)
    plan = plan_conversion(checkpoint, recipe=recipe)
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type=recipe)
    assert (tmp_path / "out.gguf").stat().st_size == plan.size


def test_scaled_down_sparse_files_are_planned_like_full_ones(tmp_path: Path) -> None:
    plans = [
        plan_conversion(deepseek.build(tmp_path / str(sparse) / "small", deepseek.SMALL, 7, sparse=sparse))
        for sparse in (True, False)
    ]
    first, second = ({**plan.to_dict(), "source": None} for plan in plans)
    assert first == second


def test_scaled_down_every_expert_is_its_codes_times_its_scales(tmp_path: Path) -> None:
    checkpoint = deepseek.build(tmp_path / "small", deepseek.SMALL, 7, sparse=False)
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="F32")
    codes = np.array([e4m3(code) for code in range(256)], np.float32)
    with open_checkpoint(checkpoint) as opened, gguf_tools.open(tmp_path / "out.gguf") as file:
        for i, e in ((3, 0), (4, 15)):
            name = f"model.layers.{i}.mlp.experts.{e}.down_proj.weight"
            weight, scale = opened.tensors[name], opened.tensors[f"{name}_scale_inv"]
            rows, columns = weight.shape
            grown = scale.rows(0, scale.shape[0]).repeat(128, axis=0).repeat(128, axis=1)[:rows, :columns]
            expected = codes[weight.raw(0, rows)] * grown
            found = file.tensors[f"blk.{i}.ffn_down_exps.weight"].dequantize()[e]
            assert_same_floats(found, expected)
