"""Packed weights as the libraries that publish them pack them, against how those libraries unpack them.

Random matrices go through a library's own packing and unpacking on the CPU, and the packed parts through
ours: the values must be equal in float32. Then whole checkpoints against llama.cpp's converter, for the
formats it reads.
"""

from __future__ import annotations

import importlib.util
import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.checkpoint import SafetensorsFile, unpack
from gguf_tools.checkpoint.dtypes import dtype_named
from gguf_tools.source import row_count
from tests import tiny
from tests.floats import assert_same_floats
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.packing import PACKINGS, part, write_parts
from tests.references import oracles

pytestmark = pytest.mark.parity

SHAPES = [(64, 192), (96, 512), (160, 128)]


def unpacked(folder: Path, settings: dict[str, Any], parts: dict[str, Any]) -> NDArray[np.float32]:
    """Our values of the one tensor made of ``parts``, torch tensors by ending; read in uneven chunks."""
    from safetensors.torch import save_file

    save_file({f"layer.{ending}": t.contiguous() for ending, t in parts.items()}, folder / "a.safetensors")
    found = unpack({"quantization_config": settings}, SafetensorsFile(folder / "a.safetensors").tensors)
    (source,) = found.tensors.values()
    rows = row_count(source.shape)
    cuts = [0, 1, rows // 3, rows - 5, rows]
    values = np.concatenate([source.rows(a, b) for a, b in pairwise(cuts)])
    return values.reshape(source.shape)


def module_of(package: str, file: str) -> ModuleType:
    """One file of a package that is not installed (it would bring half a world along), as a module."""
    path = oracles.unpacked(package) / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Small floats


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("F8_E4M3", "float8_e4m3fn"),
        ("F8_E5M2", "float8_e5m2"),
        ("F8_E4M3FNUZ", "float8_e4m3fnuz"),
        ("F8_E5M2FNUZ", "float8_e5m2fnuz"),
        ("F8_E8M0", "float8_e8m0fnu"),
    ],
)
def test_every_code_of_8_bits_is_torchs(name: str, theirs: str) -> None:
    import torch

    codes = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(codes.copy()).view(getattr(torch, theirs)).float().numpy()
    dtype = dtype_named(name)
    assert dtype is not None
    assert dtype.decode is not None
    assert_same_floats(dtype.decode(codes), expected)


@pytest.mark.parametrize("theirs", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("scale", ["block", "row", "column of rows", "tensor"])
@pytest.mark.parametrize("shape", [(256, 384), (200, 330), (128, 128)], ids=str)
def test_fp8_is_torchs_cast_times_scale(
    theirs: str, scale: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(0)
    rows, columns = shape
    weight = (8 * torch.randn(shape)).to(getattr(torch, theirs))
    blocks = -(-rows // 128), -(-columns // 128)
    size = {"block": blocks, "row": (rows, 1), "column of rows": (rows,), "tensor": ()}[scale]
    scales = torch.rand(size) + 0.1
    ending = "weight_scale_inv" if scale == "block" else "weight_scale"
    settings: dict[str, Any] = {"quant_method": "fp8"}
    grown = scales
    if scale == "block":
        settings["weight_block_size"] = [128, 128]
        grown = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
    elif scale == "column of rows":
        grown = scales[:, None]
    found = unpacked(tmp_path, settings, {"weight": weight, ending: scales})
    assert_same_floats(found, (weight.float() * grown).numpy())


# transformers


def test_mxfp4_is_transformers(tmp_path: Path) -> None:
    import torch
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    torch.manual_seed(0)
    blocks = torch.randint(0, 256, (3, 40, 6, 16), dtype=torch.uint8)
    scales = torch.randint(110, 140, (3, 40, 6), dtype=torch.uint8)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    settings = {"quant_method": "mxfp4"}
    found = unpacked(tmp_path, settings, {"experts_blocks": blocks, "experts_scales": scales})
    np.testing.assert_array_equal(found, expected.transpose(1, 2).numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bitnet_is_transformers(shape: tuple[int, int], tmp_path: Path) -> None:
    import torch
    from transformers.integrations.bitnet import pack_weights

    torch.manual_seed(0)
    ternary = torch.randint(-1, 2, shape).float()
    scale = torch.tensor([37.25])
    parts = {"weight": pack_weights(ternary.clone()), "weight_scale": scale}  # it packs in place
    found = unpacked(tmp_path, {"quant_method": "bitnet"}, parts)
    np.testing.assert_array_equal(found, (ternary / scale).numpy())


# bitsandbytes


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
@pytest.mark.parametrize("block", [64, 128])
@pytest.mark.parametrize("shape", [*SHAPES, (40, 72)], ids=str)
def test_four_bits_are_bitsandbytes(
    kind: str, nested: bool, block: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    import torch
    from bitsandbytes import functional

    torch.manual_seed(0)
    packed, state = functional.quantize_4bit(
        torch.randn(shape), blocksize=block, quant_type=kind, compress_statistics=nested
    )
    parts = {"weight": packed} | {f"weight.{key}": t for key, t in state.as_dict(packed=True).items()}
    if packed.numel() * 2 % block == 0:
        # bitsandbytes 0.50 on the CPU goes wrong where longer rows end inside of a block
        state.shape = torch.Size([packed.numel() * 2 // block, block])
    expected = functional.dequantize_4bit(packed, state).reshape(shape)
    found = unpacked(tmp_path, {"quant_method": "bitsandbytes", "load_in_4bit": True}, parts)
    assert expected.dtype == torch.float32
    if nested:  # the second level is added up in another order: the last bit of a scale
        np.testing.assert_allclose(found, expected.numpy(), rtol=2e-7, atol=0)
    else:
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_int8_is_bitsandbytes(shape: tuple[int, int], tmp_path: Path) -> None:
    import torch
    from bitsandbytes import functional

    torch.manual_seed(0)
    codes, scales, _ = functional.int8_vectorwise_quant(torch.randn(shape).half())
    expected = functional.int8_vectorwise_dequant(codes, scales)
    parts = {"weight": codes, "SCB": scales}
    found = unpacked(tmp_path, {"quant_method": "bitsandbytes", "load_in_8bit": True}, parts)
    # theirs multiplies by 1 / 127 last, ours divides the scale first
    np.testing.assert_allclose(found, expected.float().numpy(), rtol=3e-7, atol=0)


# compressed-tensors


def compressed(
    folder: Path, stored: str, state: dict[str, Any], **weights: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Our values and those of compressed-tensors, of what its compressor makes of a layer."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
    compressor = BaseCompressor.get_value_from_registry(stored)
    parts = compressor.compress(state, scheme)
    expected = compressor.decompress(parts, scheme)["weight"]
    settings = {
        "quant_method": "compressed-tensors",
        "format": stored,
        "config_groups": {"group_0": json.loads(scheme.model_dump_json())},
    }
    return unpacked(folder, settings, parts), expected.float().numpy()


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("strategy", ["group", "channel"])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "zero points"])
@pytest.mark.parametrize("shape", [(64, 192), (37, 96)], ids=str)
def test_pack_quantized_is_compressed_tensors(
    bits: int, strategy: str, symmetric: bool, shape: tuple[int, int], tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(bits)
    groups = shape[1] // 32 if strategy == "group" else 1
    half = 1 << (bits - 1)
    state = {"weight": torch.randn(shape), "weight_scale": torch.rand(shape[0], groups) / half + 0.5 / half}
    if not symmetric:
        state["weight_zero_point"] = torch.randint(-half, half, (shape[0], groups), dtype=torch.int8)
    found, expected = compressed(
        tmp_path,
        "pack-quantized",
        state,
        num_bits=bits,
        type="int",
        symmetric=symmetric,
        strategy=strategy,
        group_size=32 if strategy == "group" else None,
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stored", ["int-quantized", "naive-quantized", "float-quantized"])
@pytest.mark.parametrize("strategy", ["channel", "tensor", "block"])
def test_eight_bits_are_compressed_tensors(stored: str, strategy: str, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    rows, columns = 256, 384
    size = {"channel": (rows, 1), "tensor": (1,), "block": (2, 3)}[strategy]
    state = {"weight": torch.randn(rows, columns), "weight_scale": torch.rand(size) * 0.01 + 0.01}
    found, expected = compressed(
        tmp_path,
        stored,
        state,
        num_bits=8,
        type="float" if stored == "float-quantized" else "int",
        symmetric=True,
        strategy=strategy,
        block_structure=[128, 128] if strategy == "block" else None,
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nvfp4_is_compressed_tensors(shape: tuple[int, int], tmp_path: Path) -> None:
    import torch
    from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8, unpack_fp4_from_uint8
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    torch.manual_seed(0)
    levels = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])[torch.randint(0, 8, shape)]
    parts = {
        "weight_packed": pack_fp4_to_uint8(levels * torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)),
        "weight_scale": (torch.rand(shape[0], shape[1] // 16) * 100 + 10).to(torch.float8_e4m3fn),
        "weight_global_scale": torch.tensor([211.0]),
    }
    settings = {
        "quant_method": "compressed-tensors",
        "format": "nvfp4-pack-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4}}},
    }
    # its decompressor does this in bfloat16
    expected = dequantize(
        x_q=unpack_fp4_from_uint8(parts["weight_packed"], *shape, dtype=torch.float32),
        scale=parts["weight_scale"].float(),
        args=QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16),
        global_scale=parts["weight_global_scale"],
        dtype=torch.float32,
    )
    np.testing.assert_array_equal(unpacked(tmp_path, settings, parts), expected.numpy())


# AutoGPTQ and AutoAWQ


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [32, 64, -1])
@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "by activation"])
def test_gptq_is_autogptqs(bits: int, group: int, shuffled: bool, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(bits)
    inputs, outputs = 192, 96
    layer = module_of("auto-gptq", "auto_gptq/nn_modules/qlinear/qlinear_cuda.py").QuantLinear(
        bits, group, inputs, outputs, bias=False, weight_dtype=torch.float32
    )
    groups = layer.scales.shape[0]
    linear = torch.nn.Linear(inputs, outputs, bias=False)
    scales = torch.rand(outputs, groups) * 0.01 + 0.01
    zeros = torch.randint(1, 1 << bits, (outputs, groups)).float()
    order = torch.arange(inputs) // layer.group_size
    order = (order[torch.randperm(inputs)] if shuffled else order).to(torch.int32)
    levels = torch.randint(0, 1 << bits, (outputs, inputs))
    linear.weight.data = scales[:, order.long()] * (levels - zeros[:, order.long()])
    layer.pack(linear, scales, zeros, order)
    expected = layer(torch.eye(inputs)).detach().T.numpy()
    settings = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": shuffled}
    found = unpacked(tmp_path, settings, {name: t.data for name, t in layer.named_buffers()})
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("group", [32, 64, 128])
def test_awq_is_autoawqs(group: int, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(group)
    inputs, outputs = 256, 96
    low, high = -(1 << 31), (1 << 31) - 1
    parts = {
        "qweight": torch.randint(low, high, (inputs, outputs // 8), dtype=torch.int32),
        "qzeros": torch.randint(low, high, (inputs // group, outputs // 8), dtype=torch.int32),
        "scales": torch.rand(inputs // group, outputs),
    }
    unpack_gemm = module_of("autoawq", "awq/utils/packing_utils.py").dequantize_gemm
    expected = unpack_gemm(parts["qweight"], parts["qzeros"], parts["scales"], 4, group)
    settings = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm"}
    found = unpacked(tmp_path, settings, parts)
    np.testing.assert_array_equal(found, expected.T.numpy())


# Whole checkpoints


@pytest.mark.parametrize(
    "name",
    [
        "fp8 blocks",
        "gptq 2",
        "gptq 4",
        "gptq 8",
        "gptq v2",
        "gptq by activation",
        "packed 4",
        "packed 4 with zero points",
        "int8",
        "float8 rows",
        "modelopt fp8 rows",
    ],
)
def test_whole_files_are_those_of_llama_cpps_converter(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS["fp8 rows" if name == "modelopt fp8 rows" else name]
    if name == "modelopt fp8 rows":
        settings = {"quant_method": "modelopt", "quant_algo": "FP8"}
    checkpoint = tiny.build("qwen3", tmp_path)
    config = json.loads((checkpoint / "config.json").read_text()) | {"num_hidden_layers": 1}
    rng = np.random.default_rng(11)
    parts = {}
    for tensor, values in tiny.decoder(config, qk_norm=True).items():
        if tensor.endswith("proj.weight"):
            made, _ = packer(rng, *values.shape)
            made.pop("input_scale", None)
            parts |= {f"{tensor.removesuffix('.weight')}.{ending}": one for ending, one in made.items()}
        else:
            parts[tensor] = part(values)
    (checkpoint / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    write_parts(checkpoint / "model.safetensors", parts)
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    convert([Job(checkpoint, theirs, "f32", tiny.MODELS["qwen3"].pre)])
    gguf_tools.convert(checkpoint, ours, type="F32")
    found, expected = describe(ours), describe(theirs)
    assert found.metadata == expected.metadata
    assert found.tensors == expected.tensors
