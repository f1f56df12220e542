# ruff: noqa: E501 - a case a line reads as a table
"""GGUF files that can be read but are wrong or odd: classes 12, 18, 23, 29, 31 to 35.

Most are read as they stand, so that they can be inspected and mended, and flagged by ``verify``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gguf_tools import open as open_decoding
from gguf_tools.container import open_gguf
from gguf_tools.conversion.to_hf import plan_export
from gguf_tools.errors import FormatError, GGUFToolsError, TokenizerError, UnsupportedError
from gguf_tools.inspection.summary import summarize
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from gguf_tools.tokenizers import export
from tests import builders as b
from tests.hostile.case import Case, Flagged, Outcome, Refused, Taken, one_file

__all__ = ["CASES"]

Pairs = list[Any]

_QUANTIZATION: Final = ("general.quantization_version", b.U32, 2)
_REMOVED: Final = (4, 5, 31, 32, 33, 36, 37, 38)
_BEYOND: Final = 1 << 33


def _decode(path: Path) -> dict[str, tuple[int, ...]]:
    """All metadata, and the shapes of all tensors of a known type once decoded."""
    with open_decoding(path) as file:
        repr(list(file.metadata.items()))
        summarize(file)
        known = {name: tensor for name, tensor in file.tensors.items() if tensor.storage is not None}
        return {name: tensor.dequantize().shape for name, tensor in known.items()}


def _decode_all(path: Path) -> None:
    with open_decoding(path) as file:
        for tensor in file.tensors.values():
            tensor.dequantize()


def _export_vocabulary(path: Path) -> None:
    with open_gguf(path) as file:
        export(file.metadata)


def _plan_export(path: Path) -> None:
    plan_export(path)


def _metadata(path: Path) -> dict[str, Any]:
    with open_gguf(path) as file:
        return dict(file.metadata.items()) | {"": file.metadata.to_bytes()}


def case(
    name: str, pairs: Pairs, outcome: Outcome, use: Callable[[Path], Any] = _decode, tensors: Any = ()
) -> Case:
    return Case(name, one_file(lambda: b.build(pairs, tensors)), use, outcome)


def tensor(
    name: str,
    dims: tuple[int, ...],
    outcome: Outcome,
    kind: int = 0,
    data: bytes = b"",
    called: str | bytes = "x",
    use: Callable[[Path], Any] = _decode,
) -> Case:
    tensors = [b.Tensor(called, dims, kind, data), b.Tensor("last", (1,), 0, b.floats(1))]
    return case(name, [b.ARCHITECTURE, _QUANTIZATION], outcome, use, tensors)


def vocabulary(*changes: tuple[str, int, Any], model: str = "llama") -> Pairs:
    """A small SentencePiece vocabulary with some of its keys replaced."""
    keys: dict[str, tuple[str, int, Any]] = {
        key: (key, kind, value)
        for key, kind, value in (
            ("tokenizer.ggml.model", b.STRING, model),
            ("tokenizer.ggml.tokens", b.ARRAY, (b.STRING, ["<unk>", "<0x41>", "a"])),
            ("tokenizer.ggml.scores", b.ARRAY, (b.F32, [0.0, -1.0, -2.0])),
            ("tokenizer.ggml.token_type", b.ARRAY, (b.I32, [2, 6, 1])),
        )
    }
    keys |= {f"tokenizer.ggml.{key}": (f"tokenizer.ggml.{key}", kind, value) for key, kind, value in changes}
    return [b.ARCHITECTURE, *keys.values()]


def _both(name: str, key: str, value: Any, code: str, message: str) -> tuple[Case, Case]:
    """A fault of the vocabulary, as ``verify`` flags it and as an export refuses it."""
    pairs = vocabulary((key, b.ARRAY, value))
    return (
        case(name, pairs, Flagged(code)),
        case(f"{name}, exported", pairs, Refused(TokenizerError, message), _export_vocabulary),
    )


def _layers(name: str, value: tuple[int, Any], outcome: Outcome, *more: Any, use: Any = _decode) -> Case:
    pairs = [b.ARCHITECTURE, ("llama.block_count", *value), *more]
    return case(name, pairs, outcome, use, [b.Tensor("blk.0.attn_norm.weight", (1,), 0, b.floats(1))])


def _bad_scale(kind: GGMLType, bits: bytes, at: int) -> Case:
    size = BLOCK_SIZES[kind]
    block = bytearray(size.bytes)
    block[at : at + len(bits)] = bits
    return tensor(
        f"34 {kind.name} with the bytes {bits.hex()} at {at}", (size.elements,), Flagged("non-finite"), int(kind), bytes(block)
    )  # fmt: skip


_HEADS: Final = ("llama.attention.head_count", b.ARRAY, (b.U32, [8]))

CASES = (
    case("12 elements of UINT8, which is type 0", [b.ARCHITECTURE, ("k", b.ARRAY, (b.U8, [1, 255]))],
         Taken(lambda read: list(read["k"]) == [1, 255]), _metadata),
    case("31 scores that are infinite", vocabulary(("scores", b.ARRAY, (b.F32, [0.0, float("inf"), 0.0]))), Flagged("vocabulary")),
    tensor("18 one dimension of 0", (0,), Flagged("empty-tensor")),
    tensor("18 a first dimension of 0", (0, 5), Flagged("empty-tensor")),
    tensor("18 a last dimension of 0", (5, 0), Flagged("empty-tensor")),
    tensor("18 all dimensions of 0", (0, 0, 0, 0), Flagged("empty-tensor")),
    tensor("18 of a block type", (0, 3), Flagged("empty-tensor"), int(GGMLType.Q4_K)),
    tensor("18 beside 2^40", (0, 1 << 40), Refused(FormatError, r"tensor 'x': .*an empty tensor's other dimensions are absurd")),
    tensor("18 beside 2^60: rows without end", (0, 1 << 60), Refused(FormatError, r"dimensions are absurd .*1152921504606846976")),
    tensor("18 beside 2^62: more than numpy counts", (1 << 62, 0), Refused(FormatError, r"dimensions are absurd")),
    tensor("18 beside 2^33 of a block type", (_BEYOND, 0), Refused(FormatError, r"dimensions are absurd"), int(GGMLType.Q8_0)),
    tensor("17 no dimensions: a scalar", (), Taken(lambda read: read == {"x": (), "last": (1,)}), data=b.floats(1)),
    tensor("23 unknown type 99", (1,), Flagged("unknown-type"), 99, bytes(4)),
    tensor("23 negative type", (1,), Flagged("unknown-type"), 0xFFFF_FFFF, bytes(4)),
    tensor("23 unknown type with elements without end", ((1 << 62),), Flagged("unknown-type"), 77, bytes(4)),
    *(tensor(f"23 removed type {kind}", (1,), Flagged("removed-type"), kind, bytes(4)) for kind in _REMOVED),
    tensor("23 unknown type, decoded", (1,), Refused(UnsupportedError, r"tensor 'x': the tensor's type is unknown \(99\)"), 99, bytes(4), use=_decode_all),
    tensor("23 removed type, decoded", (1,), Refused(UnsupportedError, r"tensor 'x': .*removed Q4_2 \(4\)"), 4, bytes(4), use=_decode_all),
    tensor("29 name of 64 bytes", (1,), Flagged("long-name"), data=bytes(4), called="n" * 64),
    tensor("29 name of 32 characters and 64 bytes", (1,), Flagged("long-name"), data=bytes(4), called="é" * 32),
    tensor("29 name of a megabyte", (1,), Flagged("long-name"), data=bytes(4), called="n" * (1 << 20)),
    tensor("29 name not UTF-8", (1,), Flagged("odd-name"), data=bytes(4), called=b"\xff\xfe"),
    tensor("29 empty name", (1,), Flagged("odd-name"), data=bytes(4), called=""),
    tensor("29 name with a NUL", (1,), Flagged("odd-name"), data=bytes(4), called="a\0b"),
    *_both("31 scores of FLOAT64", "scores", (b.F64, [0.0, -1.0, 1e300]), "vocabulary", "score|number"),
    *_both("31 scores of INT32", "scores", (b.I32, [0, -1, 0]), "vocabulary", "score|number"),
    *_both("31 too few scores", "scores", (b.F32, [0.0, -1.0]), "vocabulary", "the vocabulary is incomplete"),
    *_both("31 too many types", "token_type", (b.I32, [2, 6, 1, 1]), "vocabulary", "the vocabulary is incomplete"),
    *_both("31 a NaN among the scores", "scores", (b.F32, [0.0, -1.0, float("nan")]), "vocabulary", "not a number"),
    *_both("31 types of STRING", "token_type", (b.STRING, ["2", "6", "1"]), "vocabulary", "unknown type"),
    *_both("31 tokens of INT32", "tokens", (b.I32, [1, 2, 3]), "vocabulary", "tokens must be texts"),
    case("31 types of UINT32", vocabulary(("token_type", b.ARRAY, (b.U32, [2, 6, 1]))), Flagged("vocabulary")),
    case("31 scores a number", vocabulary(("scores", b.F32, 1.0)), Flagged("vocabulary")),
    *(case(f"32 byte token {text!r}", vocabulary(("tokens", b.ARRAY, (b.STRING, ["<unk>", text, "a"]))), Flagged("byte-token"))
      for text in ("<0x-1>", "<0x100>", "<0xGG>", "<0x>", "<0x 1>", "0x41", "", b"<0x4\xff>")),
    _layers("33 block_count 2^32 - 1", (b.U32, 2**32 - 1), Flagged("missing-layers")),
    _layers("33 block_count 2^64 - 1", (b.U64, 2**64 - 1), Flagged("missing-layers")),
    _layers("33 block_count a float", (b.F32, 1.0), Flagged("layers")),
    _layers("33 block_count a text", (b.STRING, "1"), Flagged("layers")),
    _layers("33 block_count a bool", (b.BOOL, 1), Flagged("layers")),
    _layers("33 block_count negative", (b.I32, -1), Flagged("layers")),
    _layers("33 block_count an array", (b.ARRAY, (b.U32, [1])), Flagged("layers")),
    _layers("33 head_count for fewer layers", (b.U32, 2), Flagged("layers"), _HEADS),
    _layers("33 block_count 2^32 - 1, exported", (b.U32, 2**32 - 1), Refused(GGUFToolsError, "block_count"), use=_plan_export),
    _layers("33 block_count a text, exported", (b.STRING, "1"), Refused(GGUFToolsError, "block_count"), use=_plan_export),
    _layers("33 head_count for fewer layers, exported", (b.U32, 2), Refused(GGUFToolsError, "."), _HEADS, use=_plan_export),
    *(_bad_scale(kind, bits, at) for kind, at in ((GGMLType.Q8_0, 0), (GGMLType.Q4_1, 2), (GGMLType.Q4_K, 2), (GGMLType.Q6_K, 208))
      for bits in (b"\x00\x7c", b"\x00\xfc", b"\x01\x7e")),
    _bad_scale(GGMLType.MXFP4, b"\xff", 0),
    _bad_scale(GGMLType.F32, np.float32(np.nan).tobytes(), 0),
    _bad_scale(GGMLType.BF16, b"\x80\xff", 0),
    *(case(f"35 bool {value}", [b.ARCHITECTURE, ("flag", b.BOOL, value)], Flagged("odd-bool"), _metadata) for value in (2, 127)),
    case("35 bools in an array", [b.ARCHITECTURE, ("flags", b.ARRAY, (b.BOOL, [0, 1, 255]))], Flagged("odd-bool"), _metadata),
    case("35 tokens not UTF-8", [b.ARCHITECTURE, ("t", b.ARRAY, (b.STRING, [b"\xff\xfe", b"\xed\xa0\x80", b"\0"]))],
         Taken(lambda read: [text.encode("utf-8", "surrogateescape") for text in read["t"]] == [b"\xff\xfe", b"\xed\xa0\x80", b"\0"]), _metadata),
    case("35 a string not UTF-8", [b.ARCHITECTURE, ("s", b.STRING, b"\x80a")], Taken(lambda read: b"\x80a" in read[""]), _metadata),
)  # fmt: skip
