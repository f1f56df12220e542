"""RWKV's World vocabulary: a text file of byte strings ↔ GGUF's escaped tokens.

A line of ``rwkv_vocab_v20230424.txt`` is an id, the token as a Python literal (a text, or bytes where it
is no UTF-8) and its number of bytes; ids count from 1, and 0 ends a text. GGUF has a token as Python
writes bytes, without the quotes, and the runtime undoes the escapes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType, ValueType
from .files import TokenizerFiles
from .special import ID_KEYS
from .vocabulary import MAX_TOKENS, Entry, Vocabulary, padding_token, vocabulary_size

__all__ = ["FILE", "load_rwkv", "rwkv_files", "rwkv_special"]

FILE: Final = "rwkv_vocab_v20230424.txt"
_TOKENS: Final = 65536
"""Of the World vocabulary, where config.json does not say."""
_END: Final = "<s>"
_TURN_END: Final = r"\n\n"
_LINE: Final = re.compile(r"""([0-9]{1,7}) (b?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")) ([0-9]{1,7})""")
_ESCAPE: Final = re.compile(r"\\(x[0-9a-f]{2}|.)|[^\\]", re.DOTALL)
_NAMED: Final = {"t": 9, "n": 10, "r": 13}


def load_rwkv(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary | None:
    """The vocabulary of rwkv_vocab_v20230424.txt; None when there is no such file.

    Raises:
        TokenizerError: a line is not what it should be, or there are more tokens than the model has.
        CheckpointError: the file cannot be read.
    """
    text = files.text(FILE)
    if text is None:
        return None
    path = files.path(FILE)
    lines = text.removesuffix("\n").split("\n")
    size = vocabulary_size(config, _TOKENS, files.path("config.json"))
    if len(lines) >= size:
        raise TokenizerError(
            "more tokens than the model has",
            path=path,
            found=len(lines) + 1,
            expected=f"at most vocab_size {size}",
        )
    tokens = [_END, *(_escaped(_token(line, number, path)) for number, line in enumerate(lines, 1))]
    types = [TokenType.CONTROL] + [TokenType.NORMAL] * len(lines)
    padding = range(len(tokens), size)
    tokens += map(padding_token, padding)
    types += [TokenType.UNUSED] * len(padding)
    return Vocabulary("rwkv", None, tokens, types, bounded=False)


def _token(line: str, number: int, path: str) -> bytes:
    """The bytes of a line's token, whose id must be the line's number."""
    found = _LINE.fullmatch(line)
    if found is None or int(found[1]) != number:
        raise TokenizerError(
            f"line {number} is not a token's",
            path=path,
            found=line[:80],
            expected=f"{number}, a Python text or bytes, and their length",
        )
    try:
        value = ast.literal_eval(found[2])
        token = value if isinstance(value, bytes) else value.encode()
    except (ValueError, SyntaxError) as error:
        raise TokenizerError(
            f"line {number} has a token that is no Python literal", path=path, found=line[:80]
        ) from error
    if len(token) != int(found[3]):
        raise TokenizerError(
            f"line {number} has a token of another length",
            path=path,
            found=len(token),
            expected=int(found[3]),
        )
    return bytes(token)


def _escaped(token: bytes) -> str:
    return repr(token)[2:-1]


def rwkv_special(entries: Iterable[Entry], tokens: Sequence[str]) -> Iterator[Entry]:
    """What is special, where a blank line ends a turn, and token 0 begins and ends a text.

    Args:
        entries: what the files say.
        tokens: the vocabulary, as GGUF has it.
    """
    said = {key: (kind, value) for key, kind, value in entries}
    ids = {key: said.pop(key) for key in ID_KEYS.values() if key in said}
    turn_end = next((i for i, token in enumerate(tokens) if token == _TURN_END), None)
    if turn_end is not None:
        ids.setdefault(ID_KEYS["eot"], (ValueType.UINT32, turn_end))
    for role in ("bos", "eos"):
        ids[ID_KEYS[role]] = ValueType.UINT32, 0
    for key, (kind, value) in (ids | said).items():
        yield key, kind, value


def rwkv_files(metadata: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The vocabulary's file, and what tokenizer_config.json says.

    Raises:
        TokenizerError: the vocabulary is incomplete, or not one of RWKV's.
    """
    tokens, types = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, Array) or not isinstance(types, Array) or len(tokens) != len(types):
        raise TokenizerError("the vocabulary is incomplete", key="tokenizer.ggml.tokens")
    if len(tokens) > MAX_TOKENS:
        raise TokenizerError("too many tokens", key="tokenizer.ggml.tokens", found=len(tokens))
    lines = [_line(*entry) for entry in _listed(list(tokens), list(types))]
    config: dict[str, Any] = {
        "add_prefix_space": False,
        "tokenizer_class": "RwkvTokenizer",
        "use_fast": False,
    }
    template = metadata.get("tokenizer.chat_template")
    if isinstance(template, str):
        config["chat_template"] = template
    return "".join(lines).encode(), config


def _listed(tokens: list[Any], types: list[Any]) -> Iterator[tuple[int, str]]:
    """Ids and texts of the tokens the file has: all but the first and the padding at the end."""
    end = len(tokens)
    while end and types[end - 1] == TokenType.UNUSED:
        end -= 1
    for token_id, (token, kind) in enumerate(zip(tokens[:end], types, strict=False)):
        expected = TokenType.NORMAL if token_id else TokenType.CONTROL
        if not isinstance(token, str) or kind != expected or (token_id == 0 and token != _END):
            raise TokenizerError(
                f"token {token_id} has no place in RWKV's vocabulary file",
                key="tokenizer.ggml.tokens",
                found=f"{token!r} of type {kind}",
                expected=f"{_END} first, then normal tokens",
            )
        if token_id:
            yield token_id, token


def _line(token_id: int, text: str) -> str:
    token = _unescaped(token_id, text)
    try:
        spelled = repr(token.decode())
    except UnicodeDecodeError:
        spelled = repr(token)
    return f"{token_id} {spelled} {len(token)}\n"


def _unescaped(token_id: int, text: str) -> bytes:
    made, at = bytearray(), 0
    for part in _ESCAPE.finditer(text):
        if part.start() != at:
            break
        at, escape = part.end(), part[1]
        if escape is None:
            made += part[0].encode("utf-8", "surrogateescape")
        elif len(escape) == 3:
            made.append(int(escape[1:], 16))
        else:
            made += bytes([_NAMED[escape]]) if escape in _NAMED else escape.encode()
    if at != len(text) or _escaped(bytes(made)) != text:
        raise TokenizerError(
            f"token {token_id} is not spelled as Python spells bytes",
            key="tokenizer.ggml.tokens",
            found=text[:80],
        )
    return bytes(made)
