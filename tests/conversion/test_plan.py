"""Plans: pure, printable, and exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gguf_tools.conversion.plan import Plan, PlannedFile, PlannedTensor
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.conversion.to_hf import plan_export
from gguf_tools.conversion.type_stats import TypeShare, type_shares
from gguf_tools.errors import UnsupportedError
from gguf_tools.source import ArraySource
from gguf_tools.spec import GGMLType, row_bytes
from tests import tiny
from tests.conversion.plans import plan_of, random


def planned(
    name: str, shape: tuple[int, ...], type_: GGMLType, wanted: GGMLType, offset: int
) -> PlannedTensor:
    size = int(np.prod(shape[:-1])) * row_bytes(type_, shape[-1])
    source = ArraySource(np.zeros(shape, np.float32))
    return PlannedTensor(name, shape, type_, source, offset, size, wanted)


def test_shares_are_grouped_and_the_largest_comes_first() -> None:
    shares = type_shares([("F32", (10,), 40), ("Q8_0", (4, 32), 136), ("Q8_0", (2, 32), 68), ("F32", (), 4)])
    assert shares == [TypeShare("Q8_0", 3 - 1, 192, 204), TypeShare("F32", 2, 11, 44)]
    assert shares[0].bits_per_weight == 8.5


def test_a_type_of_unknown_size_has_no_bits() -> None:
    (share,) = type_shares([("unknown (99)", (4, 4), None), ("unknown (99)", (2,), None)])
    assert (share.tensors, share.parameters, share.bytes, share.bits_per_weight) == (2, 18, None, None)


def test_totals() -> None:
    tensors = (
        planned("a", (2, 256), GGMLType.Q4_K, GGMLType.Q4_K, 64),
        planned("b", (3, 96), GGMLType.Q5_0, GGMLType.Q4_K, 352),
    )
    plan = Plan("gguf", "here", "llama", "Q4_K_S", (PlannedFile("", bytes(64), tensors, 576),))
    assert plan.size == 576
    assert plan.parameters == 800
    assert plan.tensor_bytes == 288 + 198
    assert plan.bits_per_weight == pytest.approx(8 * 486 / 800)
    assert [tensor.name for tensor in plan.fallbacks] == ["b"]
    assert not plan.is_directory
    found = json.loads(json.dumps(plan.to_dict()))
    assert found["fallbacks"] == {"tensors": 1, "parameters": 288, "names": ["b"]}
    assert found["files"][0]["tensors"][1]["wanted"] == "Q4_K"


def test_no_tensors_have_no_bits_per_weight() -> None:
    assert Plan("gguf", "", "", "F32", ()).bits_per_weight is None


@pytest.mark.parametrize("recipe", ["F32", "Q8_0", "Q4_K_M"])
def test_tensors_lie_aligned_one_after_the_other(recipe: str) -> None:
    shapes = {"token_embd.weight": (5, 256), "blk.0.attn_norm.weight": (7,), "blk.0.attn_q.weight": (3, 96)}
    plan = plan_of({name: ArraySource(random(*shape)) for name, shape in shapes.items()}, recipe)
    (file,) = plan.files
    end = len(file.header)
    for tensor in plan.tensors():
        assert tensor.offset == end
        assert tensor.offset % 32 == 0
        end += -(-tensor.nbytes // 32) * 32
    assert file.size == end


def test_planning_reads_no_weight(tmp_path: Path) -> None:
    """The data may be missing altogether: names, shapes and types are enough."""
    checkpoint = tiny.build("qwen3", tmp_path)
    expected = plan_conversion(checkpoint).to_dict()
    weights = checkpoint / "model.safetensors"
    data = weights.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    with weights.open("r+b") as file:
        file.truncate(header)
        file.truncate(len(data))
    assert plan_conversion(checkpoint).to_dict() == expected


def test_a_plan_is_the_same_each_time(tiny_checkpoints: dict[str, Path]) -> None:
    first, second = (plan_conversion(tiny_checkpoints["gemma3"], recipe="Q5_K_M") for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert first.files[0].header == second.files[0].header


def test_unknown_dtype_of_an_export(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"unknown dtype.*found f8, expected bf16, f16, f32"):
        plan_export(tmp_path / "none.gguf", dtype="f8")
