"""All kernels on hostile data, compiled with a check of every index: in a process of its own.

    python -m tests.torture.bounds '[["decoding"], ["Q4_K"], 1]'

numba's ``NUMBA_BOUNDSCHECK`` compiles a comparison before every access, and raises IndexError. Kernels
without it must not be taken from the cache, nor those with it left there: they have a directory of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gguf_tools import quants
from gguf_tools.checkpoint import SafetensorsFile, unpack
from gguf_tools.compute.jit import kernel
from gguf_tools.errors import GGUFToolsError
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.packing import PACKINGS, Part, Parts, write_parts
from tests.quants.common import ENCODABLE, TYPES, WEIGHTED, even_weights
from tests.quants.inputs import INPUTS, WEIGHTS, make, make_weights
from tests.torture.blocks import patterns
from tests.torture.report import Row

__all__ = ["PARTS", "rows", "tried"]

ROOT = Path(__file__).resolve().parents[2]

PARTS = ("decoding", "encoding", "packed")

_SHAPES = ((64, 192), (32, 384), (96, 64), (32, 1152))
_HOSTILE_COPIES = 8


def decoding(types: Sequence[GGMLType], step: int) -> int:
    """Blocks decoded: random bytes, and all patterns of all scales."""
    count = 0
    for type_ in types:
        size = BLOCK_SIZES[type_]
        random = np.random.default_rng(int(type_)).integers(0, 256, (1 << 12, size.bytes), np.uint8)
        for data in (
            random,
            np.zeros_like(random[:1]),
            np.full_like(random[:1], 255),
            *patterns(type_, step),
        ):
            quants.dequantize(data, type_, (len(data), size.elements))
            count += len(data)
    return count


def encoding(types: Sequence[GGMLType], step: int) -> int:
    """Blocks encoded: awkward values and any bits, without and with importances."""
    count = 0
    for type_ in types:
        if type_ not in ENCODABLE:
            continue
        for number, name in enumerate(INPUTS):
            values = make(name)[:: max(1, step // 64)]
            weights = [even_weights(type_, values.shape[1])]
            if type_ in WEIGHTED:
                names = list(WEIGHTS) if step == 1 else [list(WEIGHTS)[number % len(WEIGHTS)]]
                weights += [make_weights(name) for name in names]
            for row in weights:
                quants.encode_rows(values, type_, weights=row)
                count += values.size // BLOCK_SIZES[type_].elements
    return count


def packed(types: Sequence[GGMLType], step: int) -> int:
    """Checkpoints of packed weights: as they should be, and with random bytes for every tensor in turn."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (settings, packer) in PACKINGS.items():
            for shape in _SHAPES[: 1 if step > 1 else None]:
                parts = packer(np.random.default_rng(1), *shape)[0]
                for given in (parts, *_spoilt(parts)):
                    count += _unpacked(Path(folder) / "a.safetensors", settings, given)
                    assert count, name
    return count


def _spoilt(parts: Parts) -> Iterator[Parts]:
    for name, one in parts.items():
        if "quant_state" in name:  # text, with its own cases
            continue
        for seed in range(_HOSTILE_COPIES):
            data = np.random.default_rng(seed).integers(0, 256, len(one.data), np.uint8).tobytes()
            yield {**parts, name: Part(one.dtype, one.shape, data)}


def _unpacked(path: Path, settings: dict[str, object], parts: Parts) -> int:
    """1; what is refused is refused with one of our own errors."""
    write_parts(path, {f"model.layer.{name}": one for name, one in parts.items()})
    with SafetensorsFile(path) as file, np.errstate(all="ignore"):
        try:
            for source in unpack({"quantization_config": settings}, file.tensors).tensors.values():
                source.rows(0, source.shape[0])
                source.rows(5, 18)
        except GGUFToolsError:
            pass
    return 1


@kernel
def _beyond(values, index):  # type: ignore[no-untyped-def]
    return values[index]


def _require_checks() -> None:
    """That an index out of bounds is noticed here at all."""
    try:
        _beyond(np.zeros(4, np.float32), 4)
    except IndexError:
        return
    raise SystemExit("indexes are not checked: set NUMBA_BOUNDSCHECK=1")


def tried(parts: Sequence[str] = PARTS, types: Sequence[str] = (), step: int = 1) -> dict[str, int]:
    """What the parts try in a process with checks, by part.

    Args:
        parts: which.
        types: of which formats; all of them where none is named.
        step: leaves out patterns and rows.

    Raises:
        RuntimeError: an index is out of bounds, or anything else went wrong; with the last that was said.
    """
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-m", "tests.torture.bounds", json.dumps([list(parts), list(types), step])],
            cwd=ROOT,
            env=os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-2000:])
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def rows() -> Iterator[Row]:
    """A line for each part."""
    for part in PARTS:
        try:
            counts, problems = tried([part]), []
        except RuntimeError as error:
            counts, problems = {part: 0}, [f"{part}: {error}"]
        what = "checkpoints" if part == "packed" else "blocks"
        yield Row(
            f"{part} ({what})", {"tried": f"{counts[part]:,}", "out of bounds": str(len(problems))}, problems
        )


def _main() -> None:
    parts, names, step = json.loads(sys.argv[1])
    _require_checks()
    types = [GGMLType[name] for name in names] or list(TYPES)
    functions = {"decoding": decoding, "encoding": encoding, "packed": packed}
    print(json.dumps({part: functions[part](types, step) for part in parts}))


if __name__ == "__main__":
    _main()
