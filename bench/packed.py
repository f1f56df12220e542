"""Reading packed weights on one core: each format's values against those of plain BF16.

A matrix of each kind is read from a safetensors file in the page cache, in chunks of rows such as the
conversion engine takes, and comes out as float32. BF16 and the packed format alternate; a ratio is the
median of the runs' own ratios. Megabytes are of float32, seconds those of the processor.

    python -m bench.packed [--formats "fp8 blocks" awq …] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from .measure import table
from .quants import one_core

if TYPE_CHECKING:
    from gguf_tools.source import Source

ROWS: Final = 4096
COLUMNS: Final = 4096
GROUP: Final = 128
_READS: Final = 8
"""Of the whole matrix in a run: time of the processor is counted in coarse steps."""

_GROUPS: Final = COLUMNS // GROUP

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Format:
    """A packed matrix: what config.json says, and its parts as ending → (dtype, shape)."""

    settings: dict[str, Any]
    parts: dict[str, tuple[str, Shape]]


def _compressed(stored: str, bits: int, **others: Any) -> dict[str, Any]:
    weights = {"num_bits": bits, "group_size": GROUP} | others
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": stored, "config_groups": groups}


def _gptq(bits: int, *, ordered: bool = True) -> Format:
    parts = {
        "qweight": ("I32", (COLUMNS * bits // 32, ROWS)),
        "qzeros": ("I32", (_GROUPS, ROWS * bits // 32)),
        "scales": ("F16", (_GROUPS, ROWS)),
    }
    if not ordered:
        parts["g_idx"] = ("I32", (COLUMNS,))
    return Format({"quant_method": "gptq", "bits": bits, "group_size": GROUP}, parts)


def _packed(bits: int, *, zero_points: bool = False) -> Format:
    each = 32 // bits
    parts = {
        "weight_packed": ("I32", (ROWS, COLUMNS // each)),
        "weight_scale": ("BF16", (ROWS, _GROUPS)),
        "weight_shape": ("I64", (2,)),
    }
    if zero_points:
        parts["weight_zero_point"] = ("I32", (ROWS // each, _GROUPS))
    return Format(_compressed("pack-quantized", bits), parts)


def _four_bits(*, nested: bool) -> Format:
    blocks = ROWS * COLUMNS // 64
    parts: dict[str, tuple[str, Shape]] = {
        "weight": ("U8", (ROWS * COLUMNS // 2, 1)),
        "weight.quant_map": ("F32", (16,)),
        "weight.absmax": ("U8" if nested else "F32", (blocks,)),
        "weight.quant_state.bitsandbytes__nf4": ("U8", ()),
    }
    if nested:
        parts["weight.nested_absmax"] = ("F32", (blocks // 256,))
        parts["weight.nested_quant_map"] = ("F32", (256,))
    return Format({"quant_method": "bitsandbytes"}, parts)


FORMATS: Final = {
    "BF16": Format({}, {"weight": ("BF16", (ROWS, COLUMNS))}),
    "fp8, blocks of 128 × 128": Format(
        {"quant_method": "fp8", "weight_block_size": [128, 128]},
        {
            "weight": ("F8_E4M3", (ROWS, COLUMNS)),
            "weight_scale_inv": ("F32", (ROWS // 128, COLUMNS // 128)),
        },
    ),
    "fp8, scales of rows": Format(
        {"quant_method": "fbgemm_fp8"},
        {"weight": ("F8_E4M3", (ROWS, COLUMNS)), "weight_scale": ("F32", (ROWS, 1))},
    ),
    "fp8, one scale": Format(
        {"quant_method": "fp8"}, {"weight": ("F8_E5M2", (ROWS, COLUMNS)), "weight_scale": ("F32", ())}
    ),
    "GPTQ, 2 bits": _gptq(2),
    "GPTQ, 3 bits": _gptq(3),
    "GPTQ, 4 bits": _gptq(4),
    "GPTQ, 4 bits, by activation": _gptq(4, ordered=False),
    "GPTQ, 8 bits": _gptq(8),
    "AWQ": Format(
        {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"},
        {
            "qweight": ("I32", (COLUMNS, ROWS // 8)),
            "qzeros": ("I32", (_GROUPS, ROWS // 8)),
            "scales": ("F16", (_GROUPS, ROWS)),
        },
    ),
    "pack-quantized, 4 bits": _packed(4),
    "pack-quantized, 4 bits, zero points": _packed(4, zero_points=True),
    "pack-quantized, 8 bits": _packed(8),
    "int-quantized": Format(
        _compressed("int-quantized", 8),
        {"weight": ("I8", (ROWS, COLUMNS)), "weight_scale": ("BF16", (ROWS, 1))},
    ),
    "nvfp4-pack-quantized": Format(
        _compressed("nvfp4-pack-quantized", 4),
        {
            "weight_packed": ("U8", (ROWS, COLUMNS // 2)),
            "weight_scale": ("F8_E4M3", (ROWS, COLUMNS // 16)),
            "weight_global_scale": ("F32", (1,)),
        },
    ),
    "NF4": _four_bits(nested=False),
    "NF4, nested scales": _four_bits(nested=True),
    "LLM.int8": Format(
        {"quant_method": "bitsandbytes"}, {"weight": ("I8", (ROWS, COLUMNS)), "SCB": ("F32", (ROWS,))}
    ),
    "BitNet": Format(
        {"quant_method": "bitnet"}, {"weight": ("U8", (ROWS // 4, COLUMNS)), "weight_scale": ("F32", (1,))}
    ),
    "MXFP4": Format(
        {"quant_method": "mxfp4"},
        {
            "weight_blocks": ("U8", (1, ROWS, COLUMNS // 32, 16)),
            "weight_scales": ("U8", (1, ROWS, COLUMNS // 32)),
        },
    ),
}


def run(formats: Sequence[str] = tuple(FORMATS), runs: int = 7) -> dict[str, Any]:
    """Measure; returns per format MB/s (median) and the time of BF16 over its own (median of ratios)."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as folder, one_core():
        sources = {name: _source(FORMATS[name], Path(folder) / f"{i}") for i, name in enumerate(formats)}
        plain = _source(FORMATS["BF16"], Path(folder) / "plain")
        found = {name: _compared(source, plain, runs) for name, source in sources.items()}
    return {"runs": runs, "shape": [ROWS, COLUMNS], "formats": found}


def _source(packed: Format, path: Path) -> Callable[[], Source]:
    """Gives the matrix as nobody has read of it yet: bands that are kept for neighbours are not there."""
    from gguf_tools.checkpoint import SafetensorsFile, unpack
    from tests.packing import Part, write_parts

    parts = {}
    for ending, (dtype, shape) in packed.parts.items():
        data = _contents(ending, dtype, shape)
        parts[f"layer.{ending}"] = Part(dtype, shape or (len(data),) if dtype == "U8" else shape, data)
    write_parts(path, parts)
    config = {"quantization_config": packed.settings} if packed.settings else {}
    tensors = SafetensorsFile(path).tensors

    def fresh() -> Source:
        (source,) = unpack(config, tensors).tensors.values()
        return source

    return fresh


def _contents(ending: str, dtype: str, shape: Shape) -> bytes:
    """Random codes, and scales that are harmless numbers."""
    import numpy as np

    from tests import tiny

    rng = np.random.default_rng(0)
    if ending == "weight_shape":
        return np.array([ROWS, COLUMNS], "<i8").tobytes()
    if ending == "g_idx":
        return rng.permutation(np.arange(COLUMNS, dtype="<i4") // GROUP).tobytes()
    if ending.startswith("weight.quant_state"):
        state = {"blocksize": 64, "shape": [ROWS, COLUMNS], "nested_blocksize": 256, "nested_offset": 0.1}
        return json.dumps(state).encode()
    if dtype in ("F32", "F16"):
        return rng.uniform(0.5, 1.5, shape).astype("<f4" if dtype == "F32" else "<f2").tobytes()
    if dtype == "BF16":
        return tiny.to_bf16(rng.uniform(0.5, 1.5, shape).astype(np.float32)).astype("<u2").tobytes()
    size = {"I32": 4, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E5M2": 1}[dtype]
    most = 0x77 if dtype.startswith("F8") or ending.endswith("scales") else 256
    return rng.integers(0, most, prod(shape) * size, np.uint8).tobytes()


def _compared(source: Callable[[], Source], plain: Callable[[], Source], runs: int) -> dict[str, float]:
    sides: dict[str, Callable[[], None]] = {
        "packed": lambda: _read(source()),
        "plain": lambda: _read(plain()),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call()
    for _ in range(runs):
        for name, call in sides.items():
            start = time.process_time()
            for _ in range(_READS):
                call()
            taken[name].append((time.process_time() - start) / _READS)
    return {
        "rate": ROWS * COLUMNS * 4 / 1e6 / median(taken["packed"]),
        "ratio": median(a / b for a, b in zip(taken["plain"], taken["packed"], strict=True)),
    }


def _read(source: Source) -> None:
    """All rows, a chunk after the other."""
    from gguf_tools.conversion.engine import CHUNK_ELEMENTS

    step = CHUNK_ELEMENTS // COLUMNS
    for start in range(0, ROWS, step):
        source.rows(start, min(start + step, ROWS))


def show(found: dict[str, Any]) -> str:
    """The figures as a plain table."""
    rows = [[name, f"{one['rate']:,.0f}", f"{one['ratio']:.2f}×"] for name, one in found["formats"].items()]
    rows_in, columns = found["shape"]
    heading = ["MB/s of float32", "read and decoded", "of BF16's rate"]
    return "\n".join(
        [
            f"One core, {rows_in} × {columns} from the page cache, medians of {found['runs']} runs",
            f"\n{table(heading, rows)}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.packed", description=__doc__.partition("\n")[0])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=tuple(FORMATS), metavar="FORMAT")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = run(options.formats, options.runs)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
