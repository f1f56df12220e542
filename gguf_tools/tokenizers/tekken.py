"""Vocabularies from tekken.json, the format of Mistral's own tokenizers since Nemo.

The file is JSON: ``config`` says how many tokens there are, ``vocab`` lists byte strings by rank (base64,
the first 256 are the bytes themselves) and ``special_tokens`` names the control tokens, which have the lowest
ids. An ordinary token's id is its rank plus the number of special tokens. Files up to version 7 may leave the
special tokens out; they are then those of ``mistral_common``, where the format is defined.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType, ValueType
from .byte_level import BYTE_OF
from .files import TokenizerFiles, items, mapping
from .pretokenizers import recognise
from .special import ADD_KEYS, ID_KEYS, chat_templates
from .vocabulary import MAX_TOKENS, Entry, Vocabulary, padding_token, vocabulary_size

__all__ = ["UNWRITTEN", "has_tekken", "tekken_entries"]

_FILE: Final = "tekken.json"
_BYTES: Final = 256
_LONGEST: Final = 1024
"""Bytes of a token that is cut in every way; the longest published one has 128."""

_ROLES: Final = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
_TEMPLATES: Final = {3: "mistral-v3-tekken", 7: "mistral-v7-tekken"}
"""The runtime's names for the chat templates of these versions."""

_UNWRITTEN_UNTIL: Final = 7
UNWRITTEN: Final = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
    *("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
"""Special tokens of a file that lists none."""

_LETTER_OF: Final = {byte: letter for letter, byte in BYTE_OF.items()}


def has_tekken(files: TokenizerFiles) -> bool:
    """Whether tekken.json is what a checkpoint has for a tokenizer; a tokenizer.json is asked first."""
    return files.exists(_FILE) and not files.exists("tokenizer.json")


def tekken_entries(files: TokenizerFiles, config: Mapping[str, Any], pre: str | None) -> Iterator[Entry]:
    """All ``tokenizer.*`` keys, as llama.cpp's converter (b11434) writes them for such a checkpoint.

    Ids between the file's number of tokens and the model's ``vocab_size`` become padding.

    Args:
        files: of the checkpoint.
        config: its config.json.
        pre: pre-tokenizer name to write instead of recognising the pattern.

    Raises:
        TokenizerError: the file is not what it should be, or its pattern is not recognised.
        CheckpointError: it cannot be read or is not JSON.
    """
    path = files.path(_FILE)
    document = files.require(_FILE)
    settings = mapping(document.get("config"), "config", path)
    version = _version(settings, path)
    special = _special_tokens(document, settings, version, path)
    ranks = _ranks(document, _count(settings, "default_vocab_size", path) - len(special), path)
    name = pre or recognise(_as_tokenizer_json(settings, path), special, path)
    vocabulary = Vocabulary("gpt2", name, *_tokens(special, ranks, config, path), merges=_merges(ranks, path))
    yield from vocabulary.entries()
    # as the converter has them: ranks are in the merges, so these say nothing
    yield "tokenizer.ggml.scores", ValueType.ARRAY, Array(ValueType.INT32, [0] * len(vocabulary.tokens))
    for role, text in _ROLES.items():
        if text in special:
            yield ID_KEYS[role], ValueType.UINT32, special.index(text)
    yield ADD_KEYS["bos"], ValueType.BOOL, True
    yield ADD_KEYS["eos"], ValueType.BOOL, False
    templates = list(chat_templates(files))
    if templates:
        yield from templates
    elif version in _TEMPLATES:
        yield "tokenizer.chat_template", ValueType.STRING, _TEMPLATES[version]


def _version(settings: Mapping[str, Any], path: str) -> int:
    version = settings.get("version")
    match = re.fullmatch(r"v(\d{1,4})", version) if isinstance(version, str) else None
    if match is None:
        raise TokenizerError(
            "the version is unusable", path=path, key="config.version", found=version, expected="v3 or later"
        )
    return int(match[1])


def _count(settings: Mapping[str, Any], key: str, path: str) -> int:
    count = settings.get(key)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= MAX_TOKENS:
        raise TokenizerError(
            "a number of tokens is unusable",
            path=path,
            key=f"config.{key}",
            found=count,
            expected=f"1 to {MAX_TOKENS}",
        )
    return count


def _special_tokens(
    document: Mapping[str, Any], settings: Mapping[str, Any], version: int, path: str
) -> list[str]:
    """Texts of the special tokens by id; ids without one get the name the format gives them."""
    count = _count(settings, "default_num_special_tokens", path)
    if document.get("special_tokens") is None:
        if version > _UNWRITTEN_UNTIL:
            raise TokenizerError(
                f"a file of version {version} must list its special tokens", path=path, key="special_tokens"
            )
        texts = list(UNWRITTEN)
    else:
        texts = list(_listed(items(document["special_tokens"], "special_tokens", path), path))
    if len(texts) > count:
        raise TokenizerError(
            "there are more special tokens than the config says",
            path=path,
            key="special_tokens",
            found=len(texts),
            expected=f"at most {count}",
        )
    texts += [f"<SPECIAL_{token_id}>" for token_id in range(len(texts), count)]
    if len(set(texts)) != count:
        [(twice, _)] = Counter(texts).most_common(1)
        raise TokenizerError(
            "two special tokens have the same text", path=path, key="special_tokens", found=twice
        )
    return texts


def _listed(entries: Sequence[Any], path: str) -> Iterator[str]:
    for token_id, entry in enumerate(entries):
        entry = mapping(entry, "special_tokens", path)
        text = entry.get("token_str")
        if not isinstance(text, str) or not text:
            raise TokenizerError("a special token has no text", path=path, key="special_tokens", found=text)
        _check_rank(entry, token_id, "special_tokens", path)
        yield text


def _check_rank(entry: Mapping[str, Any], place: int, key: str, path: str) -> None:
    rank = entry.get("rank")
    if rank != place or isinstance(rank, bool):
        raise TokenizerError(
            "tokens must stand in the order of their ranks", path=path, key=key, found=rank, expected=place
        )


def _ranks(document: Mapping[str, Any], count: int, path: str) -> dict[bytes, int]:
    """The first ``count`` ordinary tokens; files hold more than their models have."""
    entries = items(document.get("vocab"), "vocab", path)
    if not _BYTES <= count <= len(entries):
        raise TokenizerError(
            "the numbers of tokens do not fit together",
            path=path,
            key="vocab",
            found=f"{len(entries)} tokens, of which the config uses {count}",
            expected=f"{_BYTES} or more, all of them listed",
        )
    ranks: dict[bytes, int] = {}
    for rank, entry in enumerate(entries[:count]):
        entry = mapping(entry, "vocab", path)
        _check_rank(entry, rank, "vocab", path)
        data = _decoded(entry.get("token_bytes"), rank, path)
        if rank < _BYTES and data != bytes([rank]):
            raise TokenizerError(
                "the first tokens must be the bytes in order",
                path=path,
                key="vocab",
                found=f"{data!r} at {rank}",
            )
        if ranks.setdefault(data, rank) != rank:
            raise TokenizerError(
                "two tokens are the same",
                path=path,
                key="vocab",
                found=f"{data!r} with ranks {ranks[data]} and {rank}",
            )
    return ranks


def _decoded(text: Any, rank: int, path: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not 0 < len(data) <= _LONGEST:
        raise TokenizerError(
            f"token {rank} is not base64 of 1 to {_LONGEST} bytes",
            path=path,
            key="vocab.token_bytes",
            found=text if not isinstance(text, str) or len(text) < 80 else text[:80] + "…",
        )
    return data


def _as_tokenizer_json(settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What the file's pattern would be in tokenizer.json."""
    pattern = settings.get("pattern")
    if not isinstance(pattern, str):
        raise TokenizerError("there is no pattern", path=path, key="config.pattern", found=pattern)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    return {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "model": {"type": "BPE", "ignore_merges": True},
    }


def _tokens(
    special: Sequence[str], ranks: Mapping[bytes, int], config: Mapping[str, Any], path: str
) -> tuple[list[str], list[TokenType]]:
    tokens = [*special, *map(_spelled, ranks)]
    types = [TokenType.CONTROL] * len(special) + [TokenType.NORMAL] * len(ranks)
    size = vocabulary_size(config, len(tokens), path)
    if size < len(tokens):
        raise TokenizerError(
            "the file has more tokens than the model",
            path=path,
            key="config.default_vocab_size",
            found=len(tokens),
            expected=f"at most vocab_size {size}",
        )
    types += [TokenType.UNUSED] * (size - len(tokens))
    tokens += map(padding_token, range(len(tokens), size))
    return tokens, types


def _spelled(data: bytes) -> str:
    """A byte string as GPT-2 writes it."""
    return "".join(map(_LETTER_OF.__getitem__, data))


def _merges(ranks: Mapping[bytes, int], path: str) -> list[str]:
    """Every way to make a token of two, by the token's rank and then by those of the parts.

    The format has no merges: pieces are joined to whatever token has the lowest rank.
    """
    merges = []
    for token, rank in ranks.items():
        if rank < _BYTES:
            continue
        cuts = ((token[:place], token[place:]) for place in range(1, len(token)))
        pairs = [
            (ranks[left], ranks[right], left, right)
            for left, right in cuts
            if left in ranks and right in ranks
        ]
        if not pairs:
            raise TokenizerError(
                f"token {rank} cannot be made of two others", path=path, key="vocab", found=repr(token)
            )
        merges += [f"{_spelled(left)} {_spelled(right)}" for _, _, left, right in sorted(pairs)]
    return merges
