"""SentencePiece models (``tokenizer.model``): the part of the protobuf a vocabulary needs.

The message is ``sentencepiece.ModelProto`` of sentencepiece_model.proto:

    ModelProto       1 pieces (repeated SentencePiece)   2 trainer_spec   3 normalizer_spec
    SentencePiece    1 piece: string    2 score: float    3 type: enum, default NORMAL
    TrainerSpec      3 model_type   4 vocab_size   35 byte_fallback
                     40 unk_id   41 bos_id   42 eos_id   43 pad_id
    NormalizerSpec   1 name   2 precompiled_charsmap   3 add_dummy_prefix   4 remove_extra_whitespaces
                     5 escape_whitespaces

Protobuf's wire format: a field is a varint ``number << 3 | kind``, then a varint (kind 0), eight bytes
(kind 1), a varint length and as many bytes (kind 2), or four bytes (kind 5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from ..errors import TokenizerError
from ..io.file_magic import looks_like
from .vocabulary import MAX_TOKENS

__all__ = [
    "ModelType",
    "Piece",
    "PieceType",
    "SentencePieceModel",
    "adds_dummy_prefix",
    "read_model",
    "read_pieces",
    "write_model",
]


class PieceType(IntEnum):
    """``SentencePiece.Type``; the numbers are those of GGUF's token types."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class ModelType(IntEnum):
    """``TrainerSpec.ModelType``."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class Piece(NamedTuple):
    """One token of a SentencePiece model."""

    text: str
    score: float
    type: PieceType


class SentencePieceModel(NamedTuple):
    """What a model says of its vocabulary and of normalization; protobuf's defaults where it says nothing.

    Attributes:
        pieces: in order of id.
        type: how text is cut.
        charsmap: the precompiled character map, which may be empty.
        add_dummy_prefix: whether a space is put before the text.
        remove_extra_whitespaces: whether several spaces become one.
    """

    pieces: list[Piece]
    type: ModelType
    charsmap: bytes
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool


_VARINT: Final = 0
_EIGHT: Final = 1
_BYTES: Final = 2
_FOUR: Final = 5
_TIKTOKEN: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2} [0-9]+\r?\n")
"""A line of the other format found under this name, in the original checkpoints of Llama 3."""


def read_pieces(data: bytes, path: str) -> list[Piece]:
    """All pieces of a model, in order of id.

    Raises:
        TokenizerError: the data is no SentencePiece model or is cut off.
    """
    try:
        pieces = list(_pieces(data, path))
    except TokenizerError as error:
        meaning = "tiktoken's ranks" if _TIKTOKEN.match(data) else looks_like(data[:64])
        if meaning is None:
            raise
        raise TokenizerError(f"is not a SentencePiece model: it looks like {meaning}", path=path) from error
    if not pieces:
        raise TokenizerError("is not a SentencePiece model: it has no pieces", path=path)
    return pieces


def read_model(data: bytes, path: str) -> SentencePieceModel:
    """A model with its settings.

    Raises:
        TokenizerError: as `read_pieces`, or the kind of model is unknown.
    """
    pieces = read_pieces(data, path)
    trainer, normalizer = (dict(_message(data, number, path)) for number in (2, 3))
    kind = trainer.get(3, ModelType.UNIGRAM)
    if kind not in ModelType.__members__.values():
        raise TokenizerError("the model is of an unknown type", path=path, found=kind, expected="1 to 4")
    charsmap = normalizer.get(2)
    return SentencePieceModel(
        pieces,
        ModelType(int(kind)),
        charsmap if isinstance(charsmap, bytes) else b"",
        bool(normalizer.get(3, True)),
        bool(normalizer.get(4, True)),
    )


def _message(data: bytes, field: int, path: str) -> Iterator[tuple[int, int | bytes]]:
    """Fields of the messages that stand in a field of the model; of several the last one counts."""
    for number, span, _ in _fields(data, 0, len(data), path):
        if number == field and isinstance(span, slice):
            for inner, value, _ in _fields(data, span.start, span.stop, path):
                yield inner, data[value] if isinstance(value, slice) else value


def _pieces(data: bytes, path: str) -> Iterator[Piece]:
    count = 0
    for number, value, offset in _fields(data, 0, len(data), path):
        if number != 1:
            continue
        if not isinstance(value, slice):
            raise TokenizerError("is not a SentencePiece model", path=path, offset=offset)
        count += 1
        if count > MAX_TOKENS:
            raise TokenizerError("has too many pieces", path=path, expected=f"at most {MAX_TOKENS}")
        yield _piece(data, value, path)


def adds_dummy_prefix(data: bytes, path: str) -> bool:
    """Whether a model puts a space before the text: ``add_dummy_prefix`` of its normalizer, true unless said.

    Raises:
        TokenizerError: the data is no SentencePiece model or is cut off.
    """
    adds = True
    for number, value, _ in _fields(data, 0, len(data), path):
        if number == 3 and isinstance(value, slice):
            for inner, flag, _ in _fields(data, value.start, value.stop, path):
                if inner == 3 and isinstance(flag, int):
                    adds = bool(flag)
    return adds


def _piece(data: bytes, span: slice, path: str) -> Piece:
    text = b""
    score = 0.0
    kind = PieceType.NORMAL
    for number, value, offset in _fields(data, span.start, span.stop, path):
        if number == 1 and isinstance(value, slice):
            text = data[value]
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            score = struct.unpack("<f", value)[0]
        elif number == 3 and isinstance(value, int):
            if value not in PieceType.__members__.values():
                raise TokenizerError(
                    "a piece is of an unknown type", path=path, offset=offset, found=value, expected="1 to 6"
                )
            kind = PieceType(value)
    try:
        return Piece(text.decode("utf-8"), score, kind)
    except UnicodeDecodeError as error:
        raise TokenizerError("a piece is not UTF-8", path=path, offset=span.start) from error


def _fields(data: bytes, start: int, end: int, path: str) -> Iterator[tuple[int, int | bytes | slice, int]]:
    """Field numbers with values (a varint, fixed bytes, or where bytes lie) and offsets of a message."""
    position = start
    while position < end:
        offset = position
        tag, position = _varint(data, position, end, path)
        kind = tag & 7
        if tag < 8:
            raise TokenizerError("is not a SentencePiece model: a field 0", path=path, offset=offset)
        value: int | bytes | slice
        if kind == _VARINT:
            value, position = _varint(data, position, end, path)
        elif kind == _BYTES:
            length, position = _varint(data, position, end, path)
            value = slice(position, position + length)
            position += length
        elif kind in (_EIGHT, _FOUR):
            width = 8 if kind == _EIGHT else 4
            value = data[position : position + width]
            position += width
        else:
            raise TokenizerError(
                "is not a SentencePiece model: unknown protobuf wire type",
                path=path,
                offset=offset,
                found=kind,
            )
        if position > end:
            raise TokenizerError(
                "is cut off, or is not a SentencePiece model: a field ends beyond its message",
                path=path,
                offset=offset,
            )
        yield tag >> 3, value, offset


def _varint(data: bytes, position: int, end: int, path: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise TokenizerError("is cut off inside a number", path=path, offset=position)
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise TokenizerError("is not a SentencePiece model: a number of over 70 bits", path=path, offset=position)


def write_model(pieces: Iterable[Piece], *, ids: dict[str, int], add_dummy_prefix: bool) -> bytes:
    """A BPE model of these pieces.

    Args:
        pieces: in order of id; exactly one should be UNKNOWN, as sentencepiece demands.
        ids: ids of ``unk``, ``bos``, ``eos`` and ``pad``; −1 stands for a token that does not exist.
        add_dummy_prefix: whether a space is put before the text.
    """
    body = []
    count = 0
    byte_fallback = False
    for piece in pieces:
        message = _bytes(1, piece.text.encode("utf-8", "surrogateescape"))
        message += _tag(2, _FOUR) + struct.pack("<f", piece.score)
        if piece.type is not PieceType.NORMAL:
            message += _number(3, piece.type)
        byte_fallback |= piece.type is PieceType.BYTE
        body.append(_bytes(1, message))
        count += 1
    trainer = _number(3, ModelType.BPE) + _number(4, count) + _number(35, byte_fallback)
    for field, name in ((40, "unk"), (41, "bos"), (42, "eos"), (43, "pad")):
        trainer += _number(field, ids.get(name, -1))
    normalizer = _bytes(1, b"identity") + _number(3, add_dummy_prefix) + _number(4, False) + _number(5, True)
    return b"".join([*body, _bytes(2, trainer), _bytes(3, normalizer)])


def _tag(field: int, kind: int) -> bytes:
    return _encoded(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _tag(field, _VARINT) + _encoded(int(value) & (1 << 64) - 1)  # negative: two's complement


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, _BYTES) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
