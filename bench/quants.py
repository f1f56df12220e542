"""Block codecs on one core: this package against ggml's C code and against the ``gguf`` package's numpy.

Encoding, without and with an importance matrix, is compared with ggml's reference quantizer, decoding with
``gguf.quants.dequantize`` and with ggml. ggml comes from the ``libggml-python`` package, compiled for any
x86-64. The sides alternate, and a ratio is the median of the runs' own ratios. Megabytes are of float32.
Then the time numba takes: what converting to Q4_K_M needs is compiled in a fresh process with an empty
cache, and loaded in another one.

    python -m bench.quants [--types Q4_K Q6_K …] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from .measure import measure, table

if TYPE_CHECKING:
    from gguf_tools.spec import GGMLType

ROWS: Final = 256
LENGTH: Final = 4096
"""4 MiB of values: what the conversion engine gives a worker at a time is of this order."""

TYPES: Final = (
    "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S",
    "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0",
)  # fmt: skip

_SHORTEST: Final = 0.02
"""Seconds a timing takes at least: quick calls are repeated, or interrupts would count."""

_START: Final = """
import json, time
begun = time.perf_counter()
import numpy as np
from gguf_tools.quants import encode_rows
for type_ in ("Q4_K", "Q6_K"):
    encode_rows(np.ones((1, 256), np.float32), type_)
print(json.dumps(time.perf_counter() - begun))
"""


def run(types: Sequence[str] = TYPES, runs: int = 9) -> dict[str, Any]:
    """Measure; returns per type the medians in MB/s, the ratios and whether both sides gave the same bits."""
    with one_core():
        codecs = {type_: _codec(type_, runs) for type_ in types}
    return {"runs": runs, "shape": [ROWS, LENGTH], "codecs": codecs, "start": _start(3)}


def _codec(type_: str, runs: int) -> dict[str, Any]:
    import numpy as np

    from gguf_tools.quants import codec
    from gguf_tools.spec import GGMLType

    found = codec(GGMLType[type_])
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.02, (ROWS, LENGTH)).astype(np.float32)
    weights = rng.random(LENGTH, np.float32) if found.weighted is not None else None
    result: dict[str, Any] = {}
    if found.encode is not None:
        result["encode"] = _encoding(found.type, x, None, runs)
    if weights is not None:
        result["weighted"] = _encoding(found.type, x, weights, runs)
    result["decode"] = _decoding(found.type, x, weights if found.needs_weights else None, runs)
    return result


def _encoding(type_: GGMLType, x: Any, weights: Any, runs: int) -> dict[str, Any]:
    import numpy as np

    from gguf_tools.quants import encode_rows
    from tests.references import ggml

    data = ggml.encode(x, type_, weights)
    same = bool((encode_rows(x, type_, weights=weights) == data).all())
    out = np.empty_like(data)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: encode_rows(x, type_, out, weights=weights),
        "ggml": lambda: ggml.encode_into(x, type_, out, weights),
    }
    return _alternate(sides, runs) | {"same": same}


def _decoding(type_: GGMLType, x: Any, weights: Any, runs: int) -> dict[str, Any]:
    import gguf
    import numpy as np

    from gguf_tools.quants import decode_rows
    from tests.floats import same_floats
    from tests.references import ggml

    data = ggml.encode(x, type_, weights)
    decoded = ggml.decode(data, type_, x.shape)
    values = np.empty_like(x)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: decode_rows(data, type_, LENGTH, values),
        "ggml": lambda: ggml.decode_into(data, type_, values),
    }
    same = bool(same_floats(decode_rows(data, type_, LENGTH), decoded).all())
    with suppress(ValueError, NotImplementedError):  # what the package does not know, or cannot decode
        theirs = gguf.GGMLQuantizationType(int(type_))
        same &= bool(same_floats(gguf.quants.dequantize(data, theirs), decoded).all())
        sides["gguf"] = lambda: gguf.quants.dequantize(data, theirs)
    return _alternate(sides, runs) | {"same": same}


def _alternate(sides: dict[str, Callable[[], object]], runs: int) -> dict[str, Any]:
    """MB/s of each side (medians), and the others' times over ours (medians of each run's ratio)."""
    repeats = {}
    for name, call in sides.items():
        call()
        repeats[name] = max(1, round(_SHORTEST / _seconds(call, 1)))
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, call in sides.items():
            taken[name].append(_seconds(call, repeats[name]))
    megabytes = ROWS * LENGTH * 4 / 1e6
    found: dict[str, Any] = {name: megabytes / median(times) for name, times in taken.items()}
    found["ratios"] = {
        name: median(other / mine for mine, other in zip(taken["ours"], times, strict=True))
        for name, times in taken.items()
        if name != "ours"
    }
    return found


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _start(runs: int) -> dict[str, float]:
    """Seconds from imports to the first blocks of Q4_K and Q6_K, compiled ("cold") and loaded ("cached")."""
    cold, cached = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as folder:
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            for times in (cold, cached):
                _, said = measure([sys.executable, "-c", _START], environment)
                times.append(float(json.loads(said)))
    return {"cold": median(cold), "cached": median(cached)}


def show(found: dict[str, Any]) -> str:
    """The figures as plain tables."""
    rows_in, length = found["shape"]

    def rows(job: str, others: Sequence[str]) -> Iterator[list[str]]:
        for type_, codec in found["codecs"].items():
            if job not in codec:
                continue
            one = codec[job]
            compared = (
                text
                for other in others
                for text in (
                    (f"{one[other]:,.0f}", f"{one['ratios'][other]:.1f}×") if other in one else ("-", "-")
                )
            )
            yield [type_, f"{one['ours']:,.0f}", *compared, "yes" if one["same"] else "NO"]

    encoding = ["MB/s", "ours", "ggml (C)", "ratio", "same bytes"]
    decoding = ["MB/s", "ours", "gguf (numpy)", "ratio", "ggml (C)", "ratio", "same bits"]
    start = found["start"]
    return "\n".join(
        [
            f"One core, {rows_in} × {length} normal values, medians of {found['runs']} alternating runs",
            f"\nEncoding\n\n{table(encoding, list(rows('encode', ['ggml'])))}",
            f"\nEncoding with an importance matrix\n\n{table(encoding, list(rows('weighted', ['ggml'])))}",
            f"\nDecoding\n\n{table(decoding, list(rows('decode', ['gguf', 'ggml'])))}",
            f"\nFirst Q4_K and Q6_K blocks of a process, imports included: {start['cold']:.1f} s where numba"
            f" compiles, {start['cached']:.2f} s where the machine code is cached",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quants", description=__doc__.partition("\n")[0])
    parser.add_argument("--types", nargs="+", choices=TYPES, default=TYPES, metavar="TYPE")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = run(options.types, options.runs)
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
