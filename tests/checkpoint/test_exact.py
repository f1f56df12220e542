"""Integers that Q4_0 and Q8_0 hold exactly are repacked, not quantized: the same values, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import SafetensorsFile, unpack
from gguf_tools.errors import CheckpointError
from gguf_tools.recipes import Overrides
from gguf_tools.source import row_count
from gguf_tools.spec import GGMLType
from tests import packing, tiny
from tests.floats import assert_same_floats
from tests.goldens.describe import describe
from tests.packed_models import build
from tests.packing import PACKINGS, Packer, Part, Parts, part, write_parts


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def _symmetric(bits: int, group: int, **others: Any) -> Packer:
    return lambda rng, rows, columns: packing.gptq(rng, rows, columns, bits, group, symmetric=True, **others)


def _packed(bits: int, group: int, **others: Any) -> Packer:
    return lambda rng, rows, columns: packing.pack_quantized(rng, rows, columns, bits, group, **others)


def _bf16_scales(packer: Packer) -> Packer:
    """The same with scales in bfloat16, and values that go with them."""

    def changed(rng: np.random.Generator, rows: int, columns: int) -> tuple[Parts, Any]:
        parts, values = packer(rng, rows, columns)
        old = np.frombuffer(parts["weight_scale"].data, "<f2").reshape(parts["weight_scale"].shape)
        bits = tiny.to_bf16(old.astype(np.float32))
        new = (bits.astype(np.uint32) << 16).view(np.float32)
        width = columns // old.shape[1]
        levels = np.rint(values / np.repeat(old.astype(np.float32), width, axis=1))
        parts["weight_scale"] = Part("BF16", old.shape, bits.astype("<u2").tobytes())
        return parts, (levels * np.repeat(new, width, axis=1)).astype(np.float32)

    return changed


GPTQ_4 = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}
EXACT: dict[str, tuple[dict[str, Any], Packer, str]] = {
    "gptq 4": (GPTQ_4, _symmetric(4, 32), "Q4_0"),
    "gptq 4, groups of 64": (GPTQ_4 | {"group_size": 64}, _symmetric(4, 64), "Q4_0"),
    "gptq 4, one group": (GPTQ_4 | {"group_size": -1}, _symmetric(4, -1), "Q4_0"),
    "gptq 4, v2": (GPTQ_4 | {"checkpoint_format": "gptq_v2"}, _symmetric(4, 32, version=2), "Q4_0"),
    "gptq 8": (GPTQ_4 | {"bits": 8}, _symmetric(8, 32), "Q8_0"),
    "packed 4": (PACKINGS["packed 4"][0], _packed(4, 32), "Q4_0"),
    "packed 4, bfloat16": (PACKINGS["packed 4"][0], _bf16_scales(_packed(4, 64)), "Q4_0"),
    "packed 8 by row": (PACKINGS["packed 8 by row"][0], _packed(8, -1), "Q8_0"),
    "int8": (
        PACKINGS["int8"][0],
        lambda rng, rows, columns: packing.int_quantized(rng, rows, columns, scales="<f2"),
        "Q8_0",
    ),
}


def source_of(folder: Path, settings: dict[str, Any], parts: Parts) -> Any:
    write_parts(folder / "a.safetensors", {f"a.{ending}": one for ending, one in parts.items()})
    tensors = SafetensorsFile(folder / "a.safetensors").tensors
    return unpack({"quantization_config": settings}, tensors).tensors["a.weight"]


@pytest.mark.parametrize("name", EXACT)
def test_blocks_decode_to_the_checkpoints_values(name: str, tmp_path: Path) -> None:
    settings, packer, type_ = EXACT[name]
    parts, values = packer(np.random.default_rng([*name.encode()]), 96, 192)
    source = source_of(tmp_path, settings, parts)
    assert source.storage.name == type_
    for start, stop in [(0, 96), (5, 18), (95, 96), (7, 7)]:
        again = gguf_tools.dequantize(source.raw(start, stop), type_, (stop - start, 192))
        assert_same_floats(again, values[start:stop])


def test_quantizing_would_not_have_kept_them(tmp_path: Path) -> None:
    """What the repacking is for: Q4_0's own scale is a block's largest value over −8, and few reach that."""
    _, values = _packed(4, 32)(generator(), 96, 192)
    again = gguf_tools.dequantize(gguf_tools.quantize(values, "Q4_0"), "Q4_0", values.shape)
    assert (again != values).mean() > 0.05


NOT_EXACT: dict[str, tuple[dict[str, Any], Callable[[], tuple[Parts, Any]]]] = {
    "other zero points": (
        {k: v for k, v in GPTQ_4.items() if k != "sym"},
        lambda: packing.gptq(generator(), 32, 64, 4, 32),
    ),
    "said to be asymmetric": (GPTQ_4 | {"sym": False}, lambda: _symmetric(4, 32)(generator(), 32, 64)),
    "said to be symmetric": (GPTQ_4, lambda: packing.gptq(generator(), 32, 64, 4, 32)),
    "by activation": (GPTQ_4, lambda: _symmetric(4, 32, shuffled=True)(generator(), 32, 64)),
    "groups of 16": (GPTQ_4 | {"group_size": 16}, lambda: _symmetric(4, 16)(generator(), 32, 64)),
    "3 bits": (GPTQ_4 | {"bits": 3}, lambda: _symmetric(3, 32)(generator(), 32, 64)),
    "packed with zero points": (
        PACKINGS["packed 4"][0],
        lambda: packing.pack_quantized(generator(), 32, 64, 4, 32, zero_points=True),
    ),
    "packed by activation": (
        PACKINGS["packed 4"][0],
        lambda: packing.pack_quantized(generator(), 32, 64, 4, 32, shuffled=True),
    ),
    "int8 with scales in float32": (PACKINGS["int8"][0], lambda: packing.int_quantized(generator(), 32, 64)),
    "int8 with zero points": (
        PACKINGS["int8"][0],
        lambda: packing.int_quantized(generator(), 32, 64, zero_points=True, scales="<f2"),
    ),
}


@pytest.mark.parametrize("name", NOT_EXACT)
def test_what_is_not_exact_is_not_claimed(name: str, tmp_path: Path) -> None:
    settings, made = NOT_EXACT[name]
    parts, _ = made()
    assert source_of(tmp_path, settings, parts).storage is None


@pytest.mark.parametrize(("value", "message"), [(1e5, "beyond float16 at"), (np.nan, "unusable at")])
def test_scales_that_blocks_cannot_hold(value: float, message: str, tmp_path: Path) -> None:
    settings, packer, _ = EXACT["packed 4, bfloat16"]
    parts, _ = packer(generator(), 32, 64)
    scale = np.frombuffer(parts["weight_scale"].data, "<u2").copy()
    scale[-1] = tiny.to_bf16(np.array([value], np.float32))[0]
    parts["weight_scale"] = Part("BF16", parts["weight_scale"].shape, scale.tobytes())
    source = source_of(tmp_path, settings, parts)
    with pytest.raises(CheckpointError, match=message) as caught:
        source.raw(0, 32)
    assert caught.value.tensor == "a.weight_scale"


# Whole checkpoints


@pytest.mark.parametrize("model", ["qwen3", "llama", "qwen3-moe"])
@pytest.mark.parametrize("name", ["gptq 4", "packed 4", "int8"])
def test_a_checkpoint_keeps_its_values(name: str, model: str, tmp_path: Path) -> None:
    """Through heads that change places and experts that are stacked, and the other way back."""
    settings, packer, type_ = EXACT[name]
    checkpoint = build(model, tmp_path, settings, packer)
    plan = gguf_tools.convert(checkpoint, tmp_path / "exact.gguf", type=type_)
    count = 7 * len({tensor.name.split(".")[1] for tensor in plan.tensors() if ".attn_q.w" in tensor.name})
    assert (
        f"{count} tensors are repacked as {type_} instead, lossless: the same integers and scales "
        "(of bfloat16, those below 2^-17 are rounded)" in plan.notes
    )
    repacked = [tensor for tensor in plan.tensors() if tensor.rule.endswith("; repacked, lossless")]
    assert len(repacked) == count
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="F32")
    with gguf_tools.open(tmp_path / "exact.gguf") as exact, gguf_tools.open(tmp_path / "plain.gguf") as plain:
        for tensor in repacked:
            assert exact.tensors[tensor.name].type_name == type_
            found, expected = (file.tensors[tensor.name].dequantize() for file in (exact, plain))
            assert_same_floats(found, expected, tensor.name)
    gguf_tools.export(tmp_path / "exact.gguf", tmp_path / "back", dtype="f32")
    gguf_tools.convert(tmp_path / "back", tmp_path / "again.gguf", type="F32")
    again, first = (describe(tmp_path / f"{file}.gguf").tensors for file in ("again", "plain"))
    assert all(again[tensor.name] == first[tensor.name] for tensor in repacked)


def test_it_is_said_where_it_could_be_had(tmp_path: Path) -> None:
    settings, packer, _ = EXACT["gptq 4"]
    checkpoint = build("qwen3", tmp_path, settings, packer)
    hint = "Q4_0 would be lossless for 14 tensors"
    for type_ in ("Q4_K_M", "BF16", "Q8_0"):
        assert hint in gguf_tools.convert(checkpoint, tmp_path / f"{type_}.gguf", type=type_).notes
    for type_ in ("Q4_0", "F32"):  # which hold all of it
        assert hint not in gguf_tools.convert(checkpoint, tmp_path / f"{type_}.gguf", type=type_).notes


def test_tensors_of_another_type_are_quantized(tmp_path: Path) -> None:
    settings, packer, _ = EXACT["gptq 4"]
    checkpoint = build("qwen3", tmp_path, settings, packer)
    wanted = Overrides(tensor_types=((re.compile("attn_q"), GGMLType.Q5_0),))
    plan = gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="Q4_0", overrides=wanted)
    assert any("12 tensors are repacked as Q4_0 instead, lossless" in note for note in plan.notes)
    assert "Q4_0 would be lossless for 2 tensors" in plan.notes


@pytest.mark.parametrize(("scale", "exact"), [(0.5, 3), (1.21875, 0)], ids=["exact", "rounded"])
def test_scales_of_ternary_weights_are_counted(scale: float, exact: int, tmp_path: Path) -> None:
    settings, packer = PACKINGS["bitnet"]
    parts: Parts = {}
    for layer in "abc":
        made, _ = packer(generator(), 32, 256)
        made["weight_scale"] = part(np.array([scale], "<f4"))
        parts |= {f"{layer}.{ending}": one for ending, one in made.items()}
    write_parts(tmp_path / "a.safetensors", parts)
    found = unpack({"quantization_config": settings}, SafetensorsFile(tmp_path / "a.safetensors").tensors)
    assert found.notes[1] == (
        "TQ1_0 and TQ2_0 keep every level of 3 ternary tensors, and scales as float16: "
        f"exactly {exact} of these"
    )
    source = found.tensors["a.weight"]
    values = source.rows(0, row_count(source.shape))
    for type_ in ("TQ1_0", "TQ2_0"):
        again = gguf_tools.dequantize(gguf_tools.quantize(values, type_), type_, values.shape)
        assert (again == values).all() == (exact > 0)
