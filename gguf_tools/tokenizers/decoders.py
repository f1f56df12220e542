"""What decoding makes of one added token: ``decode(encode(token))`` of a tokenizer.json.

llama.cpp's converter stores added tokens that are matched before normalization in the spelling they are
decoded to, because the runtime prints a token's text as it stands. Decoders are those of the ``tokenizers``
package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .byte_level import to_bytes

__all__ = ["decoded"]

_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_CLEANUP: Final = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip
_WORDPIECE_CLEANUP: Final = (*_CLEANUP, (" do not", " don't"))


def decoded(text: str, decoder: Any, *, clean_up: bool) -> str:
    """The text a token that stands alone is decoded to.

    Args:
        text: the token.
        decoder: ``decoder`` of tokenizer.json; decoders without effect on a lone token are passed over.
        clean_up: ``clean_up_tokenization_spaces`` of tokenizer_config.json.
    """
    text = _decode(text, decoder)
    return _replace_all(text, _CLEANUP) if clean_up else text


def _decode(text: str, decoder: Any) -> str:
    if not isinstance(decoder, Mapping):
        return text
    match decoder.get("type"):
        case "Sequence" if isinstance(decoder.get("decoders"), list):
            for part in decoder["decoders"]:
                text = _decode(text, part)
        case "ByteLevel":
            data = to_bytes(text)
            return text if data is None else data.decode("utf-8", "replace")
        case "ByteFallback":
            if byte := _BYTE.fullmatch(text):
                return bytes([int(byte[1], 16)]).decode("utf-8", "replace")
        case "Replace" if isinstance(decoder.get("pattern"), Mapping):
            pattern, content = decoder["pattern"].get("String"), decoder.get("content")
            if isinstance(pattern, str) and isinstance(content, str):
                return text.replace(pattern, content)
        case "Strip" if isinstance(decoder.get("content"), str):
            return _strip(text, decoder["content"], _count(decoder, "start"), _count(decoder, "stop"))
        case "Metaspace":
            # the first token of a text loses the space that was put before it
            text = text.replace(str(decoder.get("replacement", "▁")), " ")
            prefixed = decoder.get("prepend_scheme", "always") != "never"
            return text.removeprefix(" ") if prefixed else text
        case "WordPiece" if decoder.get("cleanup", True):
            return _replace_all(text, _WORDPIECE_CLEANUP)
    return text


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
