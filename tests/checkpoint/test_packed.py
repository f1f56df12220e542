"""Packed weights against their naive twins, and packed checkpoints against plain ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import SafetensorsFile, unpack
from gguf_tools.checkpoint.dtypes import dtype_named
from gguf_tools.checkpoint.packed import transposed as turned
from gguf_tools.checkpoint.packed.components import Parts as Components
from gguf_tools.checkpoint.packed.transposed import BandCache
from gguf_tools.errors import CheckpointError, GGUFToolsError, UnsupportedError
from gguf_tools.source import row_count
from gguf_tools.spec import GGMLType
from tests import packing, tiny
from tests.floats import assert_same_floats
from tests.packing import PACKINGS, Part, Parts, part, write_parts

SHAPES = [(64, 192), (32, 384), (96, 64)]


def unpacked(tmp_path: Path, settings: dict[str, Any], parts: Parts) -> Any:
    write_parts(tmp_path / "a.safetensors", parts)
    file = SafetensorsFile(tmp_path / "a.safetensors")
    return unpack({"quantization_config": settings}, file.tensors)


def named(parts: Parts, layer: str = "model.layer") -> Parts:
    return {f"{layer}.{ending}": one for ending, one in parts.items()}


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_are_those_of_the_naive_twin(name: str, shape: tuple[int, int], tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, values = packer(np.random.default_rng([*name.encode(), *shape]), *shape)
    found = unpacked(tmp_path, settings, named(parts))
    assert list(found.tensors) == ["model.layer.weight"]
    source = found.tensors["model.layer.weight"]
    assert source.shape == shape
    for start, stop in [(0, shape[0]), (0, 1), (5, 18), (shape[0] - 3, shape[0]), (7, 7)]:
        rows = source.rows(start, stop)
        assert rows.dtype == np.float32
        assert_same_floats(rows, values[start:stop])
    if source.storage is None:
        assert "packed" in found.notes[0]


@pytest.mark.parametrize("name", PACKINGS)
def test_components_belong_to_the_tensor_they_are_named_after(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    layers = [named(packer(np.random.default_rng(i), 64, 192)[0], f"model.{i}") for i in range(2)]
    found = unpacked(tmp_path, settings, layers[0] | layers[1])
    dropped = {one for one, _ in found.dropped}
    for i, layer in enumerate(layers):
        assert set(found.packings[f"model.{i}.weight"].parts) == set(layer) - dropped


def test_components_do_not_depend_on_the_order_in_which_they_are_taken(tmp_path: Path) -> None:
    ones = part(np.ones((2, 2), np.float32))
    write_parts(tmp_path / "a.safetensors", {f"{base}.{end}": ones for base in "ab" for end in "xy"})
    file = SafetensorsFile(tmp_path / "a.safetensors")
    parts = Components(file.tensors)
    for ending in (".x", ".y"):
        for base in "ab":
            assert parts.take(base, ending) is not None
    for base in "ba":
        parts.make(base, f"{base}.weight", file.tensors[f"{base}.x"], at=f"{base}.x", form="F")
    assert parts.packings == {f"{base}.weight": ("F", (f"{base}.x", f"{base}.y")) for base in "ab"}
    assert list(parts.finish()) == ["a.weight", "b.weight"]


@pytest.mark.parametrize(
    "name", ["gptq 2", "gptq 3", "gptq 4", "gptq 8", "gptq by activation", "gptq v2", "awq"]
)
def test_matrices_of_several_bands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored the other way round is read in bands, here of 32 words."""
    monkeypatch.setattr(turned, "_SIZE", 1)
    monkeypatch.setattr(turned, "_NARROWEST", 128)
    monkeypatch.setattr(turned, "_STRIP", 1)
    settings, packer = PACKINGS[name]
    parts, values = packer(np.random.default_rng(1), 1120, 192)
    source = unpacked(tmp_path, settings, named(parts)).tensors["model.layer.weight"]
    for start, stop in [(0, 1120), (480, 560), (1000, 1120), (31, 33), (255, 257)]:
        assert_same_floats(source.rows(start, stop), values[start:stop])


def test_repacked_rows_of_several_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turned, "_SIZE", 1)
    monkeypatch.setattr(turned, "_NARROWEST", 128)
    settings, packer = PACKINGS["gptq 4"]
    parts, _ = packer(np.random.default_rng(1), 96, 64)
    parts["qzeros"] = part(np.full(parts["qzeros"].shape, 0x77777777, "<i4"))
    source = unpacked(tmp_path, settings, named(parts)).tensors["model.layer.weight"]
    assert source.storage is GGMLType.Q4_0
    for start, stop in [(0, 96), (20, 70), (31, 33)]:
        decoded = gguf_tools.dequantize(source.raw(start, stop), "Q4_0", (stop - start, 64))
        assert_same_floats(decoded, source.rows(start, stop))


@pytest.mark.parametrize("name", ["fp8 blocks", "packed 4", "bitnet", "nf4"])
def test_matrices_of_many_rows(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, values = packer(np.random.default_rng(1), 1120, 64 if name != "fp8 blocks" else 8)
    source = unpacked(tmp_path, settings, named(parts)).tensors["model.layer.weight"]
    for start, stop in [(0, 1120), (480, 560), (1000, 1120), (511, 513)]:
        assert_same_floats(source.rows(start, stop), values[start:stop])


class TestKept:
    def test_what_two_want_is_made_once(self) -> None:
        kept, made, begun = BandCache(), [], threading.Barrier(2)

        def make() -> int:
            made.append(1)
            return len(made)

        def want() -> int:
            begun.wait()
            return kept.get(("a", 0), make)

        with ThreadPoolExecutor(2) as pool:
            assert [done.result() for done in [pool.submit(want), pool.submit(want)]] == [1, 1]

    def test_nothing_may_be_kept_too(self) -> None:
        kept = BandCache()
        assert kept.get(("a", 0), lambda: None) is None
        assert kept.get(("a", 0), lambda: pytest.fail("made again")) is None

    def test_what_failed_is_made_again(self) -> None:
        kept = BandCache()
        with pytest.raises(ZeroDivisionError):
            kept.get(("a", 0), lambda: 1 // 0)
        assert kept.get(("a", 0), lambda: 1) == 1

    def test_the_oldest_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BandCache, "SIZE", 20)
        kept = BandCache()
        for key in ("a", "b", "a", "c"):
            kept.get((key, 0), lambda: np.zeros(10, np.uint8))
        assert kept.get(("a", 0), lambda: pytest.fail("made again")).size == 10
        assert kept.get(("b", 0), lambda: "made again") == "made again"


@pytest.mark.parametrize("name", PACKINGS)
def test_a_packed_checkpoint_converts_like_the_plain_one(name: str, tmp_path: Path) -> None:
    """Every linear layer of a small model, to Q4_K_M: the same bytes but for the notes."""
    settings, packer = PACKINGS[name]
    plain = tiny.build("qwen3", tmp_path)
    config = json.loads((plain / "config.json").read_text()) | {"num_hidden_layers": 1}
    rng = np.random.default_rng(7)
    dense, packed = {}, {}
    for tensor, values in tiny.decoder(config, qk_norm=True).items():
        if tensor.endswith("proj.weight"):
            parts, values = packer(rng, *values.shape)
            packed |= named(parts, tensor.removesuffix(".weight"))
        else:
            packed[tensor] = part(values)
        dense[tensor] = values
    (plain / "config.json").write_text(json.dumps(config))
    tiny.write_safetensors(plain / "model.safetensors", dense, "F32")
    gguf_tools.convert(plain, tmp_path / "plain.gguf")
    (plain / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    write_parts(plain / "model.safetensors", packed)
    plan = gguf_tools.convert(plain, tmp_path / "packed.gguf")
    assert (tmp_path / "packed.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()
    assert any("packed with" in note or "NVFP4 already" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("dtype", "twin"),
    [
        ("F8_E4M3", packing.e4m3),
        ("F8_E5M2", packing.e5m2),
        ("F8_E8M0", lambda c: 2.0 ** (c - 127) if c < 255 else np.nan),
    ],
)
def test_every_code_of_8_bits(dtype: str, twin: Any) -> None:
    decode = dtype_named(dtype)
    assert decode is not None
    assert decode.decode is not None
    found = decode.decode(np.arange(256, dtype=np.uint8))
    expected = np.array([twin(code) for code in range(256)], np.float32)
    assert_same_floats(found, expected)


def test_stacked_experts_have_scales_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    codes, scale = packing.fp8_codes(rng, (3, 130, 200)), packing.scales_of(rng, (3, 2, 2), "<f4")
    parts = {"experts.up": part(codes, "F8_E4M3"), "experts.up_scale_inv": part(scale)}
    settings = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    source = unpacked(tmp_path, settings, parts).tensors["experts.up"]
    expected = np.array([packing.e4m3(code) for code in codes.reshape(-1).tolist()], np.float32).reshape(
        codes.shape
    )
    grown = scale.repeat(128, axis=1).repeat(128, axis=2)[:, :130, :200]
    assert_same_floats(source.rows(0, 390), (expected * grown).reshape(390, 200))
    assert_same_floats(source.rows(100, 300), (expected * grown).reshape(390, 200)[100:300])


def test_other_tensors_stay_and_scales_of_activations_go(tmp_path: Path) -> None:
    parts, _ = PACKINGS["fp8 rows"][1](np.random.default_rng(0), 32, 32)
    norm = part(np.ones(4, "<f4"))
    everything = {"first.norm": norm, **named(parts), "last.norm": norm}
    found = unpacked(tmp_path, PACKINGS["fp8 rows"][0], everything)
    assert list(found.tensors) == ["first.norm", "last.norm", "model.layer.weight"]  # in the order of names
    assert found.dropped == [("model.layer.input_scale", "a scale of activations, which GGUF has no use for")]


def test_a_config_without_packing_changes_nothing(tmp_path: Path) -> None:
    write_parts(tmp_path / "a.safetensors", {"a": part(np.ones((2, 2), "<f4"))})
    tensors = SafetensorsFile(tmp_path / "a.safetensors").tensors
    for config in ({}, {"quantization_config": {}}, {"quantization_config": None}):
        found = unpack(config, tensors)
        assert found.tensors == tensors
        assert not found.dropped
        assert not found.notes


# Bad input


def read_all(tmp_path: Path, settings: dict[str, Any], parts: Parts) -> None:
    for source in unpacked(tmp_path, settings, parts).tensors.values():
        source.rows(0, row_count(source.shape))


def refused(tmp_path: Path, settings: dict[str, Any], parts: Parts, message: str) -> GGUFToolsError:
    with pytest.raises(GGUFToolsError, match=message) as caught:
        read_all(tmp_path, settings, parts)
    assert isinstance(caught.value, CheckpointError | UnsupportedError)
    return caught.value


@pytest.mark.parametrize("name", [name for name in PACKINGS if name != "fp8 tensor"])
def test_missing_parts_are_all_listed(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, _ = packer(np.random.default_rng(0), 32, 64)
    optional = {"g_idx", "input_scale", "weight_zero_point", "weight_g_idx", "weight_format"}
    marks = {"qweight", "weight_packed", "SCB", "weight_scale_inv", "weight_scale_2", "weight_global_scale"}
    for ending in set(parts) - optional - marks:
        if ending.startswith("weight.quant_state") or (
            ending == "weight_scale" and "weight" in parts and len(parts) < 4
        ):
            continue  # without it nothing says that anything is packed
        rest = {key: one for key, one in parts.items() if key != ending}
        error = refused(tmp_path, settings, named(rest) | named(rest, "other"), "lack|nested|found U8")
        assert f"model.layer.{ending}" in str(error) or "nested" in ending


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0], ids=str)
@pytest.mark.parametrize("name", ["fp8 blocks", "fp8 rows", "gptq 4", "awq", "packed 4", "int8", "bitnet"])
def test_scales_that_are_unusable(name: str, value: float, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, _ = packer(np.random.default_rng(0), 32, 64)
    ending = next(e for e in ("weight_scale_inv", "weight_scale", "scales") if e in parts)
    one = parts[ending]
    scale = np.frombuffer(one.data, "<f4" if one.dtype == "F32" else "<f2").copy()
    scale[-1] = value
    parts[ending] = Part(one.dtype, one.shape, scale.tobytes())
    error = refused(tmp_path, settings, named(parts), "a scale is unusable")
    assert error.tensor == f"model.layer.{ending}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "hqq"}, "unsupported packing of the weights"),
        ({"quant_method": ["fp8"]}, "unsupported packing of the weights|unhashable"),
        ({"quant_method": "gptq", "bits": 5, "group_size": 32}, "GPTQ of this many bits"),
        ({"quant_method": "gptq", "bits": "4"}, "of the wrong kind"),
        ({"quant_method": "gptq"}, "missing"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "this layout of GPTQ"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 48}, "the groups do not divide the inputs"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "the groups do not divide the inputs"),
        ({"quant_method": "awq", "bits": 8}, "AWQ of this many bits"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "this layout of AWQ"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "not two sizes"),
        ({"quant_method": "compressed-tensors", "format": "marlin-24"}, "this format of compressed-tensors"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "there are no config groups"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "this algorithm of modelopt"),
    ],
)
def test_settings_that_are_unusable(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    parts, _ = PACKINGS["gptq 4"][1](np.random.default_rng(0), 32, 64)
    refused(tmp_path, settings, named(parts), message)


ANY_SHAPE = {
    # parts whose shape nothing else tells, besides single scales
    *(
        (name, "weight")
        for name in PACKINGS
        if name.startswith(("fp8", "float8", "int8", "modelopt fp8", "bitnet"))
    ),
    ("bitsandbytes 8", "weight"),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_parts_of_another_shape(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, _ = packer(np.random.default_rng(0), 32, 64)
    told = {
        ending: one
        for ending, one in parts.items()
        if one.shape and ending not in {"input_scale", "weight_format"} and (name, ending) not in ANY_SHAPE
    }
    for ending, one in told.items():
        if ending.startswith("weight.quant_state"):
            continue
        size = len(one.data) // int(np.prod(one.shape))
        for shape in ((one.shape[0] + 1, *one.shape[1:]), (1, *one.shape, 1)):
            wrong = Part(one.dtype, shape, bytes(int(np.prod(shape)) * size))
            refused(tmp_path, settings, named(parts | {ending: wrong}), "shape|not |groups|scale|divide")


def groups_of(*given: tuple[list[str], int]) -> dict[str, Any]:
    """pack-quantized with a config group for each (targets, bits)."""
    groups = {
        f"group_{i}": {"targets": targets, "weights": {"num_bits": bits}}
        for i, (targets, bits) in enumerate(given)
    }
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": groups}


def test_config_groups_that_name_layers(tmp_path: Path) -> None:
    """Each layer has the bits of the group that names it, by name or expression."""
    rng = np.random.default_rng(0)
    four, low = packing.pack_quantized(rng, 32, 64, 4, 32)
    eight, high = packing.pack_quantized(rng, 32, 64, 8, 32)
    both = named(four, "a.low") | named(eight, "a.high")
    found = unpacked(tmp_path, groups_of((["a.low"], 4), (["re:.*high"], 8)), both).tensors
    assert_same_floats(found["a.low.weight"].rows(0, 32), low)
    assert_same_floats(found["a.high.weight"].rows(0, 32), high)


def test_config_groups_that_cannot_be_told_apart(tmp_path: Path) -> None:
    parts, values = packing.pack_quantized(np.random.default_rng(0), 32, 64, 4, 32)
    error = refused(tmp_path, groups_of((["Linear"], 4), (["Other"], 8)), named(parts), "cannot be told")
    assert error.tensor == "model.layer"
    assert error.found == [["Linear"], ["Other"]]
    found = unpacked(tmp_path, groups_of((["Linear"], 4), (["Other"], 4)), named(parts)).tensors
    assert_same_floats(found["model.layer.weight"].rows(0, 32), values)


@pytest.mark.parametrize("type_", ["TQ1_0", "TQ2_0"])
def test_ternary_weights_keep_every_level(type_: str, tmp_path: Path) -> None:
    """BitNet's −1, 0 and 1 come out of ggml's ternary types as they were, times the scale in float16."""
    settings, packer = PACKINGS["bitnet"]
    parts, values = packer(np.random.default_rng(5), 64, 512)
    source = unpacked(tmp_path, settings, named(parts)).tensors["model.layer.weight"]
    again = gguf_tools.dequantize(gguf_tools.quantize(source.rows(0, 64), type_), type_, (64, 512))
    scale = np.float32(np.float16(np.abs(values).max()))
    assert_same_floats(again, np.sign(values) * scale)


def test_kernels_are_correct_without_a_compiler() -> None:
    """The same values from the interpreter."""
    code = """
import numba, sys, tempfile
from pathlib import Path
import numpy as np
from tests.checkpoint.test_packed import named, unpacked
from tests.floats import assert_same_floats
from tests.packing import PACKINGS
assert numba.config.DISABLE_JIT
for name, (settings, packer) in PACKINGS.items():
    parts, values = packer(np.random.default_rng(3), 32, 64)
    with tempfile.TemporaryDirectory() as folder:
        (source,) = unpacked(Path(folder), settings, named(parts)).tensors.values()
        assert (source.rows(0, 32) == values).all(), name
"""
    root = Path(__file__).parents[2]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_g_idx_out_of_range(tmp_path: Path) -> None:
    settings, packer = PACKINGS["gptq by activation"]
    parts, _ = packer(np.random.default_rng(0), 32, 64)
    for value in (-1, 2):
        order = np.frombuffer(parts["g_idx"].data, "<i4").copy()
        order[3] = value
        refused(tmp_path, settings, named(parts | {"g_idx": part(order)}), "names a group there is not")


def test_packed_and_unpacked_at_once(tmp_path: Path) -> None:
    settings, packer = PACKINGS["gptq 4"]
    parts, _ = packer(np.random.default_rng(0), 32, 64)
    both = named(parts | {"weight": part(np.ones((32, 64), "<f4"))})
    refused(tmp_path, settings, both, "packed and unpacked")
