"""Vocabularies from tokenizer.model (SentencePiece), as Llama 2, Mistral and Gemma have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import TokenizerError
from ..spec import TokenType
from .files import TokenizerFiles, id_of_key, mapping
from .sentencepiece import PieceType, read_pieces
from .vocabulary import (
    ADDED_SCORE,
    PADDING_SCORE,
    Vocabulary,
    looks_special,
    padding_token,
    vocabulary_size,
)

__all__ = ["given_ids", "load_spm"]

_FILE: Final = "tokenizer.model"


def load_spm(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary | None:
    """The vocabulary of tokenizer.model and the tokens added to it; None when there is no such file.

    Ids from the model's vocabulary size on are dropped, ids no token has become padding. As in
    llama.cpp's converter, user-defined pieces count as normal ones unless tokenizer_config.json lists
    them as added.

    Raises:
        TokenizerError: a file is not what it should be.
        CheckpointError: a file cannot be read.
    """
    data = files.bytes(_FILE)
    if data is None:
        return None
    pieces = read_pieces(data, files.path(_FILE))
    size = vocabulary_size(config, len(pieces), files.path("config.json"))
    tokens = [padding_token(token_id) for token_id in range(size)]
    scores = [PADDING_SCORE] * size
    types = [TokenType.UNUSED] * size
    for token_id, piece in enumerate(pieces[:size]):
        tokens[token_id] = piece.text
        scores[token_id] = piece.score
        user_defined = piece.type is PieceType.USER_DEFINED
        types[token_id] = TokenType.NORMAL if user_defined else TokenType(piece.type)
    for token_id, text, kind in _added(files):
        if token_id < size:
            tokens[token_id], scores[token_id], types[token_id] = text, ADDED_SCORE, kind
    return Vocabulary("llama", "default", tokens, types, scores=scores)


def given_ids(files: TokenizerFiles) -> Iterator[tuple[int, str]]:
    """Ids and texts of added_tokens.json.

    Raises:
        TokenizerError: an id is unusable, or the file no object.
        CheckpointError: the file cannot be read.
    """
    path = files.path("added_tokens.json")
    for text, token_id in (files.json("added_tokens.json") or {}).items():
        yield _usable(token_id, text, path), text


def _added(files: TokenizerFiles) -> Iterator[tuple[int, str, TokenType]]:
    """Ids, texts and types of tokens that were added later."""
    for token_id, text in given_ids(files):
        yield token_id, text, TokenType.USER_DEFINED
    path = files.path("tokenizer_config.json")
    settings = files.json("tokenizer_config.json") or {}
    for key, entry in mapping(settings.get("added_tokens_decoder"), "added_tokens_decoder", path).items():
        entry = mapping(entry, "added_tokens_decoder", path)
        content = entry.get("content")
        if not isinstance(content, str):
            raise TokenizerError("an added token has no text", path=path, key=key, found=content)
        token_id = id_of_key(key, path)
        if entry.get("special") or looks_special(content):
            yield token_id, content, TokenType.CONTROL
        else:
            yield token_id, content.replace("▁", " "), TokenType.USER_DEFINED


def _usable(token_id: Any, text: str, path: str) -> int:
    if isinstance(token_id, bool) or not isinstance(token_id, int) or token_id < 0:
        raise TokenizerError("a token's id is unusable", path=path, key=text, found=token_id)
    return token_id
