"""Unigram vocabularies, as T5 and XLM-RoBERTa have them: from a SentencePiece model or tokenizer.json.

The runtime normalizes text by the model's precompiled character map, which is stored as it is: bytes in
SentencePiece's ``NormalizerSpec``, base64 in a ``Precompiled`` normalizer.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ..errors import TokenizerError
from ..spec import TokenType
from .files import TokenizerFiles, items, mapping, text_of
from .sentencepiece import ModelType, PieceType, SentencePieceModel, read_model
from .spm import given_ids
from .tokenizer_json_reader import BYTE, Fast, read_fast
from .vocabulary import ADDED_SCORE, PADDING_SCORE, Vocabulary, padding_token, vocabulary_size

__all__ = ["load_unigram"]

_MODELS: Final = ("tokenizer.model", "spiece.model")
_FAIRSEQ: Final = "sentencepiece.bpe.model"
"""XLM-RoBERTa's: its ids are not the model's but fairseq's, which put four tokens in front of its pieces."""

_FAIRSEQ_TOKENS: Final = (
    ("<s>", TokenType.CONTROL),
    ("<pad>", TokenType.CONTROL),
    ("</s>", TokenType.CONTROL),
    ("<unk>", TokenType.UNKNOWN),
)
_MODEL_SPECIALS: Final = 3
"""Pieces fairseq's tokens stand for: <unk>, <s>, </s>."""

_JSON: Final = "tokenizer.json"
_PADDING: Final = re.compile(r"\[PAD[0-9]+\]")
"""Padding before other tokens, which an export must write; llama.cpp's converter misnumbers fairseq's."""

_SPACES: Final = frozenset({" {2,}", " +", r"\s+"})
"""Regular expressions of a ``Replace`` that makes one space of several."""


def load_unigram(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary | None:
    """The vocabulary of a SentencePiece model, or else of tokenizer.json; None when neither is Unigram.

    Args:
        files: of the checkpoint.
        config: its config.json.

    Raises:
        TokenizerError: a file is not what it should be, or normalizes text as the runtime cannot.
        CheckpointError: a file cannot be read or is not JSON.
    """
    for name in (_FAIRSEQ, *_MODELS):
        if (data := files.bytes(name)) is not None:
            model = read_model(data, files.path(name))
            if model.type is not ModelType.UNIGRAM:
                return None
            size = vocabulary_size(config, len(model.pieces), files.path("config.json"))
            if name == _FAIRSEQ:
                return _realigned(model, size, _mask(files))
            return _with_added(files, _of_model(model, size))
    document = files.json(_JSON) or {}
    if mapping(document.get("model"), "model", files.path(_JSON)).get("type") != "Unigram":
        return None
    return _of_json(files, config)


def _mask(files: TokenizerFiles) -> str | None:
    """Text of the token that follows XLM-RoBERTa's pieces."""
    return text_of((files.json("tokenizer_config.json") or {}).get("mask_token", "<mask>"))


def _of_model(model: SentencePieceModel, size: int) -> Vocabulary:
    """Its pieces by id, with padding up to ``size``. User-defined pieces count as normal ones."""
    tokens = [padding_token(token_id) for token_id in range(size)]
    scores = [PADDING_SCORE] * size
    types = [TokenType.UNUSED] * size
    for token_id, piece in enumerate(model.pieces[:size]):
        tokens[token_id], scores[token_id] = piece.text, piece.score
        user_defined = piece.type is PieceType.USER_DEFINED
        types[token_id] = TokenType.NORMAL if user_defined else TokenType(piece.type)
    return Vocabulary(
        "t5",
        "default",
        tokens,
        types,
        scores=scores,
        adds_space=model.add_dummy_prefix,
        merges_spaces=model.remove_extra_whitespaces,
        charsmap=model.charsmap,
    )


def _realigned(model: SentencePieceModel, size: int, mask: str | None) -> Vocabulary:
    """Fairseq's ids: its tokens, the pieces after the model's own special ones, the mask."""
    plain = _of_model(model, len(model.pieces))
    tokens = [*(text for text, _ in _FAIRSEQ_TOKENS), *plain.tokens[_MODEL_SPECIALS:]]
    types = [*(kind for _, kind in _FAIRSEQ_TOKENS), *plain.types[_MODEL_SPECIALS:]]
    scores = [0.0] * len(_FAIRSEQ_TOKENS) + list(plain.scores or ())[_MODEL_SPECIALS:]
    if mask is not None:
        tokens.append(mask)
        types.append(TokenType.CONTROL)
        scores.append(0.0)
    missing = range(len(tokens), size)
    return replace(
        plain,
        tokens=tokens + [padding_token(token_id) for token_id in missing],
        types=types + [TokenType.UNUSED] * len(missing),
        scores=scores + [PADDING_SCORE] * len(missing),
    )


def _with_added(files: TokenizerFiles, vocabulary: Vocabulary) -> Vocabulary:
    """With the tokens of added_tokens.json, as far as the model has rows for them."""
    tokens, types, scores = list(vocabulary.tokens), list(vocabulary.types), list(vocabulary.scores or ())
    for token_id, text in given_ids(files):
        if token_id < len(tokens):
            tokens[token_id], types[token_id], scores[token_id] = text, TokenType.USER_DEFINED, ADDED_SCORE
    return replace(vocabulary, tokens=tokens, types=types, scores=scores)


def _of_json(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    path = files.path(_JSON)
    entries = _entries(files.require(_JSON), path)
    ids: dict[str, int] = {}
    for token_id, (text, _) in enumerate(entries):
        if ids.setdefault(text, token_id) != token_id:
            raise TokenizerError("two tokens have the same text", path=path, key="model.vocab", found=text)
    fast = read_fast(files, config, ids)
    size = max(len(entries), vocabulary_size(config, len(fast.texts), path))
    unknown = _unknown(files, fast)
    tokens, types, scores = [], [], []
    for token_id in range(size):
        text = fast.texts.get(token_id, "")
        score = entries[token_id][1] if token_id < len(entries) else ADDED_SCORE
        if not text or (score == PADDING_SCORE and _PADDING.fullmatch(text)):
            text, kind, score = text or padding_token(token_id), TokenType.UNUSED, PADDING_SCORE
        elif token_id == unknown:
            kind = TokenType.UNKNOWN
        elif text in fast.named:
            kind = TokenType.CONTROL
        elif token_id in fast.added:
            kind = TokenType.USER_DEFINED
        elif fast.model.get("byte_fallback") and BYTE.fullmatch(text):
            kind = TokenType.BYTE
        else:
            kind = TokenType.NORMAL
        tokens.append(text)
        types.append(kind)
        scores.append(score)
    settings = files.json("tokenizer_config.json") or {}
    charsmap, merges, prefixed = _normalization(fast.document, path)
    merges = merges or fast.clean_up
    return Vocabulary(
        "t5",
        "default",
        tokens,
        types,
        scores=scores,
        # where spaces are merged the runtime puts one in front anyway, which llama.cpp's converter relies on
        adds_space=bool(settings.get("add_prefix_space")) or (prefixed and not merges),
        merges_spaces=merges,
        charsmap=charsmap,
    )


def _entries(document: Mapping[str, Any], path: str) -> list[tuple[str, float]]:
    """Texts and scores, by id."""
    made = []
    for entry in items(mapping(document.get("model"), "model", path).get("vocab"), "model.vocab", path):
        match entry:
            case [str(text), int() | float() as score] if not isinstance(score, bool) and math.isfinite(
                score
            ):
                made.append((text, float(score)))
            case _:
                raise TokenizerError(
                    "not a pair of a token and its score",
                    path=path,
                    key="model.vocab",
                    found=repr(entry)[:80],
                )
    if not made:
        raise TokenizerError("the vocabulary has no tokens", path=path, key="model.vocab")
    return made


def _unknown(files: TokenizerFiles, fast: Fast) -> int:
    """The id of the unknown token: the configured one if it is an added token, else the model's."""
    wanted = (files.json("tokenizer_config.json") or {}).get("unk_token")
    for token_id, token in fast.added.items():
        if token.content == wanted:
            return token_id
    unknown = fast.model.get("unk_id")
    return unknown if isinstance(unknown, int) else -1


def _normalization(document: Mapping[str, Any], path: str) -> tuple[bytes, bool, bool]:
    """The character map, whether runs of spaces become one, and whether a space is put in front.

    Raises:
        TokenizerError: something else is done to text, which GGUF has no word for.
    """
    charsmap, merges, prefixed = b"", False, False
    for key, nested in (("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers")):
        for part in _flat(document.get(key), nested):
            match part.get("type"):
                case "Precompiled":
                    charsmap = _decoded(part.get("precompiled_charsmap"), path)
                case "Metaspace":
                    scheme = part.get(
                        "prepend_scheme", "always" if part.get("add_prefix_space", True) else ""
                    )
                    prefixed = scheme in ("always", "first")
                case "WhitespaceSplit":
                    merges = True
                case "Replace" if mapping(part.get("pattern"), "pattern", path).get("Regex") in _SPACES:
                    merges = True
                case "Strip":
                    pass  # merging spaces does that
                case _:
                    raise TokenizerError(
                        "text is changed in a way GGUF cannot express for Unigram",
                        path=path,
                        key=key,
                        found=json.dumps(part, ensure_ascii=False)[:400],
                        expected="Precompiled, Replace of runs of spaces, Strip, WhitespaceSplit, Metaspace",
                    )
    return charsmap, merges, prefixed


def _flat(part: Any, nested: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(part, dict):
        return
    inner = part.get(nested)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        for item in inner:
            yield from _flat(item, nested)
    else:
        yield part


def _decoded(text: Any, path: str) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise TokenizerError(
            "the character map is not base64", path=path, key="normalizer.precompiled_charsmap"
        ) from error
