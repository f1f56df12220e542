"""Digests of what every codec makes of fixed inputs: the same on every processor.

    python -m tests.quants.digests     records ``fixtures/codecs.json``

ggml's own bytes are compared with elsewhere, on x86; recorded, they can be compared with where there is no
such ggml. Needs numpy and numba alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.quants.table import MODULES
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.floats import one_nan
from tests.quants.inputs import INPUTS, LENGTH, make, make_weights

__all__ = ["digests", "inputs_digests", "load"]

GOLDEN: Final = Path(__file__).resolve().parents[2] / "fixtures" / "codecs.json"

_WEIGHTS: Final = ("uneven", "of all sizes")
_BLOCKS: Final = 500


def load() -> dict[str, dict[str, str]]:
    """Digests by type and by what was done; a missing golden is an error."""
    golden: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return golden


def inputs_digests() -> dict[str, str]:
    """Of the inputs: where numpy's random numbers differ, nothing else could be the same."""
    return {name: _digest(make(name)[:1]) for name in INPUTS} | {
        f"weights {name}": _digest(make_weights(name)) for name in _WEIGHTS
    }


def digests(type_: GGMLType) -> dict[str, str]:
    """Of blocks made with and without weights, of what those decode to, and of what any bytes decode to."""
    codec = quants.codec(type_)
    x = np.concatenate([make(name)[:1] for name in INPUTS])
    made: dict[str, NDArray[np.uint8]] = {}
    if codec.encode is not None:
        made["encoded"] = quants.encode_rows(x, type_)
    if codec.weighted is not None:
        for name in _WEIGHTS:
            made[f"encoded, weights {name}"] = quants.encode_rows(x, type_, weights=make_weights(name))
    found = {name: _digest(data) for name, data in made.items()}
    for name, data in made.items():
        found[f"{name}, decoded"] = _digest(one_nan(quants.decode_rows(data, type_, LENGTH)))
    block = BLOCK_SIZES[type_]
    data = np.random.default_rng(int(type_)).integers(0, 256, (_BLOCKS, block.bytes), np.uint8)
    found["any bytes, decoded"] = _digest(one_nan(quants.decode_rows(data, type_, block.elements)))
    return found


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def main() -> None:
    """Record the digests."""
    found = {"inputs": inputs_digests()} | {type_.name: digests(type_) for type_ in MODULES}
    lines = [f"{json.dumps(name)}: {json.dumps(made, indent=1)}" for name, made in found.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
