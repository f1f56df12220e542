# ruff: noqa: E501 - a case a line reads as a table
"""Tokenizer files: class 40. `tests.tokenizers.test_malformed` goes through every single value besides."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gguf_tools.checkpoint.json_files import MAX_JSON_BYTES
from gguf_tools.errors import GGUFToolsError
from gguf_tools.tokenizers import export
from gguf_tools.tokenizers.vocabulary import MAX_TOKENS
from tests.hostile.case import Case, Refused
from tests.tokenizers.sentencepiece_files import field, piece, text
from tests.tokenizers.tekken import Tekken, token
from tests.tokenizers.variants import ARCHITECTURE, Draft, added, loaded, write

__all__ = ["CASES"]


def _load(base: str) -> Callable[[Path], None]:
    return lambda path: _used(path, ARCHITECTURE[base])


def _used(path: Path, architecture: str) -> None:
    """Load a vocabulary and write it out again."""
    export(loaded(path, architecture))


def _edited(
    name: str, change: Callable[[Draft], Any], message: str, base: str = "llama", honest: str = ""
) -> Case:
    """A tiny tokenizer with a change to its documents."""

    def make(folder: Path) -> Path:
        draft = Draft(base, folder / "tokenizer")
        change(draft)
        return draft.save()

    return Case(f"40 {name}", make, _load(base), Refused(GGUFToolsError, message), honest)


def _replaced(name: str, file: str, data: bytes | int, message: str, base: str = "llama") -> Case:
    """A tiny tokenizer with other bytes in a file, or a hole of a size."""

    def make(folder: Path) -> Path:
        directory = Draft(base, folder / "tokenizer").save()
        if isinstance(data, bytes):
            (directory / file).write_bytes(data)
        else:
            os.truncate(directory / file, data)
        return directory

    return Case(f"40 {name}", make, _load(base), Refused(GGUFToolsError, message))


def _tekken(name: str, change: Callable[[Tekken], Any], message: str) -> Case:
    def make(folder: Path) -> Path:
        tekken = Tekken()
        change(tekken)
        return tekken.save(folder / "tokenizer")

    return Case(f"40 tekken.json, {name}", make, _load("mistral"), Refused(GGUFToolsError, message))


def _replaced_tekken(name: str, changes: dict[str, Any]) -> Case:
    def make(folder: Path) -> Path:
        directory = Tekken().save(folder / "tokenizer")
        write(directory / "tekken.json", Tekken().document | changes)
        return directory

    return Case(f"40 tekken.json, {name}", make, _load("mistral"), Refused(GGUFToolsError, "."))


def _vocab(key: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.vocab.update({key: value})


def _merge(value: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.tokenizer["model"]["merges"].insert(3, value)


def _model(key: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.tokenizer["model"].update({key: value})


def _many_tokens(draft: Draft) -> None:
    draft.tokenizer["model"]["vocab"] = {f"t{i}": i for i in range(MAX_TOKENS + 1)}


def _nested(key: str, inner: str) -> bytes:
    return f'{{"{key}": '.encode() + f'{{"type": "Sequence", "{inner}": ['.encode() * 50_000


_SP = "tokenizer.model"

CASES = (
    *(_edited(f"id {value!r}", _vocab("Ġthe", value), "a token's id is unusable") for value in (-1, 1 << 31, 1 << 64, 1.0, True, None, "7", [7], MAX_TOKENS)),
    _edited("two tokens of one id", _vocab("Ġthe", 0), "two tokens have the same id"),
    *(_edited(f"added id {value!r}", lambda draft, value=value: draft.tokenizer["added_tokens"].append({"id": value} | added("<x>")), "a token's id is unusable") for value in (-1, 1 << 31, "7", [7])),
    _edited("added token at another id", lambda draft: draft.tokenizer["added_tokens"].append({"id": 0} | added("<x>")), "another id than the file says"),
    _edited("ids beyond the model", lambda draft: draft.config.update(vocab_size=3), "beyond the model's vocabulary"),
    _edited("half a character", lambda draft: draft.files.update({"tokenizer.json": json.dumps(draft.tokenizer).replace('"\\u0120the":', '"\\udc00":')}), "lone surrogate"),
    *(_edited(f"merge {value!r}", _merge(value), "merge 3") for value in ("h nowhere", "he", "h e l", "", ["h"], ["h", 7], 7, None, {"h": "e"})),
    *(_edited(f"merges {value!r}", _model("merges", value), "must be a list") for value in ({}, "h e", 7)),
    *(_edited(f"vocab {value!r}", _model("vocab", value), "not a table of tokens") for value in (None, [], "x", 7)),
    *(_edited(f"model type {value!r}", _model("type", value), "kind") for value in ("WordPiece", "Unigram", 7, {})),
    *(_edited(f"vocab_size {value!r}", lambda draft, value=value: draft.config.update(vocab_size=value), "vocabulary size is unusable") for value in (0, -1, 1 << 62, "512", True)),
    *(_edited(f"added_tokens_decoder {key[:12]!r}", lambda draft, key=key: draft.settings["added_tokens_decoder"].update({key: added("<x>")}), "a token's id is unusable") for key in ("-1", "x", "", "9" * 5000)),
    _edited("more tokens than any model has", _many_tokens, "too many|unusable|at most", honest="20 MB of JSON, as Gemma's real tokenizer.json is"),
    _edited("decoders that multiply a text", lambda draft: draft.tokenizer.update(decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "<"}, "content": "<<"}] * 60}), "too long a text"),
    _edited("100,000 decoders", lambda draft: draft.tokenizer.update(decoder={"type": "Sequence", "decoders": [{"type": "Fuse"}] * 100_000}), "too many decoders"),
    *(_replaced(f"tokenizer.json {name}", "tokenizer.json", data, ".") for name, data in (
        ("empty", b""), ("cut", b'{"model": {"vo'), ("a list", b"[]"), ("null", b"null"), ("UTF-16", b"\xff\xfe{}"), ("with a tail", b"{} x"),
        ("of zeros", bytes(64)), ("an LFS pointer", b"version https://git-lfs.github.com/spec/v1\n"), ("HTML", b"<!DOCTYPE html>"), ("lists nested deeply", b"[" * 100_000),
        ("decoders nested deeply", _nested("decoder", "decoders")), ("normalizers nested deeply", _nested("normalizer", "normalizers")), ("a number of 5,000 digits", b"1" * 5000))),
    *(_replaced(f"{file} of 10^7 entries", file, MAX_JSON_BYTES + 1, "too large", base) for file, base in (("tokenizer.json", "llama"), (_SP, "mistral"), ("tokenizer_config.json", "llama"))),
    *(_replaced(f"tokenizer.model {name}", _SP, data, message, "mistral") for name, data, message in (
        ("empty", b"", "no pieces"), ("cut in a piece", piece()[:-1], "ends beyond"), ("cut in a number", piece() + b"\x80", "cut off inside a number"),
        ("with a number without end", piece() + b"\x80" * 20, "over 70 bits"), ("with a length of 2^62", text(1, b"abc", 1 << 62), "ends beyond"),
        ("with 100,000 lying lengths", text(1, b"x", 1 << 40) * 100_000, "ends beyond"), ("with field 0", field(0, 0, b"\1"), "field 0"), ("with a group", field(3, 3), "wire type"),
        ("with type 7", piece(kind=7), "unknown type"), ("not UTF-8", piece(b"\xff"), "not UTF-8"), ("an LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", "LFS"), ("of zeros", bytes(100), "zeros"))),
    *(_tekken(f"rank {value!r}", lambda tekken, value=value: tekken.vocab.__setitem__(5, tekken.vocab[5] | {"rank": value}), ".") for value in (-1, 1 << 40, "5", None, 4)),
    *(_tekken(f"bytes {value!r}", lambda tekken, value=value: tekken.vocab.__setitem__(270, tekken.vocab[270] | {"token_bytes": value}), ".") for value in ("???", "", 7, None, [], "é")),
    *(_tekken(f"{key} {value!r}", lambda tekken, key=key, value=value: tekken.config.update({key: value}), ".") for key in ("default_vocab_size", "default_num_special_tokens") for value in (-1, 1 << 62, "5", None, True, 2.5)),
    _replaced_tekken("no vocabulary", {"vocab": None}),
    _replaced_tekken("no settings", {"config": None}),
    _replaced_tekken("a vocabulary of numbers", {"vocab": [1, 2, 3]}),
    _tekken("a token of 100,000 bytes", lambda tekken: tekken.vocab.__setitem__(270, token(270, b"x" * 100_000)), "."),
)  # fmt: skip
