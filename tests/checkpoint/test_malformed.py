# ruff: noqa: E501 - a case a line reads as a table
"""One file per known class of malformed safetensors; each refused with a typed, placed error, fast and cheaply."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from gguf_tools.checkpoint import SafetensorsFile
from gguf_tools.checkpoint.header import MAX_HEADER_BYTES
from gguf_tools.errors import CheckpointError
from tests.checkpoint import build as b

GOOD = b.described("F32", [1], 0, 4)
ONE = b.floats(1)


@contextmanager
def cheap() -> Iterator[None]:
    """Within 100 ms and 50 MB: the best of the clock is not needed, hostile files are refused early."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        yield
        spent = time.process_time() - begin
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < 0.1
    assert peak < 50_000_000


def zip_file() -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return data.getvalue()


def one(entry: object, data: bytes = ONE) -> bytes:
    return b.file_of({"x": entry}, data)


def two(first: tuple[int, int], second: tuple[int, int], size: int = 8) -> bytes:
    """Two tensors of four bytes each, wherever they are said to be."""
    return b.file_of({"x": b.described("U8", [4], *first), "y": b.described("U8", [4], *second)}, bytes(size))


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    # 36: the header
    "empty file": (lambda: b"", "too short.*found 0 bytes"),
    "seven bytes": (lambda: bytes(7), "too short.*found 7 bytes"),
    "header length 0": (lambda: bytes(8) + b"{}", "header length.*found 0"),
    "nothing but zeros": (lambda: bytes(64), "looks like nothing but zeros: the download did not complete"),
    "header length 1": (lambda: b.framed("{"), "header length.*found 1"),
    "header longer than the file": (lambda: b.framed("{}", length=3), "found a header of 3 bytes, expected at most 2"),
    "header length 2^63": (lambda: b.framed("{}", length=1 << 63), "at byte 0: the header does not fit"),
    "header length 2^64 - 1": (lambda: b.framed("{}", length=(1 << 64) - 1), "does not fit"),
    "header over the limit": (lambda: b.framed("{}" + " " * MAX_HEADER_BYTES), "header length.*expected 2 to"),
    "header not UTF-8": (lambda: b.framed(b'{"\xff": 0}'), "at byte 2: is not UTF-8"),
    "header not JSON": (lambda: b.framed("{x}"), "at byte 1: is not valid JSON"),
    "header JSON and more": (lambda: b.framed("{} {}"), "at byte 3: is not valid JSON: Extra data"),
    "header a list": (lambda: b.framed("[]"), "not a JSON object"),
    "header preceded by a space": (lambda: b.framed(" {}"), "not a JSON object"),
    "NaN literal": (lambda: b.framed('{"x": NaN}'), "not a finite number.*found NaN"),
    "Infinity literal": (lambda: b.framed('{"x": -Infinity}'), "not a finite number"),
    "tensor twice": (lambda: b.framed('{"x": %s, "x": %s}' % ((json.dumps(GOOD),) * 2), ONE), "key 'x': the key occurs twice"),
    "dtype twice": (lambda: b.framed('{"x": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', ONE), "key 'dtype': the key occurs twice"),
    "lists nested deeply": (lambda: b.framed('{"x":' + "[" * 1_000_000), "nested too deeply"),
    "objects nested deeply": (lambda: b.framed('{"x":' * 300_000), "nested too deeply"),
    "a million keys": (lambda: b.framed("{" + ",".join(f'"{i}":0' for i in range(1_000_000)) + "}"), "more than 100000 tensors"),
    "number of 10,000 digits": (lambda: b.framed('{"x": ' + "1" * 10_000 + "}"), "not usable JSON"),
    "metadata not an object": (lambda: b.file_of({"__metadata__": 1}), "key '__metadata__'"),
    "metadata not text": (lambda: b.file_of({"__metadata__": {"format": 1}}), "key '__metadata__'"),
    "description not an object": (lambda: one([1]), "tensor 'x'.*must be an object.*found list"),
    "no dtype": (lambda: one({"shape": [1], "data_offsets": [0, 4]}), "lacks a key.*'dtype'"),
    "no shape": (lambda: one({"dtype": "F32", "data_offsets": [0, 4]}), "lacks a key.*'shape'"),
    "no offsets": (lambda: one({"dtype": "F32", "shape": [1]}), "lacks a key.*'data_offsets'"),
    "name a lone surrogate": (lambda: b.framed('{"\\ud800": ' + json.dumps(GOOD) + "}", ONE), "not valid Unicode"),
    # 36: what else it may be
    "Git LFS pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
    "HTML page": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
    "GGUF": (lambda: b"GGUF" + bytes(60), "looks like a GGUF file"),
    "zip": (zip_file, "zip archive"),
    "pickle": (lambda: pickle.dumps({"x": 1}, protocol=2), "pickle"),
    "gzip": (lambda: b"\x1f\x8b" + bytes(60), "gzip"),
    # 37: offsets
    "offset negative": (lambda: one(b.described("F32", [1], -4, 0)), "unusable data_offsets"),
    "offsets reversed": (lambda: one(b.described("F32", [1], 4, 0)), "unusable data_offsets"),
    "offsets three": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}), "unusable data_offsets"),
    "offsets one": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": [4]}), "unusable data_offsets"),
    "offsets not a list": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": 4}), "unusable data_offsets"),
    "offsets text": (lambda: one(b.described("F32", [1], "0", "4")), "unusable data_offsets"),
    "offsets fractional": (lambda: one(b.described("F32", [1], 0.0, 4.0)), "unusable data_offsets"),
    "offsets bool": (lambda: one(b.described("U8", [1], False, True), b"x"), "unusable data_offsets"),
    "offsets 2^63": (lambda: one(b.described("F32", [1], 1 << 63, (1 << 63) + 4)), "unusable data_offsets"),
    "past the end": (lambda: one(b.described("F32", [2], 0, 8)), "past the end of the file.*expected at least"),
    "far past the end": (lambda: one(b.described("U8", [1 << 62], 0, 1 << 62)), "past the end of the file"),
    "gap at the start": (lambda: one(b.described("F32", [1], 4, 8), bytes(8)), "a gap between the header and the tensor.*found data_offsets from 4, expected from 0"),
    "gap between": (lambda: two((0, 4), (5, 9), 9), "tensor 'y'.*a gap between tensor 'x'"),
    "overlap": (lambda: two((0, 4), (3, 7), 7), "tensor 'y'.*overlaps tensor 'x'.*found data_offsets from 3, expected from 4"),
    "the same place": (lambda: two((0, 4), (0, 4), 4), "overlaps"),
    "bytes behind": (lambda: one(GOOD, ONE + b"x"), "belong to none"),
    "bytes without tensors": (lambda: b.framed("{}", b"x"), "belong to none"),
    # 37: shapes and dtypes
    "size too small": (lambda: one(b.described("F32", [2], 0, 4)), "another size.*found 4 bytes, expected 8 bytes"),
    "size too large": (lambda: one(b.described("F16", [1], 0, 4)), "another size.*found 4 bytes, expected 2 bytes"),
    "size not whole bytes": (lambda: one(b.described("F4", [1], 0, 1), b"x"), "another size.*expected 4 bits"),
    "shape negative": (lambda: one(b.described("F32", [-1], 0, 4)), "unusable shape"),
    "shapes negative twice": (lambda: one(b.described("F32", [-1, -1], 0, 4)), "unusable shape"),
    "shape 2^63": (lambda: one(b.described("F32", [1 << 63], 0, 4)), "unusable shape"),
    "shape wraps 64 bits to 1": (lambda: one(b.described("U8", [3, 12297829382473034411], 0, 1), b"x"), "unusable shape"),
    "shape wraps 64 bits to 4": (lambda: one(b.described("F32", [4194305, 4194305, 211106198978564], 0, 16), bytes(16)), "another size"),
    "shape of 10,000 dimensions": (lambda: one(b.described("F32", [1] * 10_000, 0, 4)), "unusable shape"),
    "shape fractional": (lambda: one(b.described("F32", [1.0], 0, 4)), "unusable shape"),
    "shape bool": (lambda: one(b.described("F32", [True], 0, 4)), "unusable shape"),
    "shape a number": (lambda: one(b.described("F32", 1, 0, 4)), "unusable shape"),
    "shape null": (lambda: one(b.described("F32", None, 0, 4)), "unusable shape"),
    "dtype unknown": (lambda: one(b.described("F31", [1], 0, 4)), "unknown dtype.*found F31"),
    "dtype a number": (lambda: one(b.described(32, [1], 0, 4)), "unknown dtype.*found 32"),
    "dtype in small letters": (lambda: one(b.described("f32", [1], 0, 4)), "unknown dtype.*found f32"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_malformed_files_are_refused_fast_and_cheaply(case: str, tmp_path: Path) -> None:
    make, expected = CASES[case]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(make())
    with cheap(), pytest.raises(CheckpointError, match=rf"^\S*hostile\.safetensors: .*{expected}") as caught:
        SafetensorsFile(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


STRICTER_HERE = {
    "header over the limit": "theirs is four times as high",
    "header preceded by a space": "the format's description forbids it",
    "tensor twice": "the last one counts for them, and the first one's bytes are nobody's",
    "shape of 10,000 dimensions": "no library has tensors of more than 64",
}


@pytest.mark.parametrize("case", CASES)
def test_the_safetensors_package_refuses_the_same_files_but_for_a_few(case: str, tmp_path: Path) -> None:
    """So that none of the cases is a file somebody could have made in good faith."""
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(CASES[case][0]())
    try:
        with safe_open(path, "np"):
            refused = False
    except (SafetensorError, OSError):
        refused = True
    assert refused == (case not in STRICTER_HERE)
