# ruff: noqa: E501 - a case a line reads as a table
"""Importance matrices of both formats: class 41."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gguf_tools.errors import FormatError, QuantizationError
from gguf_tools.recipes.imatrix import load_importance
from tests import builders as b
from tests.hostile.case import Case, Outcome, Refused, Taken, one_file

__all__ = ["CASES"]


def entry(
    name: bytes = b"b", calls: int = 1, values: tuple[float, ...] = (1.0,), count: int | None = None
) -> bytes:
    """An entry of the old format; ``count`` may lie."""
    head = struct.pack("<i", len(name)) + name
    return head + struct.pack("<ii", calls, len(values) if count is None else count) + b.floats(*values)


def old(*entries: bytes, count: int | None = None, tail: bytes = b"") -> bytes:
    return struct.pack("<i", len(entries) if count is None else count) + b"".join(entries) + tail


def new(*tensors: b.Tensor, pairs: Any = (("general.type", b.STRING, "imatrix"),)) -> bytes:
    return b.build(pairs, tensors)


def sums(*dims: int, kind: int = 0, data: bytes | None = None, name: str = "x.in_sum2") -> b.Tensor:
    count = 1
    for size in dims:
        count *= size
    return b.Tensor(name, dims, kind, b.floats(*[1.0] * count) if data is None else data)


def counts(*dims: int, kind: int = 0, data: bytes | None = None) -> b.Tensor:
    return sums(*dims, kind=kind, data=data, name="x.counts")


def _hole(folder: Path) -> Path:
    """Not an importance matrix, and 64 GB long without taking any place."""
    path = folder / "imatrix.dat"
    with path.open("wb") as file:
        file.write(struct.pack("<i", -1))
        file.truncate(1 << 36)
    return path


def _hole_of_values(folder: Path) -> Path:
    """An entry that says it has 2 GB of values, which are there: zeros in a hole."""
    path = folder / "imatrix.dat"
    with path.open("wb") as file:
        file.write(old(entry(count=-1)[:-4]))
        file.truncate(1 << 36)
    return path


def _weights(path: Path) -> None:
    load_importance(path).weights("x", (4, 5))


def _case(name: str, data: bytes | Callable[[], bytes], outcome: Outcome, use: Any = load_importance) -> Case:
    return Case(f"41 {name}", one_file(data, "imatrix.dat"), use, outcome)


def _bad(name: str, data: bytes | Callable[[], bytes], message: str) -> Case:
    return _case(name, data, Refused(FormatError, message))


_NAN, _INF = float("nan"), float("inf")
_CUT = "not an importance matrix, or cut off"

CASES = (
    _bad("empty", b"", "is cut off"),
    *(_bad(f"{count} entries", old(entry(), count=count), "number of entries") for count in (0, -1, 1 << 30, -(1 << 31))),
    _bad("more entries than there are", old(entry(), count=2), "is cut off"),
    *(_bad(f"a name of {size} bytes", old(struct.pack("<i", size), count=1), f"{_CUT}: length of a name") for size in (-5, 5, 2000, (1 << 31) - 1)),
    _bad("a name with a NUL", old(entry(b"a\0")), "an entry is unusable"),
    _bad("a name twice", old(entry(), entry()), "occurs twice"),
    *(_bad(f"{count} values", old(entry(count=count)), "values|unusable") for count in (-1, 0, 2, 1 << 29, (1 << 31) - 1, -(1 << 31))),
    *(_bad(f"a value of {value}", old(entry(values=(1.0, value))), "not a finite number|negative") for value in (_NAN, _INF, -_INF, -1.0)),
    _bad("a dataset past the end", old(entry(), tail=struct.pack("<ii", 1, 100)), "dataset"),
    _bad("a dataset of negative length", old(entry(), tail=struct.pack("<ii", 1, -1)), "dataset"),
    _bad("zip", b"PK\x03\x04" + bytes(100), "number of entries"),
    Case("41 64 GB of nothing", _hole, load_importance, Refused(FormatError, "number of entries")),
    Case("41 64 GB with a negative number of values", _hole_of_values, load_importance, Refused(FormatError, "number of values")),
    _bad("GGUF, no sums", new(), "no tensor is called"),
    _bad("GGUF, counts alone", new(counts(1)), "no tensor is called"),
    _bad("GGUF, sums alone", new(sums(3)), "sums without counts"),
    _bad("GGUF, counts that do not divide", new(sums(3, 2), counts(4)), "counts do not fit the sums"),
    _bad("GGUF, no counts in it", new(sums(3), counts(0, data=b"")), "counts do not fit the sums"),
    _bad("GGUF, no sums in it", new(sums(0, 3, data=b""), counts(1, 3)), "counts do not fit"),
    _bad("GGUF, sums of F16", new(sums(2, kind=1, data=bytes(4)), counts(1)), "must be F32"),
    _bad("GGUF, counts of I32", new(sums(2), counts(1, kind=26, data=bytes(4))), "must be F32"),
    _bad("GGUF, sums of an unknown type", new(sums(2, kind=99, data=bytes(4)), counts(1)), "must be F32"),
    *(_bad(f"GGUF, a sum of {value}", new(sums(2, data=b.floats(1, value)), counts(1)), "not a finite number|negative") for value in (_NAN, _INF, -1.0)),
    *(_bad(f"GGUF, a count of {value}", new(sums(2), counts(1, data=b.floats(value))), "not a finite number") for value in (_NAN, _INF, -_INF)),
    _bad("GGUF, cut off", new(sums(8), counts(8))[:-40], "past the end of the file"),
    _bad("GGUF, 2^62 sums beside none", new(sums(0, 1 << 62, data=b""), counts(1)), "absurd"),
    _case("of another model", old(entry(b"x", 1, (1.0, 2.0))), Refused(QuantizationError, "belongs to another model"), _weights),
    _case("GGUF, of another model", new(sums(2), counts(1)), Refused(QuantizationError, "belongs to another model"), _weights),
    _case("negative calls: as if never called", old(entry(calls=-5)), Taken(lambda matrix: matrix.entries["b"].values.tolist() == [1.0])),
    _case("GGUF, keys of wrong types", new(sums(2), counts(1), pairs=(("imatrix.datasets", b.U8, 1), ("imatrix.chunk_count", b.STRING, "x"))), Taken(lambda matrix: matrix.chunks == 0)),
)  # fmt: skip
