# ruff: noqa: E501 - a case a line reads as a table
"""GGUF files that are not well formed: classes 1 to 28, each refused where it goes wrong."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

from gguf_tools.container import open_gguf
from gguf_tools.errors import FormatError, GGUFToolsError, UnsupportedError
from tests import builders as b
from tests.hostile.case import Case, Refused, one_file

__all__ = ["CASES", "read_gguf"]

WIRE = b.Bytes()
F32 = 0
ONE = b.floats(1)


def header(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def one_tensor(dims: tuple[int, ...], kind: int = F32, offset: int = 0, data: bytes = ONE) -> bytes:
    return b.build(tensors=[b.Tensor("x", dims, kind, data, offset)])


def array_head(element: int, count: int) -> bytes:
    return WIRE.string("key") + struct.pack("<IIQ", b.ARRAY, element, count)


def nested(depth: int) -> bytes:
    head = WIRE.string("key") + struct.pack("<I", b.ARRAY)
    return b.build([head + struct.pack("<IQ", b.ARRAY, 1) * (depth - 1) + struct.pack("<IQ", b.U8, 0)])


def zip_file() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return data.getvalue()


def safetensors_file() -> bytes:
    text = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(text)) + text + ONE


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 253113024\n"
TWO = [b.Tensor("x", (8,), F32, bytes(32)), b.Tensor("y", (8,), F32, bytes(32))]


PAD = ("p", b.U8, 0)  # moves the header's end off a multiple of 32


def two(offset_of_second: int) -> bytes:
    return b.build(tensors=[TWO[0], b.Tensor("y", (8,), F32, bytes(288), offset_of_second)])


_REFUSED: list[tuple[str, bytes, type[GGUFToolsError], str]] = [
    ("1 empty", b"", FormatError, r"at byte 0: the file is empty"),
    ("1 magic only", b"GGUF", FormatError, r"at byte 0: the file ends inside the header \(found 4 bytes, expected at"),
    ("1 half a header", header()[:20], FormatError, r"at byte 16: the file ends inside the number of keys \(found 4 bytes, expected 8 bytes"),
    ("2 LFS pointer", LFS, FormatError, r"at byte 0: not a GGUF file; it looks like a Git LFS pointer"),
    ("2 HTML", b"<!DOCTYPE html>\n<html>...</html>", FormatError, r"it looks like an HTML page"),
    ("2 HTML after a blank", b"\n <HTML><body>", FormatError, r"it looks like an HTML page"),
    ("2 gzip", gzip.compress(b.small()), FormatError, r"it looks like gzip data"),
    ("2 zip", zip_file(), FormatError, r"it looks like a zip archive"),
    ("2 pickle", pickle.dumps({"a": 1}, protocol=2), FormatError, r"it looks like a Python pickle"),
    ("2 safetensors", safetensors_file(), FormatError, r"it looks like a safetensors file"),
    ("2 JSON", b'{"architectures": []}', FormatError, r"it looks like JSON"),
    ("2 zeros", bytes(100), FormatError, r"nothing but zeros"),
    ("2 GGML", b"tjgg" + bytes(100), FormatError, r"GGJT format that came before GGUF"),
    ("2 something else", b"what is this?", FormatError, r"at byte 0: not a GGUF file \(found b'what'"),
    ("3 version 0", header(version=0), UnsupportedError, r"at byte 4: unknown version of GGUF \(found 0"),
    ("3 version 4", header(version=4), UnsupportedError, r"at byte 4: unknown version of GGUF \(found 4"),
    ("3 big-endian version 2", header(version=2 << 24), UnsupportedError, r"big endian exists since version 3"),
    ("3 big-endian version only", header(1, 1, 3 << 24), FormatError, r"at byte 8: the number of tensors is more"),
    ("4 2^63 keys", header(keys=2**63), FormatError, r"at byte 16: the number of keys is more .*found 9223372036854775808"),
    ("4 5e8 keys", header(keys=500_000_000), FormatError, r"at byte 16: the number of keys .*expected at most 0"),
    ("4 2^64 - 1 keys", header(keys=2**64 - 1), FormatError, r"at byte 16: the number of keys is more"),
    ("4 one key more than there is", b.build([b.ARCHITECTURE], key_count=2), FormatError, r"at byte \d+: .*key 1 of the metadata"),
    ("4 no keys, but one stands there", b.build([b.ARCHITECTURE], key_count=0, tensor_count=1), FormatError, r"at byte"),
    ("5 2^32 tensors", header(2**32), FormatError, r"at byte 8: the number of tensors is more .*found 4294967296"),
    ("5 one tensor more than there is", b.build([b.ARCHITECTURE], tensor_count=1), FormatError, r"at byte \d+"),
    ("5 2^63 tensors", header(2**63), FormatError, r"at byte 8: the number of tensors is more"),
    ("5 tensors overflow", header(2**64 // 24 + 1), FormatError, r"at byte 8: the number of tensors is more"),
    ("6 key past the end", header(0, 1) + struct.pack("<Q", 0xFFFF_FFFF_FFFF) + bytes(64), FormatError,
     r"at byte 24: the length of key 0 of the metadata goes past the end .*found 281474976710655"),
    ("6 key length 2^63", header(0, 1) + struct.pack("<Q", 2**63) + bytes(64), FormatError, r"at byte 24: the length of key 0 .*found 9223372036854775808"),
    ("6 key length 2^64 - 1", header(0, 1) + struct.pack("<Q", 2**64 - 1) + bytes(64), FormatError, r"at byte 24: the length of key 0"),
    ("6 key a byte past the end", header(0, 1) + struct.pack("<Q", 15) + bytes(14), FormatError, r"at byte 24: the length of key 0 .*found 15, expected at most 14"),
    ("6 key too long", b.build([("k" * 65536, b.U8, 1)]), FormatError, r"at byte 24: key 0 .*found 65536 bytes"),
    ("7 empty key", b.build([("", b.U64, 1)]), FormatError, r"at byte 24: key 0 of the metadata.*found 0 bytes"),
    ("7 key not UTF-8", b.build([(b"\xff\xfe", b.U8, 1)]), FormatError, r"at byte 32: key 0 .*is not UTF-8"),
    ("7 second key empty", b.build([b.ARCHITECTURE, ("", b.U64, 1)]), FormatError, r"key 1 of the metadata.*found 0 bytes"),
    ("7 key a lone surrogate", b.build([(b"\xed\xa0\x80", b.U8, 1)]), FormatError, r"at byte 32: key 0 .*is not UTF-8"),
    ("7 key cut inside a character", b.build([(b"a\xe2\x96", b.U8, 1)]), FormatError, r"at byte 32: key 0 .*is not UTF-8"),
    ("8 duplicate of another type", b.build([("a", b.U8, 1), ("b", b.U8, 1), ("a", b.STRING, "x")]), FormatError, r"key 'a': at byte \d+: the key occurs twice"),
    ("8 duplicate architecture", b.build([b.ARCHITECTURE, b.ARCHITECTURE]), FormatError, r"key 'general\.architecture': .*the key occurs twice"),
    ("8 duplicate key", b.build([("a", b.U8, 1), ("a", b.U8, 2)]), FormatError, r"key 'a': at byte \d+: the key occurs twice"),
    ("9 value type 13", b.build([WIRE.string("a") + struct.pack("<I", 13) + bytes(8)]), FormatError,
     r"key 'a': at byte 33: the type of the value is unknown \(found 13, expected 0 to 12\)"),
    ("9 value type 255", b.build([WIRE.string("a") + struct.pack("<I", 255) + bytes(8)]), FormatError, r"key 'a': .*found 255, expected 0 to 12"),
    ("9 value type 2^31", b.build([WIRE.string("a") + struct.pack("<I", 2**31) + bytes(8)]), FormatError, r"key 'a': .*found 2147483648"),
    ("9 value type 2^32 - 1", b.build([WIRE.string("a") + struct.pack("<I", 2**32 - 1) + bytes(8)]), FormatError, r"key 'a': .*found 4294967295"),
    ("10 string 2^63", b.build([WIRE.string("a") + struct.pack("<IQ", b.STRING, 2**63)]), FormatError,
     r"key 'a': at byte 37: the length of a string goes past the end"),
    ("10 string past the end", b.build([WIRE.string("a") + struct.pack("<IQ", b.STRING, 5) + b"four"]), FormatError,
     r"key 'a': .*found 5, expected at most 4"),
    ("10 string in an array", b.build([array_head(b.STRING, 3) + WIRE.string("a") + struct.pack("<Q", 2**63) + bytes(8)]),
     FormatError, r"key 'key': at byte 60: the length of string 1 of the array at byte 51 goes past the end"),
    ("10 last string in an array", b.build([array_head(b.STRING, 2) + WIRE.string("a") + struct.pack("<Q", 2)]),
     FormatError, r"key 'key': at byte 60: the length of string 1 .*found 2, expected at most 0"),
    ("11 array 2^63", b.build([array_head(b.U8, 2**63)]), FormatError,
     r"key 'key': at byte 43: an array of UINT8 is longer than the rest .*found 9223372036854775808 elements"),
    ("11 array past the end", b.build([array_head(b.U32, 3) + bytes(11)]), FormatError, r"expected at most 2\)"),
    ("11 size overflows", b.build([array_head(b.U64, 2**61 + 1) + bytes(8)]), FormatError, r"array of UINT64 is longer"),
    ("11 strings past the end", b.build([array_head(b.STRING, 10**9)]), FormatError, r"array of STRING is longer"),
    ("11 arrays past the end", b.build([array_head(b.ARRAY, 10**9)]), FormatError, r"array of ARRAY is longer"),
    ("12 element type 13", b.build([array_head(13, 0)]), FormatError, r"key 'key': at byte 39: the element type .*found 13"),
    ("12 element type huge", b.build([array_head(2**32 - 1, 0)]), FormatError, r"element type of an array is unknown"),
    ("13 nested 9 deep", nested(9), FormatError, r"key 'key': at byte \d+: arrays are nested too deeply \(expected at most 8"),
    ("13 nested 100,000 deep", nested(100_000), FormatError, r"arrays are nested too deeply"),
    ("13 a tree 8 deep and 2^60 wide", b.build([WIRE.string("key") + struct.pack("<I", b.ARRAY) + struct.pack("<IQ", b.ARRAY, 2) * 7 + struct.pack("<IQ", b.U8, 1 << 60)]),
     FormatError, r"key 'key': at byte \d+"),
    ("14 alignment 1 less than a power", b.build([("general.alignment", b.U32, 31)]), FormatError, r"not usable \(found 31"),
    ("14 alignment 2^32 - 1", b.build([("general.alignment", b.U32, 2**32 - 1)]), FormatError, r"not usable \(found 4294967295"),
    ("14 alignment 0", b.build([("general.alignment", b.U32, 0)]), FormatError,
     r"key 'general.alignment': the alignment is not usable \(found 0"),
    ("14 alignment 24", b.build([("general.alignment", b.U32, 24)]), FormatError, r"not usable \(found 24"),
    ("15 alignment 2^30", b.build([("general.alignment", b.U32, 2**30)]), FormatError, r"not usable \(found 1073741824"),
    ("15 alignment 2^31", b.build([("general.alignment", b.U32, 2**31)]), FormatError, r"not usable \(found 2147483648"),
    ("15 alignment 2^21", b.build([("general.alignment", b.U32, 2**21)]), FormatError, r"not usable \(found 2097152, expected a power of two up to 1048576"),
    ("16 alignment UINT64", b.build([("general.alignment", b.U64, 32)]), FormatError, r"found UINT64, expected UINT32"),
    ("16 alignment FLOAT32", b.build([("general.alignment", b.F32, 32.0)]), FormatError, r"found FLOAT32, expected UINT32"),
    ("16 alignment BOOL", b.build([("general.alignment", b.BOOL, 1)]), FormatError, r"found BOOL, expected UINT32"),
    ("16 alignment an array", b.build([("general.alignment", b.ARRAY, (b.U32, [32]))]), FormatError, r"found ARRAY, expected UINT32"),
    ("16 alignment INT32", b.build([("general.alignment", b.I32, 32)]), FormatError,
     r"the alignment is of the wrong type \(found INT32, expected UINT32\)"),
    ("16 alignment STRING", b.build([("general.alignment", b.STRING, "32")]), FormatError, r"found STRING, expected UINT32"),
    ("17 5 dimensions", one_tensor((1,) * 5), FormatError, r"tensor 'x': at byte 33: too many dimensions \(found 5, expected at most 4"),
    ("17 10^6 dimensions", b.build([], tensor_count=1) + WIRE.string("x") + struct.pack("<I", 10**6) + bytes(32), FormatError,
     r"tensor 'x': at byte 33: too many dimensions \(found 1000000"),
    ("17 2^32-1 dimensions", b.build([], tensor_count=1) + WIRE.string("x") + struct.pack("<I", 2**32 - 1) + bytes(32), FormatError,
     r"too many dimensions \(found 4294967295"),
    ("19 dimension 2^63", one_tensor((2**63,)), FormatError, r"tensor 'x': at byte 37: a dimension is absurd \(found 9223372036854775808"),
    ("19 dimension 2^64 - 1", one_tensor((2**64 - 1,)), FormatError, r"tensor 'x': .*a dimension is absurd \(found 18446744073709551615"),
    ("19 fourth dimension 2^63", one_tensor((1, 1, 1, 2**63)), FormatError, r"tensor 'x': .*a dimension is absurd"),
    ("20 product wraps to 0", one_tensor((2**32, 2**32)), FormatError, r"the number of elements overflows"),
    ("20 product wraps to 1", one_tensor((3, 12297829382473034411)), FormatError, r"a dimension is absurd|overflows"),
    ("20 product wraps", one_tensor((4194305, 4194305, 211106198978564)), FormatError, r"tensor 'x': at byte 24: the number of elements overflows"),
    ("20 product wraps beside a zero", one_tensor((0, 2**62, 2**62)), FormatError, r"the number of elements overflows"),
    ("21 byte size overflows", one_tensor((2**31, 2**31)), FormatError, r"tensor 'x': at byte 24: the tensor's size overflows"),
    ("21 byte size overflows in F64", one_tensor((2**30, 2**30), 28), FormatError, r"tensor 'x': at byte 24: the tensor's size overflows"),
    ("21 byte size of 2^62, far past the end", one_tensor((2**60,)), FormatError, r"tensor 'x': .*goes past the end"),
    ("21 byte size overflows in blocks", one_tensor((2**62, 1), 8), FormatError, r"tensor 'x': .*overflows|past the end"),
    ("22 row of 1", one_tensor((1, 32), 8, 0, bytes(34)), FormatError, r"tensor 'x': .*1 elements is not a multiple of Q8_0's block of 32"),
    ("22 row half a super-block", one_tensor((128, 2), 12, 0, bytes(144)), FormatError, r"tensor 'x': .*128 elements is not a multiple of Q4_K's block of 256"),
    ("22 scalar of blocks", one_tensor((), 8, 0, bytes(34)), FormatError, r"tensor 'x': .*is not a multiple of Q8_0's block"),
    ("22 row not whole blocks", one_tensor((33,), 8, 0, bytes(68)), FormatError, r"tensor 'x': .*33 elements is not a multiple of Q8_0's block of 32"),
    ("24 offset 2^40", one_tensor((1,), F32, 1 << 40), FormatError, r"tensor 'x': at byte \d+: the tensor's data goes past the end"),
    ("24 offset not aligned", one_tensor((1,), F32, 16, bytes(64)), FormatError, r"tensor 'x': .*not aligned \(found 16, expected a multiple of 32"),
    ("24 offset 2^63", one_tensor((1,), F32, 1 << 63), FormatError, r"tensor 'x': .*goes past the end"),
    ("24 offset 1", one_tensor((1,), F32, 1, bytes(64)), FormatError, r"tensor 'x': .*not aligned \(found 1"),
    ("25 offset 2^64 - 1", one_tensor((1,), F32, 2**64 - 1), FormatError, r"tensor 'x': .*not aligned|past the end"),
    ("25 offset and size wrap", one_tensor((8,), F32, 2**64 - 32), FormatError, r"tensor 'x': .*goes past the end"),
    ("25 offset into the header by wrapping", one_tensor((1,), F32, 2**64 - 64), FormatError, r"tensor 'x': .*goes past the end"),
    ("26 truncated by a byte", b.build(tensors=TWO)[:-1], FormatError,
     r"tensor 'y': at byte 128: the tensor's data goes past the end of the file \(found 159 bytes in the file, expected at least 160\)"),
    ("26 truncated to its header", b.build(tensors=TWO)[:96], FormatError, r"tensor 'x': .*past the end"),
    ("26 truncated by much", b.build(tensors=TWO)[:100], FormatError, r"tensor 'x': .*past the end"),
    ("27 same place", two(0), FormatError, r"tensor 'y': .*overlaps that of 'x'"),
    ("27 under-reserved", b.build(tensors=[b.Tensor("x", (9,), F32, bytes(36), 0), b.Tensor("y", (1,), F32, bytes(4), 32)]), FormatError,
     r"tensor 'y': at byte \d+: the tensor's data overlaps that of 'x' \(found 32, expected 64\)"),
    ("27 gap", two(64), FormatError, r"tensor 'y': at byte \d+: 32 unexplained bytes before the tensor's data \(found 64, expected 32\)"),
    ("27 gap before the first", b.build(tensors=[b.Tensor("x", (1,), F32, bytes(64), 32)]), FormatError, r"tensor 'x': .*32 unexplained bytes"),
    ("27 out of order", b.build(tensors=[b.Tensor("x", (8,), F32, bytes(32), 32), b.Tensor("y", (8,), F32, bytes(32), 0)]), FormatError,
     r"tensor 'y': .*lies before that of 'x'"),
    ("27 padded for 32 although the key says 8", b.build([("general.alignment", b.U32, 8), PAD], TWO), FormatError,
     r"key 'general.alignment': at byte 137: the data is laid out for an alignment of 32 \(found 8, expected 32\)"),
    ("28 duplicate of another shape", b.build(tensors=[TWO[0], b.Tensor("x", (4, 2), F32, bytes(32))]), FormatError, r"tensor 'x': at byte \d+: two tensors have this name"),
    ("28 duplicate tensor", b.build(tensors=[TWO[0], TWO[0]]), FormatError, r"tensor 'x': at byte \d+: two tensors have this name"),
]  # fmt: skip


def read_gguf(path: Path) -> None:
    """Open a file and touch everything in its header."""
    with open_gguf(path) as file:
        repr(list(file.metadata.items()))
        for key in file.metadata:
            file.metadata[key]
        file.metadata.to_bytes()


CASES = tuple(
    Case(name, one_file(data), read_gguf, Refused(kind, message)) for name, data, kind, message in _REFUSED
)
