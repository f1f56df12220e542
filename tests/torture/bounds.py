"""Every kernel with numba's own bounds checks, which end it at the first index that is outside of an array.

    python -m tests.torture.bounds TYPE ...        (with NUMBA_BOUNDSCHECK=1 and a cache of its own)

Guard bytes tell of writing; this tells of reading too. Kernels are compiled anew for it, so it takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from numba import config, njit

from gguf_tools import quants
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.quants.common import ENCODABLE, TYPES, encode
from tests.torture.report import Row

__all__ = ["rows"]

SCALES = (0.0, 1e-40, 1e-30, 1.0, 1e30)


def rows(types: Sequence[GGMLType] = TYPES) -> Iterator[Row]:
    """A line for all types together."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-m", "tests.torture.bounds", *(type_.name for type_ in types)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    problems = [f"exit status {done.returncode}: {done.stderr.strip()[-500:]}"] if done.returncode else []
    cells = {"types": str(len(types)), "blocks": done.stdout.strip() or "?"}
    yield Row("decoding and encoding", cells, problems)


def main(names: Sequence[str]) -> None:
    _require_checks()
    blocks = 0
    for type_ in (GGMLType[name] for name in names):
        size = BLOCK_SIZES[type_]
        rng = np.random.default_rng(int(type_))
        hostile = [rng.integers(0, 256, (517, size.bytes), np.uint8)]
        hostile += [np.full((3, size.bytes), byte, np.uint8) for byte in range(256)]
        for data in hostile:
            quants.dequantize(data, type_, (len(data), size.elements), threads=1)
            blocks += len(data)
        for scale in SCALES if type_ in ENCODABLE else ():
            values = (rng.standard_normal((67, 3 * size.elements)) * scale).astype(np.float32)
            encode(values, type_, threads=1)
            blocks += 3 * len(values)
    print(f"{blocks:,}")


def _require_checks() -> None:
    """Fail where an index outside of an array would go unnoticed."""
    assert config.BOUNDSCHECK

    def beyond(array):  # type: ignore[no-untyped-def]
        return array[len(array) + 1]

    try:
        njit(beyond)(np.zeros(3))
    except IndexError:
        return
    raise AssertionError("bounds are not checked")


if __name__ == "__main__":
    main(sys.argv[1:])
