"""A small tekken.json for tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from gguf_tools.tokenizers.pretokenizers import by_name
from tests.tokenizers.variants import Json, write

PATTERN = by_name("tekken", "gpt2").pre_tokenizer["pretokenizers"][0]["pattern"]["Regex"]
SPECIAL = 24
WORDS = (
    "th",
    "he",
    "the",
    " t",
    " th",
    " the",
    "in",
    "ing",
    "é",
    "中",
    "an",
    "and",
    "\n\n",
    "  ",
    "    ",
    " an",
)
"""What is learnt beyond the bytes; each can be put together of bytes and earlier ones."""


def token(rank: int, data: bytes) -> Json:
    """An entry of ``vocab``."""
    try:
        text: str | None = data.decode()
    except UnicodeDecodeError:
        text = None
    return {"rank": rank, "token_bytes": base64.b64encode(data).decode(), "token_str": text}


class Tekken:
    """A document to edit; `save` writes it. Of its 24 special tokens 4 have no name."""

    def __init__(self) -> None:
        pieces = [bytes([byte]) for byte in range(256)]
        pieces += [b"\xe4\xb8", *(word.encode() for word in WORDS)]
        pieces += [bytes([97, letter]) for letter in range(98, 98 + 24)]
        pieces = list(dict.fromkeys(pieces))
        self.document: Json = {
            "vocab": [token(rank, data) for rank, data in enumerate(pieces)],
            "config": {
                "pattern": PATTERN,
                "num_vocab_tokens": len(pieces),
                "default_vocab_size": SPECIAL + len(pieces),
                "default_num_special_tokens": SPECIAL,
                "version": "v3",
            },
        }

    @property
    def config(self) -> Json:
        config: Json = self.document["config"]
        return config

    @property
    def vocab(self) -> list[Any]:
        vocab: list[Any] = self.document["vocab"]
        return vocab

    def save(self, directory: Path) -> Path:
        """Write it and a config.json with as many tokens; returns the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        write(directory / "tekken.json", self.document)
        if not (directory / "config.json").exists():
            write(directory / "config.json", {"vocab_size": SPECIAL + len(self.vocab)})
        return directory
