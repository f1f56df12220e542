"""SentencePiece models: reading, writing, and what is no such model."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_tools.errors import TokenizerError
from gguf_tools.tokenizers.sentencepiece import (
    ModelType,
    Piece,
    PieceType,
    read_model,
    read_pieces,
    write_model,
)
from tests import tiny
from tests.references import oracles
from tests.tokenizers.sentencepiece_files import field, piece, text, varint

IDS = {"unk": 0, "bos": 1, "eos": 2, "pad": -1}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scores = st.floats(width=32, allow_nan=False)
pieces = st.builds(Piece, texts, scores, st.sampled_from(PieceType))


def outcome(data: bytes) -> list[Piece] | TokenizerError:
    """What comes of reading bytes; any other exception is a failure."""
    try:
        return read_pieces(data, "m")
    except TokenizerError as error:
        return error


def is_placed(found: list[Piece] | TokenizerError) -> bool:
    """Whether there are pieces, or an error that names the file."""
    return found.path == "m" if isinstance(found, TokenizerError) else len(found) > 0


UNKNOWN_FIELDS = {
    "varint": field(9, 0, varint(1 << 63)),
    "eight bytes": field(9, 1, bytes(8)),
    "bytes": text(9, b"whatever \xff"),
    "four bytes": field(9, 5, bytes(4)),
    "large number": field((1 << 29) - 1, 0, b"\x01"),
    "empty bytes": text(200, b""),
}


@given(st.lists(pieces, min_size=1, max_size=30))
def test_what_is_written_is_read(made: list[Piece]) -> None:
    data = write_model(made, ids=IDS, add_dummy_prefix=True)
    assert read_pieces(data, "m") == made


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert is_placed(outcome(data))


@given(st.data())
def test_a_damaged_model_is_read_or_refused(data: st.DataObject) -> None:
    model = bytearray(piece(b"<unk>", 0.0, 2) + piece(b"\xe2\x96\x81a", -1.0) + piece(b"<0x0A>", 0.0, 6))
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    assert is_placed(outcome(bytes(model)))


@pytest.mark.parametrize("name", ["llama2", "gemma"])
def test_a_model_cut_anywhere_is_refused_or_shorter(name: str) -> None:
    """Cut between two pieces it is a valid model of fewer pieces; nothing else may come out."""
    whole = read_pieces((tiny.TOKENIZERS / name / "tokenizer.model").read_bytes(), "m")[:80]
    data = write_model(whole, ids=IDS, add_dummy_prefix=True)
    outcomes = [outcome(data[:length]) for length in range(len(data))]
    assert all(map(is_placed, outcomes))
    for found in outcomes:
        assert isinstance(found, TokenizerError) or found == whole[: len(found)]
    assert sum(isinstance(found, TokenizerError) for found in outcomes) > len(data) / 2


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("tokenizer.model.v1", 32_000),
        ("mistral_instruct_tokenizer_240216.model.v2", 32_768),
        ("mistral_instruct_tokenizer_240323.model.v3", 32_768),
        ("mistral_instruct_tokenizer_241114.model.v7", 32_768),
    ],
)
def test_real_models_are_read_and_written(name: str, count: int) -> None:
    data = (oracles.mistral_data() / name).read_bytes()
    found = read_pieces(data, name)
    assert len(found) == count
    assert found[:3] == [
        Piece("<unk>", 0.0, PieceType.UNKNOWN),
        Piece("<s>", 0.0, PieceType.CONTROL),
        Piece("</s>", 0.0, PieceType.CONTROL),
    ]
    bytes_found = [piece.text for piece in found if piece.type is PieceType.BYTE]
    assert bytes_found == [f"<0x{byte:02X}>" for byte in range(256)]
    written = write_model(found, ids=IDS, add_dummy_prefix=True)
    assert read_pieces(written, name) == found


def test_every_kind_of_piece_is_read() -> None:
    data = b"".join(piece(b"x%d" % kind, -float(kind), kind) for kind in range(1, 7)) + piece(b"none")
    found = read_pieces(data, "m")
    assert found[:6] == [Piece(f"x{kind}", -float(kind), PieceType(kind)) for kind in range(1, 7)]
    assert found[6] == Piece("none", 0.0, PieceType.NORMAL)


@pytest.mark.parametrize("unknown", UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS)
def test_unknown_fields_are_skipped(unknown: bytes) -> None:
    expected = [Piece("a", -1.0, PieceType.CONTROL), Piece("b", 0.0, PieceType.NORMAL)]
    data = unknown + piece(b"a", -1.0, 3, more=unknown) + unknown + piece(b"b", more=unknown) + unknown
    assert read_pieces(data, "m") == expected


def test_the_last_of_a_repeated_field_counts() -> None:
    again = text(1, b"b") + field(3, 0, b"\x04")
    assert read_pieces(piece(b"a", 0.0, 3, more=again), "m") == [Piece("b", 0.0, PieceType.USER_DEFINED)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it has no pieces"),
        (text(2, b""), "it has no pieces"),
        (field(1, 0, b"\x01"), "not a SentencePiece model"),
        (piece() + b"\x80", "cut off inside a number"),
        (piece() + b"\x80" * 20, "over 70 bits"),
        (piece()[:-1], "ends beyond its message"),
        (text(1, b"abc", 1 << 62), "ends beyond its message"),
        (text(1, b"abc", (1 << 70) - 1), "ends beyond its message"),
        (text(1, text(1, b"abc", 4)) + piece(), "ends beyond its message"),
        (text(1, field(2, 5, b"\0\0")) + piece(), "ends beyond its message"),
        (text(1, field(1, 1, b"\0")) + piece(), "ends beyond its message"),
        (field(0, 0, b"\x01"), "field 0"),
        (field(3, 3), "wire type"),
        (field(3, 4), "wire type"),
        (field(3, 6), "wire type"),
        (piece(kind=0), "unknown type"),
        (piece(kind=7), "unknown type"),
        (piece(kind=1 << 63), "unknown type"),
        (piece(b"\xff"), "not UTF-8"),
        (piece(b"\xed\xa0\x80"), "not UTF-8"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TokenizerError, match=message) as caught:
        read_pieces(data, "some/tokenizer.model")
    assert str(caught.value).startswith("some/tokenizer.model: ")


def test_the_offset_says_where_it_goes_wrong() -> None:
    with pytest.raises(TokenizerError) as caught:
        read_pieces(piece() + piece(kind=9), "m")
    at = caught.value.offset
    assert at is not None
    assert (piece() + piece(kind=9))[at:] == field(3, 0, b"\x09")


@pytest.mark.parametrize(
    ("contents", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (bytes(100), "nothing but zeros"),
        (b"<!DOCTYPE html><html><body>Not Found</body></html>", "an HTML page"),
        (b'{"model": {"vocab": {}}}', "JSON text"),
        (b"IQ== 0\nIg== 1\nIw== 2\n", "tiktoken"),
    ],
)
def test_a_file_of_another_kind_is_named(contents: bytes, hint: str) -> None:
    with pytest.raises(TokenizerError, match=hint):
        read_pieces(contents, "m")


def test_lying_lengths_cost_nothing() -> None:
    data = text(1, b"x", 1 << 40) * 100_000
    tracemalloc.start()
    try:
        with pytest.raises(TokenizerError):
            read_pieces(data, "m")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data)


def test_a_model_of_many_empty_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gguf_tools.tokenizers.sentencepiece.MAX_TOKENS", 1000)
    assert len(read_pieces(text(1, b"") * 1000, "m")) == 1000
    with pytest.raises(TokenizerError, match="too many pieces"):
        read_pieces(text(1, b"") * 1001, "m")


def test_ids_and_settings_are_written(tmp_path: Path) -> None:
    made = [Piece("<unk>", 0.0, PieceType.UNKNOWN), Piece("<0x00>", 0.0, PieceType.BYTE)]
    data = write_model(made, ids={"unk": 0, "eos": 1}, add_dummy_prefix=False)
    minus_one = varint((1 << 64) - 1)
    trainer = (
        field(3, 0, b"\x02")  # BPE
        + field(4, 0, b"\x02")  # vocab_size
        + field(35, 0, b"\x01")  # byte_fallback
        + field(40, 0, b"\x00")
        + field(41, 0, minus_one)
        + field(42, 0, b"\x01")
        + field(43, 0, minus_one)
    )
    normalizer = text(1, b"identity") + field(3, 0, b"\0") + field(4, 0, b"\0") + field(5, 0, b"\x01")
    assert data.endswith(text(2, trainer) + text(3, normalizer))


def test_settings_of_a_model() -> None:
    llama = read_model((tiny.TOKENIZERS / "llama2" / "tokenizer.model").read_bytes(), "x")
    assert (llama.type, llama.charsmap, len(llama.pieces)) == (ModelType.BPE, b"", 512)
    assert (llama.add_dummy_prefix, llama.remove_extra_whitespaces) == (True, False)
    t5 = read_model((tiny.TOKENIZERS / "t5" / "spiece.model").read_bytes(), "x")
    assert (t5.type, len(t5.pieces)) == (ModelType.UNIGRAM, 280)
    assert (t5.add_dummy_prefix, t5.remove_extra_whitespaces) == (True, True)
    size = struct.unpack_from("<I", t5.charsmap)[0]
    assert size % 4 == 0
    assert 4 + size < len(t5.charsmap)  # a table, then the replacements


def test_defaults_are_protobufs() -> None:
    model = read_model(text(1, text(1, b"a")), "x")
    assert model == ([Piece("a", 0.0, PieceType.NORMAL)], ModelType.UNIGRAM, b"", True, True)


@pytest.mark.parametrize("kind", [field(3, 0, varint(0)), field(3, 0, varint(9)), text(3, b"x")])
def test_an_unknown_type_of_model(kind: bytes) -> None:
    with pytest.raises(TokenizerError, match="of an unknown type"):
        read_model(text(1, text(1, b"a")) + text(2, kind), "x")
