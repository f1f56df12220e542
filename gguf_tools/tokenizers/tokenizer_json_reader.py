"""Vocabularies from tokenizer.json, the tokens transformers would have after loading it.

transformers takes the model's vocabulary and the added tokens of tokenizer.json, then adds what
tokenizer_config.json lists in ``added_tokens_decoder`` and what it names as special, at the next free ids.
llama.cpp's converter asks that combined vocabulary, so it is rebuilt here from the files alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..errors import TokenizerError
from ..spec import TokenType
from .byte_level import SPACE
from .decoders import decoded, decoder_parts
from .files import TokenizerFiles, id_of_key, items, mapping
from .pretokenizers import recognise
from .special_tokens_hf import tokens_with_roles
from .vocabulary import ADDED_SCORE, MAX_TOKENS, Vocabulary, looks_special, padding_token, vocabulary_size

__all__ = ["BYTE", "Fast", "load_bpe", "load_llama_hf", "load_unscored", "load_wordpiece", "read_fast"]

_FILE: Final = "tokenizer.json"
BYTE: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""How a SentencePiece vocabulary writes a byte."""
_ZERO: Final = "<b'\\x00'>"
"""How llama.cpp's converter spells a token that is a zero byte, which a C string cannot hold."""


class _Added(NamedTuple):
    content: str
    special: bool
    normalized: bool


@dataclass(frozen=True, slots=True)
class Fast:
    """A loaded tokenizer.json.

    Attributes:
        path: of the file.
        document: the parsed file.
        model: its ``model``.
        texts: text of every id that has a token.
        base: number of tokens of the model, before any were added.
        added: added tokens by id.
        named: texts of the tokens with a special role.
        clean_up: whether decoding cleans up spaces.
    """

    path: str
    document: Mapping[str, Any]
    model: Mapping[str, Any]
    texts: dict[int, str]
    base: int
    added: dict[int, _Added]
    named: frozenset[str]
    clean_up: bool

    def added_texts(self) -> frozenset[str]:
        """Texts of all added tokens."""
        return frozenset(token.content for token in self.added.values())


def load_bpe(files: TokenizerFiles, config: Mapping[str, Any], pre: str | None) -> Vocabulary:
    """Byte-level BPE, as GPT-2, Llama 3 and Qwen have it.

    Raises:
        TokenizerError: the file is missing, of another kind, inconsistent, or its pre-tokenizer unknown.
        CheckpointError: a file cannot be read or is not JSON.
    """
    fast = read_fast(files, config)
    kind = fast.model.get("type", "BPE")
    if kind != "BPE":
        raise TokenizerError(
            "the model is of a kind this architecture cannot use",
            path=fast.path,
            key="model.type",
            found=kind,
            expected="BPE",
        )
    if fast.model.get("byte_fallback") and pre is None:
        raise TokenizerError(
            "holds a SentencePiece vocabulary without its scores; the tokenizer.model it was made from is"
            " needed beside it",
            path=fast.path,
        )
    name = pre or recognise(fast.document, fast.added_texts(), fast.path)
    tokens, types = _with_types(fast, config)
    return Vocabulary("gpt2", name, tokens, types, merges=_merges(files, fast), bounded=False)


def load_wordpiece(files: TokenizerFiles, config: Mapping[str, Any], pre: str | None) -> Vocabulary:
    """WordPiece, as BERT has it.

    GGUF marks beginnings of words (``▁word``) instead of continuations (``##piece``).

    Raises:
        TokenizerError, CheckpointError: as `load_bpe`.
    """
    fast = read_fast(files, config)
    if fast.model.get("type", "WordPiece") != "WordPiece":
        raise TokenizerError(
            "the model is of a kind this architecture cannot use",
            path=fast.path,
            key="model.type",
            found=fast.model.get("type"),
            expected="WordPiece",
        )
    name = pre or recognise(fast.document, fast.added_texts(), fast.path)
    tokens, types = _with_types(fast, config)
    marked = []
    for text, kind in zip(tokens, types, strict=True):
        if kind is not TokenType.CONTROL:
            text = text[2:] if text.startswith("##") else "▁" + text
        marked.append(text)
    return Vocabulary("bert", name, marked, types)


def load_llama_hf(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary | None:
    """A SentencePiece BPE vocabulary of which only tokenizer.json is left; None when it is something else.

    The scores are lost; all are −1000. Tokens are CONTROL only by a role (bos, eos, …), not by being
    added as special.

    Raises:
        TokenizerError, CheckpointError: as `load_bpe`.
    """
    document = files.json(_FILE)
    model = mapping((document or {}).get("model"), "model", files.path(_FILE))
    decoder = mapping((document or {}).get("decoder"), "decoder", files.path(_FILE))
    if model.get("type") != "BPE" or not model.get("byte_fallback") or decoder.get("type") != "Sequence":
        return None
    fast = read_fast(files, config)
    tokens = []
    types = []
    beyond = [token for token_id, token in sorted(fast.added.items()) if token_id >= fast.base]
    for token_id in range(fast.base):
        text = fast.texts.get(token_id)
        if text is None:
            raise TokenizerError("no token has this id", path=fast.path, key="model.vocab", found=token_id)
        tokens.append(text)
        if BYTE.fullmatch(text):
            types.append(TokenType.BYTE)
        else:
            types.append(TokenType.CONTROL if text in fast.named else TokenType.NORMAL)
    for token in beyond:
        tokens.append(token.content)
        types.append(TokenType.CONTROL if token.content in fast.named else TokenType.USER_DEFINED)
    return Vocabulary("llama", "default", tokens, types, scores=[ADDED_SCORE] * len(tokens))


def load_unscored(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """A SentencePiece vocabulary out of tokenizer.json, without scores: what XVERSE's files become.

    Raises:
        TokenizerError, CheckpointError: as `load_bpe`; also where an id has no token.
    """
    fast = read_fast(files, config)
    size = vocabulary_size(config, len(fast.texts), fast.path)
    if set(fast.texts) != set(range(size)):
        raise TokenizerError(
            "the vocabulary has not just as many tokens as the model",
            path=fast.path,
            found=f"{len(fast.texts)} up to id {max(fast.texts)}",
            expected=size,
        )
    tokens = []
    types = []
    for token_id in range(size):
        text, added = fast.texts[token_id], fast.added.get(token_id)
        kind = TokenType.NORMAL
        if text == "\0":
            text, kind = _ZERO, TokenType.BYTE
        elif BYTE.fullmatch(text):
            kind = TokenType.BYTE
        elif added is not None:
            kind = TokenType.CONTROL if added.special else TokenType.USER_DEFINED
        tokens.append(text)
        types.append(kind)
    return Vocabulary("llama", "default", tokens, types)


def _with_types(fast: Fast, config: Mapping[str, Any]) -> tuple[list[str], list[TokenType]]:
    size = vocabulary_size(config, len(fast.texts), fast.path)
    highest = max(fast.texts)
    if highest >= size:
        raise TokenizerError(
            "a token's id lies beyond the model's vocabulary",
            path=fast.path,
            key=fast.texts[highest],
            found=highest,
            expected=f"less than vocab_size {size}",
        )
    decoder = decoder_parts(fast.document.get("decoder"), fast.path)
    tokens: list[str] = []
    types: list[TokenType] = []
    for token_id in range(size):
        text = fast.texts.get(token_id)
        added = fast.added.get(token_id)
        kind = TokenType.NORMAL
        if text is None:
            text, kind = padding_token(token_id), TokenType.UNUSED
        elif added is not None:
            if not added.normalized:
                text = decoded(text, decoder, clean_up=fast.clean_up)
            if added.special or looks_special(text):
                kind = TokenType.CONTROL
            else:
                text, kind = text.replace("▁", " "), TokenType.USER_DEFINED
        tokens.append(text)
        types.append(kind)
    return tokens, types


def _merges(files: TokenizerFiles, fast: Fast) -> list[str]:
    """Merges as ``"left right"``, by rank; a space inside a part is written as byte-level BPE does."""
    stored = items(fast.model.get("merges"), "model.merges", fast.path)
    if not stored:
        if merges := _merges_of_text(files):
            return merges
        raise TokenizerError(
            "there are no merges, and llama.cpp loads no byte-level BPE without them",
            path=fast.path,
            key="model.merges",
            expected="pairs of tokens here, or in merges.txt",
        )
    known = set(fast.texts.values())
    # the model joins without the second part's prefix, which byte-level models do not have
    joins = not fast.model.get("continuing_subword_prefix")
    merges = []
    for rank, merge in enumerate(stored):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise TokenizerError(
                f"merge {rank} is not a pair of tokens", path=fast.path, key="model.merges", found=merge
            )
        for part in (*parts, parts[0] + parts[1]) if joins else parts:
            if part not in known:
                raise TokenizerError(
                    f"merge {rank} names a token that is not in the vocabulary",
                    path=fast.path,
                    key="model.merges",
                    found=part,
                )
        merges.append(
            merge if isinstance(merge, str) else " ".join(part.replace(" ", SPACE) for part in parts)
        )
    return merges


def _merges_of_text(files: TokenizerFiles) -> list[str]:
    """merges.txt: a pair a line, after a line with the version."""
    lines = (files.text("merges.txt") or "").splitlines()
    if lines and lines[0].startswith("#"):
        lines = lines[1:]
    pairs = (line.split() for line in lines)
    return [" ".join(pair) for pair in pairs if len(pair) == 2]


def read_fast(
    files: TokenizerFiles, config: Mapping[str, Any], vocabulary: Mapping[str, int] | None = None
) -> Fast:
    """tokenizer.json with all tokens that are added to its model's.

    Args:
        files: of the checkpoint.
        config: its config.json.
        vocabulary: ids of the model's tokens, where its ``vocab`` is no table of them.

    Raises:
        TokenizerError, CheckpointError: as `load_bpe`.
    """
    path = files.path(_FILE)
    document = files.require(_FILE)
    model = mapping(document.get("model"), "model", path)
    vocabulary = model.get("vocab") if vocabulary is None else vocabulary
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise TokenizerError(
            "the model's vocabulary is not a table of tokens and ids",
            path=path,
            key="model.vocab",
            found=type(vocabulary).__name__ if vocabulary != {} else "no tokens",
            expected="an object",
        )
    texts: dict[int, str] = {}
    for text, token_id in vocabulary.items():
        _check_id(token_id, text, path)
        if token_id in texts:
            raise TokenizerError(
                "two tokens have the same id",
                path=path,
                key="model.vocab",
                found=f"{texts[token_id]!r}, {text!r}",
            )
        texts[token_id] = text
    added: dict[int, _Added] = {}
    named = tokens_with_roles(files, config)
    taken: set[str] = set()
    for token, token_id in [*_listed(document, path), *((token, None) for token in _later(files, named))]:
        if token.content and token.content not in taken:
            taken.add(token.content)
            _add(token, token_id, vocabulary, texts, added, path)
    return Fast(
        path=path,
        document=document,
        model=model,
        texts=texts,
        base=len(vocabulary),
        added=added,
        named=frozenset(named),
        clean_up=bool((files.json("tokenizer_config.json") or {}).get("clean_up_tokenization_spaces")),
    )


def _check_id(token_id: Any, text: str, path: str) -> None:
    if isinstance(token_id, bool) or not isinstance(token_id, int) or not 0 <= token_id < MAX_TOKENS:
        raise TokenizerError(
            "a token's id is unusable", path=path, key=text, found=token_id, expected=f"0 to {MAX_TOKENS - 1}"
        )


def _listed(document: Mapping[str, Any], path: str) -> Iterator[tuple[_Added, Any]]:
    """Added tokens of tokenizer.json, with the ids it gives them."""
    for entry in items(document.get("added_tokens"), "added_tokens", path):
        entry = mapping(entry, "added_tokens", path)
        content = entry.get("content")
        if not isinstance(content, str):
            raise TokenizerError("an added token has no text", path=path, key="added_tokens", found=content)
        special = bool(entry.get("special", False))
        yield _Added(content, special, bool(entry.get("normalized", not special))), entry.get("id")


def _add(
    token: _Added,
    token_id: Any,
    vocabulary: Mapping[str, int],
    texts: dict[int, str],
    added: dict[int, _Added],
    path: str,
) -> None:
    """Give a token its id: the model's where it has the token, else the next one.

    The id in the file is not asked by the ``tokenizers`` package, so another one there means that the
    file is not what the model was made with.
    """
    if token_id is not None:
        _check_id(token_id, token.content, path)
    known = vocabulary.get(token.content)
    if known is None:
        known = max(len(vocabulary), max(added, default=-1) + 1)
    if token_id is not None and token_id != known:
        raise TokenizerError(
            "an added token gets another id than the file says: ids are the model's, or follow each other",
            path=path,
            key=token.content,
            found=token_id,
            expected=str(known),
        )
    if texts.get(known, token.content) != token.content:
        raise TokenizerError(
            "two tokens have the same id",
            path=path,
            key="added_tokens",
            found=f"{texts[known]!r}, {token.content!r}",
        )
    texts[known] = token.content
    added[known] = token


def _later(files: TokenizerFiles, named: Mapping[str, bool]) -> Iterator[_Added]:
    """Tokens transformers adds after those of tokenizer.json, in order."""
    path = files.path("tokenizer_config.json")
    settings = files.json("tokenizer_config.json") or {}
    decoder = mapping(settings.get("added_tokens_decoder"), "added_tokens_decoder", path)
    for key in sorted(decoder, key=lambda key: id_of_key(key, path)):
        entry = mapping(decoder[key], "added_tokens_decoder", path)
        content = entry.get("content")
        if not isinstance(content, str):
            raise TokenizerError(
                "an added token has no text", path=path, key="added_tokens_decoder", found=content
            )
        special = bool(entry.get("special", False))
        yield _Added(content, special or content in named, bool(entry.get("normalized", not special)))
    if "added_tokens_decoder" not in settings:
        path = files.path("added_tokens.json")
        ids = files.json("added_tokens.json") or {}
        for content, token_id in ids.items():
            _check_id(token_id, content, path)
        for content in sorted(ids, key=ids.__getitem__):
            yield _Added(content, content in named, normalized=content not in named)
    for content, normalized in named.items():
        yield _Added(content, special=True, normalized=normalized)
