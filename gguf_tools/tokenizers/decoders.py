"""What decoding makes of one added token: ``decode(encode(token))`` of a tokenizer.json.

llama.cpp's converter stores added tokens that are matched before normalization in the spelling they are
decoded to, because the runtime prints a token's text as it stands. Decoders are those of the ``tokenizers``
package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from ..errors import TokenizerError
from .byte_level import to_bytes

__all__ = ["MAX_CHARACTERS", "MAX_DECODERS", "decoded", "decoder_parts"]

MAX_DECODERS: Final = 64
"""Published tokenizers have up to five; each is applied to every added token."""

MAX_CHARACTERS: Final = 1 << 14
"""Of an added token, also while it is decoded: a few replacements could otherwise fill the memory."""

_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_CLEANUP: Final = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip
_WORDPIECE_CLEANUP: Final = (*_CLEANUP, (" do not", " don't"))


def decoder_parts(decoder: Any, path: str) -> Sequence[Mapping[str, Any]]:
    """The decoders a ``decoder`` of tokenizer.json consists of, in order.

    Args:
        decoder: the value, or None.
        path: of the file, for errors.

    Raises:
        TokenizerError: there are more than `MAX_DECODERS`.
    """
    parts = list(islice(_flat(decoder), MAX_DECODERS + 1))
    if len(parts) > MAX_DECODERS:
        raise TokenizerError(
            "there are too many decoders", path=path, key="decoder", expected=f"at most {MAX_DECODERS}"
        )
    return parts


def decoded(text: str, parts: Sequence[Mapping[str, Any]], *, clean_up: bool) -> str:
    """The text a token that stands alone is decoded to.

    Args:
        text: the token.
        parts: of the decoder; those without effect on a lone token are passed over.
        clean_up: ``clean_up_tokenization_spaces`` of tokenizer_config.json.

    Raises:
        TokenizerError: it, or what comes of it, is longer than `MAX_CHARACTERS`.
    """
    _check_length(len(text), text)
    for part in parts:
        text = _decode(text, part)
    return _replace_all(text, _CLEANUP) if clean_up else text


def _flat(decoder: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(decoder, Mapping):
        return
    inner = decoder.get("decoders")
    if decoder.get("type") == "Sequence" and isinstance(inner, list):
        for part in inner:
            yield from _flat(part)
    else:
        yield decoder


def _decode(text: str, decoder: Mapping[str, Any]) -> str:
    match decoder.get("type"):
        case "ByteLevel":
            data = to_bytes(text)
            return text if data is None else data.decode("utf-8", "replace")
        case "ByteFallback":
            if byte := _BYTE.fullmatch(text):
                return bytes([int(byte[1], 16)]).decode("utf-8", "replace")
        case "Replace" if isinstance(decoder.get("pattern"), Mapping):
            pattern, content = decoder["pattern"].get("String"), decoder.get("content")
            if isinstance(pattern, str) and pattern and isinstance(content, str):
                return _replace(text, pattern, content)
        case "Strip" if isinstance(decoder.get("content"), str) and decoder["content"]:
            return _strip(text, decoder["content"], _count(decoder, "start"), _count(decoder, "stop"))
        case "Metaspace":
            # the first token of a text loses the space that was put before it
            text = text.replace(str(decoder.get("replacement") or "▁"), " ")
            prefixed = decoder.get("prepend_scheme", "always") != "never"
            return text.removeprefix(" ") if prefixed else text
        case "WordPiece" if decoder.get("cleanup", True):
            return _replace_all(text, _WORDPIECE_CLEANUP)
    return text


def _replace(text: str, pattern: str, content: str) -> str:
    _check_length(len(text) + text.count(pattern) * (len(content) - len(pattern)), text)
    return text.replace(pattern, content)


def _check_length(length: int, text: str) -> None:
    if length > MAX_CHARACTERS:
        raise TokenizerError(
            "an added token stands for too long a text",
            key=text,
            found=f"{length} characters",
            expected=f"at most {MAX_CHARACTERS}",
        )


def _strip(text: str, letter: str, start: int, stop: int) -> str:
    while start > 0 and text.startswith(letter):
        text, start = text[len(letter) :], start - 1
    while stop > 0 and text.endswith(letter):
        text, stop = text[: -len(letter)], stop - 1
    return text


def _count(decoder: Mapping[str, Any], key: str) -> int:
    value = decoder.get(key)
    return value if isinstance(value, int) else 0


def _replace_all(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text
