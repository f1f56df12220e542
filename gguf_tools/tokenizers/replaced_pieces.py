"""InternLM 2's vocabulary: a tokenizer.model with unused pieces that later tokens took the place of.

llama.cpp's converter (b11434) reads it by rules of its own, which differ from those for other models in
what an added token may be: special or not is what the file says, and spaces stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import TokenizerError
from ..spec import TokenType, ValueType
from .files import TokenizerFiles, id_of_key, items, mapping
from .sentencepiece import PieceType, adds_dummy_prefix, read_pieces
from .special import ID_KEYS
from .vocabulary import ADDED_SCORE, Entry, Vocabulary, vocabulary_size

__all__ = ["adds_space", "load_replaced_pieces", "turn_end"]

_FILE: Final = "tokenizer.model"
_TURN_END: Final = "<|im_end|>"
_STAND_IN: Final = "🐉"
"""For a piece that is a zero byte, which a C string cannot hold."""


def load_replaced_pieces(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary | None:
    """The vocabulary of tokenizer.model and the tokens added to it; None when there is no such file.

    Raises:
        TokenizerError: a file is not what it should be, or an added token has no place.
        CheckpointError: a file cannot be read.
    """
    data = files.bytes(_FILE)
    if data is None:
        return None
    pieces = read_pieces(data, files.path(_FILE))
    size = vocabulary_size(config, len(pieces), files.path("config.json"))
    if size > len(pieces):
        raise TokenizerError(
            "the model has more tokens than its tokenizer",
            path=files.path(_FILE),
            found=len(pieces),
            expected=size,
        )
    tokens = [_STAND_IN if piece.text == "\0" else piece.text for piece in pieces[:size]]
    scores = [piece.score for piece in pieces[:size]]
    bytewise = any(piece.type is PieceType.BYTE for piece in pieces)
    types = [_type(piece.text, piece.type, bytewise) for piece in pieces[:size]]
    for text in files.json("added_tokens.json") or {}:  # at the end, whatever its id
        tokens.append(text)
        scores.append(ADDED_SCORE)
        types.append(TokenType.USER_DEFINED)
    for token_id, text, special, path in _added(files):
        if token_id >= len(tokens):
            raise TokenizerError(
                "an added token has no place in the vocabulary",
                path=path,
                key=text,
                found=token_id,
                expected=f"less than {len(tokens)}",
            )
        tokens[token_id], scores[token_id] = text, ADDED_SCORE
        types[token_id] = TokenType.CONTROL if special else TokenType.USER_DEFINED
    return Vocabulary("llama", "default", tokens, types, scores=scores)


def _type(text: str, kind: PieceType, bytewise: bool) -> TokenType:
    """``bytewise``: whether there are pieces for bytes; then sentencepiece has no use for a zero byte."""
    if text.startswith("[UNUSED") or (text == "\0" and bytewise):
        return TokenType.UNUSED
    return TokenType.NORMAL if kind is PieceType.USER_DEFINED else TokenType(kind)


def _added(files: TokenizerFiles) -> Iterator[tuple[int, str, bool, str]]:
    """Ids and texts of tokens that were added later, whether they are special, and where that stands."""
    path = files.path("tokenizer_config.json")
    settings = files.json("tokenizer_config.json") or {}
    decoder = mapping(settings.get("added_tokens_decoder"), "added_tokens_decoder", path)
    for key, entry in decoder.items():
        entry = mapping(entry, "added_tokens_decoder", path)
        yield id_of_key(key, path), _content(entry, path), bool(entry.get("special")), path
    path = files.path("tokenizer.json")
    for entry in items((files.json("tokenizer.json") or {}).get("added_tokens"), "added_tokens", path):
        entry = mapping(entry, "added_tokens", path)
        token_id = id_of_key(str(entry.get("id")), path)
        yield token_id, _content(entry, path), bool(entry.get("special")), path


def _content(entry: Mapping[str, Any], path: str) -> str:
    content = entry.get("content")
    if not isinstance(content, str):
        raise TokenizerError("an added token has no text", path=path, found=content)
    return content


def adds_space(files: TokenizerFiles) -> Iterator[Entry]:
    """Whether a space is put before the text, as tokenizer.model says."""
    data = files.bytes(_FILE)
    if data is not None:
        adds = adds_dummy_prefix(data, files.path(_FILE))
        yield "tokenizer.ggml.add_space_prefix", ValueType.BOOL, adds


def turn_end(files: TokenizerFiles) -> Iterator[Entry]:
    """What ends a turn of a chat model, where it has such a token: its texts end there, not at the EOS."""
    for token_id, text, special, _ in _added(files):
        if text == _TURN_END and special:
            yield ID_KEYS["eos"], ValueType.UINT32, token_id
