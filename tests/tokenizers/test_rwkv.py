"""RWKV's World vocabulary, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_tools.container.metadata import Array
from gguf_tools.errors import TokenizerError
from gguf_tools.spec import TokenType, ValueType
from gguf_tools.tokenizers import export, load
from gguf_tools.tokenizers.rwkv import FILE
from tests import tiny
from tests.tokenizers.variants import Draft, traits, write

VOCABULARY = tiny.TOKENIZERS / "rwkv" / FILE


def loaded(directory: Path, text: str, **config: Any) -> Any:
    (directory / FILE).write_bytes(text.encode())
    write(directory / "config.json", config)
    return load(directory, config, kinds=("rwkv",), traits=traits("rwkv7"))


def spelled(tokens: list[bytes]) -> str:
    """The file's lines."""
    lines = []
    for number, token in enumerate(tokens, 1):
        try:
            literal = repr(token.decode())
        except UnicodeDecodeError:
            literal = repr(token)
        lines.append(f"{number} {literal} {len(token)}\n")
    return "".join(lines)


def test_tokens_are_escaped_bytes_and_the_rest_is_padding(tmp_path: Path) -> None:
    metadata = loaded(tmp_path, VOCABULARY.read_text(encoding="utf-8"), vocab_size=460)
    tokens, types = list(metadata["tokenizer.ggml.tokens"]), list(metadata["tokenizer.ggml.token_type"])
    assert tokens[:3] == ["<s>", r"\x00", r"\x01"]
    assert tokens[11] == r"\n"
    assert tokens[40] == "'"
    assert tokens[93] == r"\\"
    assert tokens[256] == r"\xff"
    assert tokens[261] == r"\n\n"
    assert r"\xe4\xb8\x96\xe7\x95\x8c" in tokens
    assert tokens[-1] == "[PAD459]"
    assert types[0] == TokenType.CONTROL
    assert set(types[1:453]) == {TokenType.NORMAL}
    assert set(types[453:]) == {TokenType.UNUSED}
    assert "tokenizer.ggml.pre" not in metadata


def test_a_blank_line_ends_a_turn_and_no_template_is_made_up(tmp_path: Path) -> None:
    metadata = loaded(
        tmp_path, VOCABULARY.read_text(encoding="utf-8"), vocab_size=460, bos_token_id=1, pad_token_id=3
    )
    ids = {
        key.removeprefix("tokenizer.ggml."): value
        for key, value in metadata.items()
        if key.endswith("_token_id")
    }
    assert ids == {"bos_token_id": 0, "eos_token_id": 0, "padding_token_id": 3, "eot_token_id": 261}
    assert "tokenizer.chat_template" not in metadata


def test_the_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    files = export(Draft("rwkv7", tmp_path).load())
    assert files[FILE] == VOCABULARY.read_bytes()
    assert b'"chat_template"' in files["tokenizer_config.json"]
    assert "tokenizer.json" not in files


@given(tokens=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=30))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, tokens: list[bytes]) -> None:
    text = spelled(tokens)
    metadata = loaded(tmp_path_factory.mktemp("rwkv"), text, vocab_size=64)
    assert export(metadata)[FILE].decode() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is not a token's"),
        ("1 'a' 1\n3 'b' 1\n", "line 2 is not a token's"),
        ("1 'a' 2\n", "line 1 has a token of another length"),
        ("1 'a'\n", "line 1 is not a token's"),
        ("1 a 1\n", "line 1 is not a token's"),
        ("1 'a' + 'b' 2\n", "line 1 is not a token's"),
        ("1 __import__('os') 1\n", "line 1 is not a token's"),
        ("1 '\\x1' 1\n", "line 1 has a token that is no Python literal"),
        ("1 b'é' 2\n", "line 1 has a token that is no Python literal"),
        ("1 '\\ud800' 3\n", "line 1 has a token that is no Python literal"),
        ("1 'a' 1\n\n", "line 2 is not a token's"),
        ("".join(f"{i} 'a' 1\n" for i in range(1, 9)), "more tokens than the model has"),
    ],
)
def test_files_that_are_no_vocabulary_are_errors(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=message) as caught:
        loaded(tmp_path, text, vocab_size=8)
    assert str(caught.value.path).endswith(FILE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=FILE):
        load(tmp_path, {}, kinds=("rwkv",), traits=traits("rwkv6"))


@pytest.mark.parametrize(
    ("tokens", "types", "message"),
    [
        (["<s>", "a"], [3], "the vocabulary is incomplete"),
        (["a", "b"], [3, 1], "token 0 has no place"),
        (["<s>", "a"], [1, 1], "token 0 has no place"),
        (["<s>", "a", "b"], [3, 5, 1], "token 1 has no place"),
        (["<s>", r"\q"], [3, 1], "token 1 is not spelled"),
        (["<s>", "é"], [3, 1], "token 1 is not spelled"),
        (["<s>", "a\\"], [3, 1], "token 1 is not spelled"),
        (["<s>", r"\x41"], [3, 1], "token 1 is not spelled"),
    ],
)
def test_vocabularies_of_other_kinds_are_not_exported(
    tokens: list[str], types: list[int], message: str
) -> None:
    metadata = {
        "tokenizer.ggml.model": "rwkv",
        "tokenizer.ggml.tokens": Array(ValueType.STRING, tokens),
        "tokenizer.ggml.token_type": Array(ValueType.INT32, types),
    }
    with pytest.raises(TokenizerError, match=message):
        export(metadata)
