"""Packed matrices, made and read one value at a time from the formats' descriptions.

Each packer invents the integers, scales and zero points of a matrix of (rows, columns), and returns its
parts and the values they mean: float32, computed by plain loops, in the order of operations that
``gguf_tools.checkpoint.packed`` documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["PACKINGS", "Part", "Parts", "write_parts"]

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A tensor of a safetensors file: its dtype's name there, shape, and bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


Parts = dict[str, Part]

_NAMES: Final = {"<f4": "F32", "<f2": "F16", "<i4": "I32", "<i8": "I64", "|i1": "I8", "|u1": "U8"}


def part(array: NDArray[Any], dtype: str | None = None) -> Part:
    return Part(dtype or _NAMES[array.dtype.str], array.shape, np.ascontiguousarray(array).tobytes())


def write_parts(path: Path, parts: Mapping[str, Part]) -> None:
    """A safetensors file."""
    header: dict[str, Any] = {}
    offset = 0
    for name, one in parts.items():
        end = offset + len(one.data)
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(one.data for one in parts.values()))


# Small floats


def e4m3(code: int) -> float:
    """A byte as OFP8 E4M3 ("fn")."""
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return float("nan")
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


def e5m2(code: int) -> float:
    """A byte as OFP8 E5M2."""
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = code >> 2 & 31, code & 3
    if exponent == 31:
        return float("nan") if mantissa else sign * float("inf")
    return sign * (mantissa / 4 * 2.0**-14 if exponent == 0 else (1 + mantissa / 4) * 2.0 ** (exponent - 15))


E2M1: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


def fp8_codes(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Codes of finite numbers."""
    codes = rng.integers(0, 256, shape, np.uint8)
    return np.where(codes & 0x78 == 0x78, codes & 0x87, codes)


def scales_of(rng: Generator, shape: tuple[int, ...], kind: str = "<f2") -> NDArray[Any]:
    return rng.uniform(0.001, 0.02, shape).astype(kind)


def table_of(rows: int, columns: int, value: Callable[[int, int], Any]) -> Values:
    """The matrix whose entry (r, c) is ``value(r, c)``."""
    return np.array([[value(r, c) for c in range(columns)] for r in range(rows)], np.float32)


# Packers: (generator, rows, columns) → parts by ending, and values


def fp8_blocks(rng: Generator, rows: int, columns: int, block: int = 128) -> tuple[Parts, Values]:
    codes = fp8_codes(rng, (rows, columns))
    scale = scales_of(rng, (-(-rows // block), -(-columns // block)), "<f4")
    values = np.array(
        [
            [np.float32(e4m3(int(codes[r, c]))) * scale[r // block, c // block] for c in range(columns)]
            for r in range(rows)
        ],
        np.float32,
    )
    return {"weight": part(codes, "F8_E4M3"), "weight_scale_inv": part(scale)}, values


def fp8_rows(rng: Generator, rows: int, columns: int) -> tuple[Parts, Values]:
    codes = fp8_codes(rng, (rows, columns))
    scale = scales_of(rng, (rows, 1), "<f4")
    values = table_of(rows, columns, lambda r, c: np.float32(e4m3(int(codes[r, c]))) * scale[r, 0])
    return {
        "weight": part(codes, "F8_E4M3"),
        "weight_scale": part(scale),
        "input_scale": part(scale[:1, 0]),
    }, values


def fp8_tensor(rng: Generator, rows: int, columns: int) -> tuple[Parts, Values]:
    codes = fp8_codes(rng, (rows, columns))
    codes = np.where(codes & 0x7C == 0x7C, codes & 0x83, codes).astype(np.uint8)
    scale = scales_of(rng, (), "<f4")
    values = table_of(rows, columns, lambda r, c: np.float32(e5m2(int(codes[r, c]))) * scale)
    return {"weight": part(codes, "F8_E5M2"), "weight_scale": part(scale)}, values


def put_bits(words: NDArray[np.uint32], position: int, bits: int, value: int) -> None:
    """``value`` at a bit position of a stream of words of 32 bits, lowest first."""
    for bit in range(bits):
        if value >> bit & 1:
            at = position + bit
            words[at // 32] |= np.uint32(1 << at % 32)


def gptq(
    rng: Generator,
    rows: int,
    columns: int,
    bits: int,
    group: int,
    *,
    version: int = 1,
    shuffled: bool = False,
    symmetric: bool = False,
) -> tuple[Parts, Values]:
    size = columns if group == -1 else group
    groups = columns // size
    levels = rng.integers(0, 1 << bits, (rows, columns))
    zeros = rng.integers(version == 1, 1 << bits, (groups, rows))
    if symmetric:
        zeros[:] = 1 << (bits - 1)
    scale = scales_of(rng, (groups, rows))
    order = np.arange(columns) // size
    if shuffled:
        order = rng.permutation(order)
    qweight = np.zeros((columns * bits // 32, rows), np.uint32)
    for r in range(rows):
        words = np.zeros(columns * bits // 32, np.uint32)
        for c in range(columns):
            put_bits(words, c * bits, bits, int(levels[r, c]))
        qweight[:, r] = words
    qzeros = np.zeros((groups, rows * bits // 32), np.uint32)
    for g in range(groups):
        for r in range(rows):
            put_bits(qzeros[g], r * bits, bits, int(zeros[g, r]) - (version == 1))
    values = np.empty((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            g = order[c]
            values[r, c] = np.float32(levels[r, c] - zeros[g, r]) * np.float32(scale[g, r])
    parts = {"qweight": part(qweight.view("<i4")), "qzeros": part(qzeros.view("<i4")), "scales": part(scale)}
    return parts | {"g_idx": part(order.astype("<i4"))}, values


def awq(rng: Generator, rows: int, columns: int, group: int) -> tuple[Parts, Values]:
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    groups = columns // group
    levels = rng.integers(0, 16, (rows, columns))
    zeros = rng.integers(0, 16, (groups, rows))
    scale = scales_of(rng, (groups, rows))

    def packed(table: NDArray[Any]) -> NDArray[Any]:
        words = np.zeros((table.shape[0], table.shape[1] // 8), np.uint32)
        for i in range(table.shape[0]):
            for j in range(table.shape[1] // 8):
                for k in range(8):
                    words[i, j] |= np.uint32(int(table[i, 8 * j + order[k]]) << 4 * k)
        return words.view("<i4")

    values = np.empty((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            g = c // group
            values[r, c] = np.float32(levels[r, c] - zeros[g, r]) * np.float32(scale[g, r])
    return {"qweight": part(packed(levels.T)), "qzeros": part(packed(zeros)), "scales": part(scale)}, values


def _packed_rows(levels: NDArray[Any], bits: int, dense: bool) -> NDArray[np.uint32]:
    """Each row as a stream of words, or as many integers as fit into a word and no others."""
    rows, columns = levels.shape
    each = 32 // bits
    packed = np.zeros((rows, -(-columns * bits // 32) if dense else -(-columns // each)), np.uint32)
    for r in range(rows):
        for c in range(columns):
            place = c * bits if dense else c // each * 32 + c % each * bits
            put_bits(packed[r], place, bits, int(levels[r, c]))
    return packed


def pack_quantized(
    rng: Generator,
    rows: int,
    columns: int,
    bits: int,
    group: int,
    *,
    zero_points: bool = False,
    shuffled: bool = False,
    dense: bool = False,
) -> tuple[Parts, Values]:
    """``dense`` is how compressed-tensors 0.20 packs: no bits are left over in a word."""
    size = columns if group == -1 else group
    groups = columns // size
    levels = rng.integers(0, 1 << bits, (rows, columns))
    zeros = (
        rng.integers(0, 1 << bits, (rows, groups))
        if zero_points
        else np.full((rows, groups), 1 << (bits - 1))
    )
    scale = scales_of(rng, (rows, groups))
    order = np.arange(columns) // size
    if shuffled:
        order = rng.permutation(order)
    packed = _packed_rows(levels, bits, dense)
    parts = {
        "weight_packed": part(packed.view("<i4")),
        "weight_scale": part(scale),
        "weight_shape": part(np.array([rows, columns], "<i8")),
    }
    if zero_points:
        along = np.ascontiguousarray(_packed_rows(zeros.T, bits, dense).T)
        parts["weight_zero_point"] = part(along.view("<i4"))
    if shuffled:
        parts["weight_g_idx"] = part(order.astype("<i4"))
    values = np.empty((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            g = order[c]
            values[r, c] = np.float32(levels[r, c] - zeros[r, g]) * np.float32(scale[r, g])
    return parts, values


def int_quantized(
    rng: Generator, rows: int, columns: int, *, zero_points: bool = False, scales: str = "<f4"
) -> tuple[Parts, Values]:
    codes = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
    scale = scales_of(rng, (rows, 1), scales)
    parts = {"weight": part(codes), "weight_scale": part(scale)}
    zeros = np.zeros((rows, 1), np.int8)
    if zero_points:
        zeros = rng.integers(-9, 9, (rows, 1)).astype(np.int8)
        parts["weight_zero_point"] = part(zeros)
    values = np.array(
        [
            [
                np.float32(int(codes[r, c]) - int(zeros[r, 0])) * np.float32(scale[r, 0])
                for c in range(columns)
            ]
            for r in range(rows)
        ],
        np.float32,
    )
    return parts, values


def nvfp4(rng: Generator, rows: int, columns: int, *, divide: bool) -> tuple[Parts, Values]:
    codes = rng.integers(0, 16, (rows, columns))
    scale = fp8_codes(rng, (rows, columns // 16)) & 0x7F
    whole = np.float32(rng.uniform(100, 300) if divide else rng.uniform(0.001, 0.02))
    packed = (codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8)
    values = np.empty((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            s = np.float32(e4m3(int(scale[r, c // 16])))
            values[r, c] = np.float32(E2M1[codes[r, c]]) * (s / whole if divide else s * whole)
    parts = {
        "weight_packed" if divide else "weight": part(packed),
        "weight_scale": part(scale, "F8_E4M3"),
        "weight_global_scale" if divide else "weight_scale_2": part(
            np.array([whole]) if divide else np.array(whole)
        ),
    }
    return parts | {"input_scale": part(np.array(whole))}, values


def nvfp4_weights(rng: Generator, rows: int, columns: int, *, divide: bool) -> tuple[Parts, Values]:
    """Weights only: nothing is said of inputs."""
    parts, values = nvfp4(rng, rows, columns, divide=divide)
    del parts["input_scale"]
    return parts, values


def bitnet(rng: Generator, rows: int, columns: int) -> tuple[Parts, Values]:
    codes = rng.integers(0, 3, (rows, columns))
    scale = np.array([rng.uniform(1, 90)], "<f4")
    quarter = rows // 4
    packed = np.zeros((quarter, columns), np.uint8)
    for r in range(rows):
        packed[r % quarter] |= (codes[r] << 2 * (r // quarter)).astype(np.uint8)
    values = np.array([[np.float32(code - 1) / scale[0] for code in row] for row in codes], np.float32)
    return {"weight": part(packed), "weight_scale": part(scale)}, values


def bitsandbytes_4(
    rng: Generator, rows: int, columns: int, *, nested: bool, kind: str = "nf4", block: int = 64
) -> tuple[Parts, Values]:
    blocks, outer = -(-rows * columns // block), 8
    codes = rng.integers(0, 16, rows * columns)
    table = np.sort(rng.uniform(-1, 1, 16)).astype("<f4")
    state: dict[str, Any] = {
        "quant_type": kind,
        "blocksize": block,
        "dtype": "bfloat16",
        "shape": [rows, columns],
    }
    parts = {
        "weight": part((codes[0::2] << 4 | codes[1::2]).astype(np.uint8)[:, None]),
        "weight.quant_map": part(table),
    }
    if nested:
        inner = rng.integers(0, 256, blocks).astype(np.uint8)
        inner_table = np.sort(rng.uniform(-1, 1, 256)).astype("<f4")
        large = scales_of(rng, (-(-blocks // outer),), "<f4")
        offset = 0.05
        scale = [inner_table[inner[b]] * large[b // outer] + np.float32(offset) for b in range(blocks)]
        parts["weight.absmax"] = part(inner)
        parts |= {"weight.nested_absmax": part(large), "weight.nested_quant_map": part(inner_table)}
        state |= {"nested_blocksize": outer, "nested_dtype": "float32", "nested_offset": offset}
    else:
        scale = list(scales_of(rng, (blocks,), "<f4"))
        parts["weight.absmax"] = part(np.array(scale, "<f4"))
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = part(text)
    values = np.array([table[codes[i]] * scale[i // block] for i in range(rows * columns)], np.float32)
    return parts, values.reshape(rows, columns)


def bitsandbytes_8(rng: Generator, rows: int, columns: int) -> tuple[Parts, Values]:
    codes = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
    scale = scales_of(rng, (rows,), "<f4")
    values = np.array(
        [
            [np.float32(codes[r, c]) * (scale[r] / np.float32(127)) for c in range(columns)]
            for r in range(rows)
        ],
        np.float32,
    )
    return {"weight": part(codes), "SCB": part(scale), "weight_format": part(np.zeros((), np.uint8))}, values


Packer = Callable[[Generator, int, int], tuple[Parts, Values]]


def _groups(bits: int, **others: Any) -> dict[str, Any]:
    return {"group_0": {"targets": ["Linear"], "weights": {"num_bits": bits, "type": "int"} | others}}


def _compressed(stored: str, bits: int = 8, **others: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": stored, "config_groups": _groups(bits, **others)}


def _gptq(bits: int, group: int, **others: Any) -> dict[str, Any]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False} | others


PACKINGS: Final[dict[str, tuple[dict[str, Any], Packer]]] = {
    "fp8 blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, fp8_blocks),
    "fp8 odd blocks": (
        {"quant_method": "fp8", "weight_block_size": [48, 48]},
        lambda rng, rows, columns: fp8_blocks(rng, rows, columns, 48),
    ),
    "fp8 rows": ({"quant_method": "fbgemm_fp8"}, fp8_rows),
    "fp8 tensor": ({"quant_method": "fp8"}, fp8_tensor),
    "gptq 4": (_gptq(4, 32), lambda rng, rows, columns: gptq(rng, rows, columns, 4, 32)),
    "gptq 2": (_gptq(2, 64), lambda rng, rows, columns: gptq(rng, rows, columns, 2, 64)),
    "gptq 3": (_gptq(3, 32), lambda rng, rows, columns: gptq(rng, rows, columns, 3, 32)),
    "gptq 8": (_gptq(8, -1), lambda rng, rows, columns: gptq(rng, rows, columns, 8, -1)),
    "gptq v2": (
        _gptq(4, 32, checkpoint_format="gptq_v2"),
        lambda rng, rows, columns: gptq(rng, rows, columns, 4, 32, version=2),
    ),
    "gptq by activation": (
        _gptq(4, 32, desc_act=True),
        lambda rng, rows, columns: gptq(rng, rows, columns, 4, 32, shuffled=True),
    ),
    "awq": (
        {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True},
        lambda rng, rows, columns: awq(rng, rows, columns, 32),
    ),
    "packed 4": (
        _compressed("pack-quantized", 4, strategy="group", group_size=32),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 4, 32),
    ),
    "packed 8 by row": (
        _compressed("pack-quantized", 8, strategy="channel"),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 8, -1),
    ),
    "packed 3": (
        _compressed("pack-quantized", 3, strategy="group", group_size=32),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 3, 32, zero_points=True),
    ),
    "packed 3, dense": (
        _compressed("pack-quantized", 3, strategy="group", group_size=32),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 3, 32, zero_points=True, dense=True),
    ),
    "packed 6 by row, dense": (
        _compressed("pack-quantized", 6, strategy="channel"),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 6, -1, zero_points=True, dense=True),
    ),
    "packed 4 with zero points": (
        _compressed("pack-quantized", 4, strategy="group", group_size=32, symmetric=False),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 4, 32, zero_points=True),
    ),
    "packed 4 by activation": (
        _compressed("pack-quantized", 4, strategy="group", group_size=32, actorder="group"),
        lambda rng, rows, columns: pack_quantized(rng, rows, columns, 4, 32, shuffled=True),
    ),
    "int8": (_compressed("int-quantized", strategy="channel"), int_quantized),
    "int8 with zero points": (
        _compressed("naive-quantized", strategy="channel", symmetric=False),
        lambda rng, rows, columns: int_quantized(rng, rows, columns, zero_points=True),
    ),
    "float8 rows": (_compressed("float-quantized", strategy="channel"), fp8_rows),
    "nvfp4": (_compressed("nvfp4-pack-quantized", 4), lambda rng, r, c: nvfp4(rng, r, c, divide=True)),
    "modelopt nvfp4": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4"},
        lambda rng, rows, columns: nvfp4(rng, rows, columns, divide=False),
    ),
    "nvfp4, weights only": (
        _compressed("nvfp4-pack-quantized", 4, type="float", group_size=16),
        lambda rng, rows, columns: nvfp4_weights(rng, rows, columns, divide=True),
    ),
    "modelopt nvfp4, weights only": (
        {"quant_method": "modelopt", "quant_algo": "W4A16_NVFP4"},
        lambda rng, rows, columns: nvfp4_weights(rng, rows, columns, divide=False),
    ),
    "modelopt fp8": ({"quant_algo": "FP8"}, fp8_tensor),
    "bitnet": ({"quant_method": "bitnet"}, bitnet),
    "nf4": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        lambda rng, rows, columns: bitsandbytes_4(rng, rows, columns, nested=False),
    ),
    "fp4 nested": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        lambda rng, rows, columns: bitsandbytes_4(rng, rows, columns, nested=True, kind="fp4"),
    ),
    "bitsandbytes 8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, bitsandbytes_8),
}
"""quantization_config and packer by name."""
