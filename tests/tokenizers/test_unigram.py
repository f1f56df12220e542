"""Unigram vocabularies: both kinds of files say the same, and what is wrong with one is told."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.errors import TokenizerError
from gguf_tools.spec import TokenType, ValueType
from gguf_tools.tokenizers import export, load
from tests import tiny
from tests.tokenizers.variants import Draft, added, differing, traits

ADDS = "tokenizer.ggml.add_space_prefix"
MERGES = "tokenizer.ggml.remove_extra_whitespaces"
CHARSMAP = "tokenizer.ggml.precompiled_charsmap"


def types(metadata: Metadata) -> list[TokenType]:
    return [TokenType(kind) for kind in metadata["tokenizer.ggml.token_type"]]


def of_json(name: str, directory: Path) -> Draft:
    """A tiny checkpoint's tokenizer without its SentencePiece model."""
    draft = Draft(name, directory)
    draft.files |= {"spiece.model": None, "sentencepiece.bpe.model": None}
    return draft


def test_t5_says_the_same_in_both_files(tmp_path: Path) -> None:
    ours, expected = of_json("t5", tmp_path / "json").load(), Draft("t5", tmp_path / "model").load()
    # merging spaces puts one in front, so the runtime does not ask
    assert differing(ours, expected) == {ADDS: ((ValueType.BOOL, False), (ValueType.BOOL, True))}
    assert expected[MERGES] is True
    assert len(expected[CHARSMAP]) > 1000


def test_xlm_roberta_says_the_same_in_both_files(tmp_path: Path) -> None:
    ours = of_json("xlm-roberta", tmp_path / "json").load()
    expected = Draft("xlm-roberta", tmp_path / "model").load()
    assert differing(ours, expected) == {ADDS: ((ValueType.BOOL, False), (ValueType.BOOL, True))}
    assert list(expected["tokenizer.ggml.tokens"])[:5] == ["<s>", "<pad>", "</s>", "<unk>", "▁"]
    assert list(expected["tokenizer.ggml.tokens"])[-3:] == ["<mask>", "[PAD262]", "[PAD263]"]
    assert types(expected)[:4] == [TokenType.CONTROL] * 3 + [TokenType.UNKNOWN]


def test_a_tokenizer_without_mask_gets_none(tmp_path: Path) -> None:
    draft = Draft("xlm-roberta", tmp_path)
    draft.settings["mask_token"] = None
    assert "<mask>" not in draft.load()["tokenizer.ggml.tokens"]


@pytest.mark.parametrize(
    ("pre_tokenizer", "prefix", "clean", "adds", "merges"),
    [
        (
            [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "prepend_scheme": "always"}],
            None,
            False,
            False,
            True,
        ),
        ({"type": "Metaspace", "prepend_scheme": "always"}, None, True, False, True),
        ({"type": "Metaspace", "prepend_scheme": "always"}, None, False, True, False),
        ({"type": "Metaspace", "add_prefix_space": True}, None, False, True, False),
        ({"type": "Metaspace", "prepend_scheme": "never"}, None, False, False, False),
        ({"type": "Metaspace", "prepend_scheme": "never"}, True, False, True, False),
    ],
)
def test_spaces_are_read_from_the_structure(
    pre_tokenizer: Any, prefix: bool | None, clean: bool, adds: bool, merges: bool, tmp_path: Path
) -> None:
    draft = of_json("xlm-roberta", tmp_path)
    if isinstance(pre_tokenizer, list):
        pre_tokenizer = {"type": "Sequence", "pretokenizers": pre_tokenizer}
    draft.tokenizer["pre_tokenizer"] = pre_tokenizer
    draft.settings["clean_up_tokenization_spaces"] = clean
    if prefix is not None:
        draft.settings["add_prefix_space"] = prefix
    metadata = draft.load()
    assert (metadata[ADDS], metadata[MERGES]) == (adds, merges)
    exported = export(metadata)["tokenizer.json"]
    assert (b'"prepend_scheme": "always"' in exported) is (adds or merges)


def test_tokens_after_the_models_are_kept(tmp_path: Path) -> None:
    draft = of_json("t5", tmp_path)
    draft.tokenizer["added_tokens"].append({"id": 280} | added("<extra_id_0>"))
    draft.config["vocab_size"] = 284
    metadata = draft.load()
    assert list(metadata["tokenizer.ggml.tokens"])[280:] == [
        "<extra_id_0>",
        "[PAD281]",
        "[PAD282]",
        "[PAD283]",
    ]
    assert types(metadata)[280:] == [TokenType.USER_DEFINED] + [TokenType.UNUSED] * 3


def test_added_tokens_beside_a_model(tmp_path: Path) -> None:
    draft = Draft("t5", tmp_path)
    draft.files["added_tokens.json"] = {"<new>": 281, "<beyond>": 300}
    metadata = draft.load()
    assert metadata["tokenizer.ggml.tokens"][281] == "<new>"
    assert types(metadata)[280:283] == [TokenType.UNUSED, TokenType.USER_DEFINED, TokenType.UNUSED]


def test_bytes_are_known_where_the_model_falls_back_to_them(tmp_path: Path) -> None:
    draft = of_json("t5", tmp_path)
    draft.tokenizer["model"]["vocab"][10][0] = "<0x41>"
    assert types(draft.load())[10] is TokenType.NORMAL
    draft.tokenizer["model"]["byte_fallback"] = True
    metadata = draft.load()
    assert types(metadata)[10] is TokenType.BYTE
    assert b'"byte_fallback": true' in export(metadata)["tokenizer.json"]


def test_a_bpe_model_is_no_unigram(tmp_path: Path) -> None:
    """Pile-T5's tokenizer.model is Llama's."""
    metadata = load(
        tiny.TOKENIZERS / "llama2", {"vocab_size": 512}, kinds=("unigram", "spm"), traits=traits("t5")
    )
    assert metadata["tokenizer.ggml.model"] == "llama"


def without(draft: Draft, *keys: str) -> Metadata:
    metadata = draft.load()
    for key in keys:
        del metadata[key]
    return metadata


def test_a_file_that_says_little_is_exported_as_the_runtime_takes_it(tmp_path: Path) -> None:
    document = export(without(Draft("t5", tmp_path), ADDS, MERGES, CHARSMAP))["tokenizer.json"]
    assert b"Precompiled" not in document
    assert b'"prepend_scheme": "never"' in document


def test_a_character_map_of_signed_bytes_is_one(tmp_path: Path) -> None:
    metadata = Draft("t5", tmp_path).load()
    expected = export(metadata)
    signed = [value - 256 if value > 127 else value for value in metadata[CHARSMAP]]
    metadata.set(CHARSMAP, Array(ValueType.INT8, signed), ValueType.ARRAY)
    assert export(metadata) == expected
    metadata.set(CHARSMAP, Array(ValueType.INT32, signed), ValueType.ARRAY)
    with pytest.raises(TokenizerError, match="not a list of bytes"):
        export(metadata)


def _vocab(draft: Draft, entry: Any) -> None:
    draft.tokenizer["model"]["vocab"][5] = entry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda draft: _vocab(draft, ["x"]), "not a pair of a token and its score"),
        (lambda draft: _vocab(draft, ["x", "y"]), "not a pair of a token and its score"),
        (lambda draft: _vocab(draft, ["x", True]), "not a pair of a token and its score"),
        (lambda draft: _vocab(draft, ["x", float("inf")]), "not a pair of a token and its score"),
        (lambda draft: _vocab(draft, "x"), "not a pair of a token and its score"),
        (lambda draft: _vocab(draft, ["<unk>", -1.0]), "two tokens have the same text"),
        (lambda draft: draft.tokenizer["model"].update(vocab=[]), "has no tokens"),
        (lambda draft: draft.tokenizer["model"].update(vocab={"a": 0}), "must be a list"),
        (lambda draft: draft.tokenizer.update(normalizer={"type": "Lowercase"}), "GGUF cannot express"),
        (
            lambda draft: draft.tokenizer.update(
                normalizer={"type": "Precompiled", "precompiled_charsmap": "no base64"}
            ),
            "not base64",
        ),
        (
            lambda draft: draft.tokenizer.update(
                normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
            ),
            "GGUF cannot express",
        ),
    ],
)
def test_files_that_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    draft = of_json("t5", tmp_path)
    change(draft)
    with pytest.raises(TokenizerError, match=message) as caught:
        draft.load()
    assert "tokenizer.json" in str(caught.value)


def test_the_character_map_is_that_of_the_files(tmp_path: Path) -> None:
    draft = Draft("t5", tmp_path)
    (precompiled, *_) = draft.tokenizer["normalizer"]["normalizers"]
    expected = base64.b64decode(precompiled["precompiled_charsmap"])
    assert bytes(draft.load()[CHARSMAP]) == expected
