"""Kernels take the places of fields from the layouts: with fields exchanged, so are the bytes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from gguf_tools import quants
from gguf_tools.quants.layouts import LAYOUTS, fields, offsets
from gguf_tools.quants.table import MODULES
from gguf_tools.spec import BLOCK_SIZES, GGMLType

ROOT = Path(__file__).parents[2]

SHARED = ("d", "dmin", "scales")
"""What blocks of Q4_K and Q5_K begin with: the kernels that write and read it know one place for both."""

EXCHANGE = """
import json, sys
import numpy as np
from gguf_tools import quants
from gguf_tools.quants.layouts import LAYOUTS
from gguf_tools.spec import GGMLType
from tests.quants.common import ENCODABLE, even_weights, sample, some_blocks

def everything():
    \"\"\"Of each type: encoded values, by field, and decoded blocks whose fields are given.\"\"\"
    found = {}
    for type_ in types:
        layout = LAYOUTS[type_]
        given = np.empty(2, layout)
        for name in layout.names:
            given[name] = random[type_][name]
        length = quants.codec(type_).block_elements
        decoded = quants.decode_rows(given.view(np.uint8).reshape(2, -1), type_, length)
        encoded = None
        if type_ in ENCODABLE:
            x = sample(type_, rows=1, blocks=1)
            data = quants.encode_rows(x, type_, weights=even_weights(type_, length))
            encoded = {name: data.reshape(-1).view(layout)[name].tobytes() for name in layout.names}
        found[type_] = encoded, np.nan_to_num(decoded).tobytes()
    return found

exchanged = {GGMLType[name]: pair for name, pair in json.loads(sys.argv[1]).items()}
types = list(exchanged)
random = {type_: some_blocks(type_, 2).reshape(-1).view(LAYOUTS[type_]) for type_ in types}
with np.errstate(all="ignore"):
    before = everything()
    for type_, (one, other) in exchanged.items():
        layout = LAYOUTS[type_]
        names = [{one: other, other: one}.get(name, name) for name in layout.names]
        LAYOUTS[type_] = np.dtype([(name, layout[name]) for name in names])
    keep = {f"gguf_tools.quants{rest}" for rest in ("", ".layouts", ".codec", ".table", ".kernels.numbers")}
    for name in [name for name in sys.modules if name.startswith("gguf_tools.quants.") and name not in keep]:
        del sys.modules[name]
    after = everything()
print(json.dumps([type_.name for type_ in types if before[type_] != after[type_]]))
"""


def pairs(type_: GGMLType) -> list[tuple[str, str]]:
    """Neighbouring fields that can be exchanged."""
    names = [field.name for field in fields(type_)]
    crossing = {("scales", "qs"), ("scales", "qh")} if type_ in (GGMLType.Q4_K, GGMLType.Q5_K) else set()
    return [pair for pair in pairwise(names) if pair not in crossing]


ROUNDS = max(len(pairs(type_)) for type_ in MODULES)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_exchanged_fields_are_exchanged_bytes(number: int) -> None:
    """Kernels, run by the interpreter, encode and decode blocks of the other layout to the same values.

    That fails for a kernel with an offset of its own. Q4_K and Q5_K have one pair in the same round.
    """
    exchanged = {type_.name: pairs(type_)[number] for type_ in MODULES if number < len(pairs(type_))}
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", EXCHANGE, json.dumps(exchanged)],
        capture_output=True, text=True, cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_q4_k_and_q5_k_begin_alike() -> None:
    assert offsets(GGMLType.Q4_K, *SHARED) == offsets(GGMLType.Q5_K, *SHARED)


@pytest.mark.parametrize("type_", GGMLType, ids=lambda type_: type_.name)
def test_layouts_are_without_padding_and_little_endian(type_: GGMLType) -> None:
    layout = LAYOUTS[type_]
    assert layout.itemsize == BLOCK_SIZES[type_].bytes == sum(layout[name].itemsize for name in layout.names)
    assert layout == layout.newbyteorder("<")
    assert quants.codec(type_).layout is layout


@pytest.mark.parametrize("path", ["container/block_fields.py"])
def test_who_looks_at_blocks_knows_no_offsets(path: str) -> None:
    """Nor sizes: the only numbers of a block there are shifts and masks of its words."""
    source = (Path(quants.__file__).parents[1] / path).read_text()
    assert not re.search(r"GGMLType\.[A-Z]", source)
    assert "BLOCK_SIZES" not in source
