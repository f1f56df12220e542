"""What an exported tokenizer.json says of a Unigram vocabulary."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType, ValueType
from .export_vocab import Spelling

__all__ = ["metaspace", "model", "normalizer"]

Json: TypeAlias = Mapping[str, Any]

_CHARSMAP = "tokenizer.ggml.precompiled_charsmap"


def normalizer(spelling: Spelling) -> Json | None:
    """The character map; then trailing spaces are cut and runs of others become one."""
    parts: list[Json] = []
    if charsmap := _charsmap(spelling.metadata.get(_CHARSMAP)):
        parts.append(
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode("ascii")}
        )
    if spelling.merges_spaces:
        parts.append({"type": "Strip", "strip_left": False, "strip_right": True})
        parts.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"})
    return {"type": "Sequence", "normalizers": parts} if parts else None


def metaspace(spelling: Spelling) -> Json:
    """The pre-tokenizer and the decoder: spaces as ▁, and one in front."""
    prefixed = spelling.adds_space or spelling.merges_spaces  # as the runtime has it
    scheme = "always" if prefixed else "never"
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}


def model(spelling: Spelling) -> Json:
    """Every token but the padding at the end, with its score."""
    scores = spelling.scores or ()
    end = len(spelling.texts)
    while end and end - 1 in spelling.padding:
        end -= 1
    unknown = TokenType.UNKNOWN in spelling.types[:end]
    return {
        "type": "Unigram",
        "unk_id": spelling.types.index(TokenType.UNKNOWN) if unknown else None,
        "vocab": [[spelling.texts[i], scores[i]] for i in range(end)],
        "byte_fallback": TokenType.BYTE in spelling.types,
    }


def _charsmap(stored: Any) -> bytes:
    if stored is None:
        return b""
    if not isinstance(stored, Array) or stored.element_type not in (ValueType.UINT8, ValueType.INT8):
        kind = stored.element_type.name if isinstance(stored, Array) else type(stored).__name__
        raise TokenizerError("not a list of bytes", key=_CHARSMAP, found=kind)
    return np.array(stored, np.int16).astype(np.uint8).tobytes()
