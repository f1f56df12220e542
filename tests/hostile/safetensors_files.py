# ruff: noqa: E501 - a case a line reads as a table
"""Safetensors files that are not well formed: classes 36 (the header) and 37 (offsets, shapes, dtypes)."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from gguf_tools.checkpoint import SafetensorsFile
from gguf_tools.checkpoint.header import MAX_HEADER_BYTES
from gguf_tools.errors import CheckpointError
from gguf_tools.source import row_count
from tests.checkpoint import build as b
from tests.hostile.case import Case, Refused, one_file

__all__ = ["CASES", "read_safetensors"]

GOOD = b.described("F32", [1], 0, 4)
ONE = b.floats(1)


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


_REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    # 36: the header
    "36 empty file": (lambda: b"", "too short.*found 0 bytes"),
    "36 seven bytes": (lambda: bytes(7), "too short.*found 7 bytes"),
    "36 header length 0": (lambda: bytes(8) + b"{}", "header length.*found 0"),
    "36 nothing but zeros": (lambda: bytes(64), "looks like nothing but zeros: the download did not complete"),
    "36 header length 1": (lambda: b.framed("{"), "header length.*found 1"),
    "36 header longer than the file": (lambda: b.framed("{}", length=3), "found a header of 3 bytes, expected at most 2"),
    "36 header length 2^63": (lambda: b.framed("{}", length=1 << 63), "at byte 0: the header does not fit"),
    "36 header length 2^64 - 1": (lambda: b.framed("{}", length=(1 << 64) - 1), "does not fit"),
    "36 header over the limit": (lambda: b.framed("{}" + " " * MAX_HEADER_BYTES), "header length.*expected 2 to"),
    "36 header not UTF-8": (lambda: b.framed(b'{"\xff": 0}'), "at byte 2: is not UTF-8"),
    "36 header not JSON": (lambda: b.framed("{x}"), "at byte 1: is not valid JSON"),
    "36 header JSON and more": (lambda: b.framed("{} {}"), "at byte 3: is not valid JSON: Extra data"),
    "36 header a list": (lambda: b.framed("[]"), "not a JSON object"),
    "36 header preceded by a space": (lambda: b.framed(" {}"), "not a JSON object"),
    "36 NaN literal": (lambda: b.framed('{"x": NaN}'), "not a finite number.*found NaN"),
    "36 Infinity literal": (lambda: b.framed('{"x": -Infinity}'), "not a finite number"),
    "36 tensor twice": (lambda: b.framed('{"x": %s, "x": %s}' % ((json.dumps(GOOD),) * 2), ONE), "key 'x': the key occurs twice"),
    "36 dtype twice": (lambda: b.framed('{"x": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', ONE), "key 'dtype': the key occurs twice"),
    "36 lists nested deeply": (lambda: b.framed('{"x":' + "[" * 1_000_000), "nested too deeply"),
    "36 objects nested deeply": (lambda: b.framed('{"x":' * 300_000), "nested too deeply"),
    "36 a million keys": (lambda: b.framed("{" + ",".join(f'"{i}":0' for i in range(1_000_000)) + "}"), "more than 100000 tensors"),
    "36 number of 10,000 digits": (lambda: b.framed('{"x": ' + "1" * 10_000 + "}"), "not usable JSON"),
    "36 metadata not an object": (lambda: b.file_of({"__metadata__": 1}), "key '__metadata__'"),
    "36 metadata not text": (lambda: b.file_of({"__metadata__": {"format": 1}}), "key '__metadata__'"),
    "36 description not an object": (lambda: one([1]), "tensor 'x'.*must be an object.*found list"),
    "36 no dtype": (lambda: one({"shape": [1], "data_offsets": [0, 4]}), "lacks a key.*'dtype'"),
    "36 no shape": (lambda: one({"dtype": "F32", "data_offsets": [0, 4]}), "lacks a key.*'shape'"),
    "36 no offsets": (lambda: one({"dtype": "F32", "shape": [1]}), "lacks a key.*'data_offsets'"),
    "36 name a lone surrogate": (lambda: b.framed('{"\\ud800": ' + json.dumps(GOOD) + "}", ONE), "not valid Unicode"),
    # 36: what else it may be
    "36 Git LFS pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
    "36 HTML page": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
    "36 GGUF": (lambda: b"GGUF" + bytes(60), "looks like a GGUF file"),
    "36 zip": (zip_file, "zip archive"),
    "36 pickle": (lambda: pickle.dumps({"x": 1}, protocol=2), "pickle"),
    "36 gzip": (lambda: b"\x1f\x8b" + bytes(60), "gzip"),
    # 37: offsets
    "37 offset negative": (lambda: one(b.described("F32", [1], -4, 0)), "unusable data_offsets"),
    "37 offsets reversed": (lambda: one(b.described("F32", [1], 4, 0)), "unusable data_offsets"),
    "37 offsets three": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}), "unusable data_offsets"),
    "37 offsets one": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": [4]}), "unusable data_offsets"),
    "37 offsets not a list": (lambda: one({"dtype": "F32", "shape": [1], "data_offsets": 4}), "unusable data_offsets"),
    "37 offsets text": (lambda: one(b.described("F32", [1], "0", "4")), "unusable data_offsets"),
    "37 offsets fractional": (lambda: one(b.described("F32", [1], 0.0, 4.0)), "unusable data_offsets"),
    "37 offsets bool": (lambda: one(b.described("U8", [1], False, True), b"x"), "unusable data_offsets"),
    "37 offsets 2^63": (lambda: one(b.described("F32", [1], 1 << 63, (1 << 63) + 4)), "unusable data_offsets"),
    "37 past the end": (lambda: one(b.described("F32", [2], 0, 8)), "past the end of the file.*expected at least"),
    "37 far past the end": (lambda: one(b.described("U8", [1 << 62], 0, 1 << 62)), "past the end of the file"),
    "37 gap at the start": (lambda: one(b.described("F32", [1], 4, 8), bytes(8)), "a gap between the header and the tensor.*found data_offsets from 4, expected from 0"),
    "37 gap between": (lambda: two((0, 4), (5, 9), 9), "tensor 'y'.*a gap between tensor 'x'"),
    "37 overlap": (lambda: two((0, 4), (3, 7), 7), "tensor 'y'.*overlaps tensor 'x'.*found data_offsets from 3, expected from 4"),
    "37 the same place": (lambda: two((0, 4), (0, 4), 4), "overlaps"),
    "37 bytes behind": (lambda: one(GOOD, ONE + b"x"), "belong to none"),
    "37 bytes without tensors": (lambda: b.framed("{}", b"x"), "belong to none"),
    # 37: shapes and dtypes
    "37 size too small": (lambda: one(b.described("F32", [2], 0, 4)), "another size.*found 4 bytes, expected 8 bytes"),
    "37 size too large": (lambda: one(b.described("F16", [1], 0, 4)), "another size.*found 4 bytes, expected 2 bytes"),
    "37 size not whole bytes": (lambda: one(b.described("F4", [1], 0, 1), b"x"), "another size.*expected 4 bits"),
    "37 shape negative": (lambda: one(b.described("F32", [-1], 0, 4)), "unusable shape"),
    "37 shapes negative twice": (lambda: one(b.described("F32", [-1, -1], 0, 4)), "unusable shape"),
    "37 shape 2^63": (lambda: one(b.described("F32", [1 << 63], 0, 4)), "unusable shape"),
    "37 shape wraps 64 bits to 1": (lambda: one(b.described("U8", [3, 12297829382473034411], 0, 1), b"x"), "unusable shape"),
    "37 shape wraps 64 bits to 4": (lambda: one(b.described("F32", [4194305, 4194305, 211106198978564], 0, 16), bytes(16)), "another size"),
    "37 shape of 10,000 dimensions": (lambda: one(b.described("F32", [1] * 10_000, 0, 4)), "unusable shape"),
    "37 shape of rows without end": (lambda: b.file_of({"x": b.described("F32", [1 << 60, 0], 0, 0)}), "unusable shape.*beside a 0"),
    "37 shape of more than numpy counts, times 0": (lambda: b.file_of({"x": b.described("F32", [0, 1 << 62], 0, 0)}), "unusable shape.*beside a 0"),
    "37 shape fractional": (lambda: one(b.described("F32", [1.0], 0, 4)), "unusable shape"),
    "37 shape bool": (lambda: one(b.described("F32", [True], 0, 4)), "unusable shape"),
    "37 shape a number": (lambda: one(b.described("F32", 1, 0, 4)), "unusable shape"),
    "37 shape null": (lambda: one(b.described("F32", None, 0, 4)), "unusable shape"),
    "37 dtype unknown": (lambda: one(b.described("F31", [1], 0, 4)), "unknown dtype.*found F31"),
    "37 dtype a number": (lambda: one(b.described(32, [1], 0, 4)), "unknown dtype.*found 32"),
    "37 dtype in small letters": (lambda: one(b.described("f32", [1], 0, 4)), "unknown dtype.*found f32"),
}  # fmt: skip


def read_safetensors(path: Path) -> None:
    """Open a file, and read all values that can be read."""
    with SafetensorsFile(path) as file:
        for tensor in file.tensors.values():
            if tensor.readable:
                tensor.rows(0, row_count(tensor.shape))


CASES = tuple(
    Case(
        name,
        one_file(make, "hostile.safetensors"),
        read_safetensors,
        Refused(CheckpointError, rf"^\S*hostile\.safetensors: .*{message}"),
    )
    for name, (make, message) in _REFUSED.items()
)
