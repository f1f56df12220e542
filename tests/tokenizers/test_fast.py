"""Vocabularies of tokenizer.json and tokenizer.model: texts, types, scores, merges.

That llama.cpp's converter sees it the same way is tested in tests/parity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gguf_tools.container.metadata import Metadata
from gguf_tools.errors import TokenizerError
from gguf_tools.spec import TokenType, ValueType
from gguf_tools.tokenizers.decoders import decoded, decoder_parts
from gguf_tools.tokenizers.sentencepiece import Piece, PieceType, write_model
from tests.tokenizers.variants import Draft, Json, added, loaded, write

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = TokenType
EOT = "<|eot_id|>"
FIRST = 525
"""Id of the first token after those of the tiny byte-level tokenizer."""


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    """A byte-level tokenizer with room for more tokens."""
    made = Draft("llama", tmp_path)
    made.config["vocab_size"] = 540
    return made


def tokens(metadata: Metadata, first: int = FIRST, count: int = 1) -> list[tuple[str, TokenType]]:
    """Texts and types of some tokens."""
    texts, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    return [(texts[place], TokenType(types[place])) for place in range(first, first + count)]


def test_types_of_values(draft: Draft, tmp_path: Path) -> None:
    metadata = draft.load()
    spm = Draft("mistral", tmp_path / "spm").load()
    assert metadata["tokenizer.ggml.tokens"].element_type is ValueType.STRING
    assert metadata["tokenizer.ggml.token_type"].element_type is ValueType.INT32
    assert metadata["tokenizer.ggml.merges"].element_type is ValueType.STRING
    assert spm["tokenizer.ggml.scores"].element_type is ValueType.FLOAT32
    assert "tokenizer.ggml.scores" not in metadata
    assert "tokenizer.ggml.merges" not in spm
    assert metadata["tokenizer.ggml.model"] == "gpt2"
    assert spm["tokenizer.ggml.model"] == "llama"


@pytest.mark.parametrize(
    ("content", "special", "normalized", "expected"),
    [
        ("<tool>", True, False, ("<tool>", CONTROL)),
        ("<tool>", False, False, ("<tool>", USER)),
        ("<tool>", False, True, ("<tool>", USER)),
        # control tokens by their looks
        ("<|tool|>", False, False, ("<|tool|>", CONTROL)),
        ("<|tool|>", False, True, ("<|tool|>", CONTROL)),
        ("<｜tool｜>", False, False, ("<｜tool｜>", CONTROL)),
        ("<unused7>", False, False, ("<unused7>", CONTROL)),
        ("<pad>", False, False, ("<pad>", CONTROL)),
        ("<mask>", False, False, ("<mask>", CONTROL)),
        ("<2mass>", False, False, ("<2mass>", CONTROL)),
        ("[@BOS@]", False, False, ("[@BOS@]", CONTROL)),
        ("<|tool>", False, False, ("<|tool>", USER)),
        ("<unused", False, False, ("<unused", USER)),
        # not normalized: the text it is decoded to
        ("Ġword", False, False, (" word", USER)),
        ("Ġword", True, False, (" word", CONTROL)),
        ("Ġword", False, True, ("Ġword", USER)),
        ("Ã©", False, False, ("é", USER)),
        ("été", False, False, ("�t�", USER)),
        ("日本", False, False, ("日本", USER)),
        # SentencePiece's space in tokens of the user
        ("▁▁x", False, True, ("  x", USER)),
        ("▁▁x", False, False, ("  x", USER)),
        ("▁▁x", True, False, ("▁▁x", CONTROL)),
    ],
)
def test_added_tokens(
    draft: Draft, content: str, special: bool, normalized: bool, expected: tuple[str, TokenType]
) -> None:
    assert draft.add(content, special=special, normalized=normalized) == FIRST
    assert tokens(draft.load()) == [expected]


def test_an_added_token_of_the_model_keeps_its_id(draft: Draft) -> None:
    place = draft.vocab["Ġthe"]
    draft.tokenizer["added_tokens"].insert(0, {"id": place} | added("Ġthe"))
    metadata = draft.load()
    assert tokens(metadata, place) == [(" the", USER)]
    assert tokens(metadata, 520) == [("<|begin_of_text|>", CONTROL)]


def test_flags_that_are_missing_have_tokenizers_defaults(draft: Draft) -> None:
    draft.tokenizer["added_tokens"] += [
        {"id": 525, "content": "ĠQx"},
        {"id": 526, "content": "ĠQy", "special": True},
    ]
    assert tokens(draft.load(), count=2) == [("ĠQx", USER), (" Qy", CONTROL)]


def test_empty_and_repeated_added_tokens_are_passed_over(draft: Draft) -> None:
    draft.tokenizer["added_tokens"] += [{"id": 525} | added(""), {"id": 526} | added(EOT)]
    draft.tokenizer["added_tokens"].append({"id": 525} | added("<x>"))
    assert tokens(draft.load(), count=2) == [("<x>", USER), ("[PAD526]", UNUSED)]


def test_ids_without_a_token_are_padding(draft: Draft) -> None:
    metadata = draft.load()
    assert len(metadata["tokenizer.ggml.tokens"]) == 540
    assert tokens(metadata, count=15) == [(f"[PAD{place}]", UNUSED) for place in range(525, 540)]


def test_without_vocab_size_there_is_no_padding(draft: Draft) -> None:
    del draft.config["vocab_size"]
    assert len(draft.load()["tokenizer.ggml.tokens"]) == 525


def test_vocab_size_of_the_text_model_comes_first(draft: Draft) -> None:
    draft.config["text_config"] = {"vocab_size": 530}
    assert len(draft.load()["tokenizer.ggml.tokens"]) == 530


def test_a_hole_in_the_model_is_padding_and_later_tokens_keep_their_ids(draft: Draft) -> None:
    last = max(draft.vocab, key=draft.vocab.__getitem__)
    draft.vocab[last] = 530
    metadata = draft.load()
    assert tokens(metadata, 519) == [("[PAD519]", UNUSED)]
    assert tokens(metadata, 530) == [(last, NORMAL)]
    assert tokens(metadata, 524) == [(EOT, CONTROL)]


# what transformers adds


def test_tokens_only_tokenizer_config_knows(draft: Draft) -> None:
    decoder = draft.settings["added_tokens_decoder"]
    decoder["900"] = added("<second>", special=True)
    decoder["526"] = added("Ġfirst")  # in order of the number, whatever it is
    decoder["524"] = added("<instead of eot>")
    assert tokens(draft.load(), count=4) == [
        ("<instead of eot>", USER),
        (" first", USER),
        ("<second>", CONTROL),
        ("[PAD528]", UNUSED),
    ]


def test_a_token_of_tokenizer_json_keeps_its_flags(draft: Draft) -> None:
    draft.settings["added_tokens_decoder"]["524"]["special"] = False
    draft.settings["added_tokens_decoder"]["524"]["content"] = EOT
    assert tokens(draft.load(), 524) == [(EOT, CONTROL)]


def test_a_token_with_a_role_is_added_as_special(draft: Draft) -> None:
    draft.settings |= {"pad_token": "<padding>", "unk_token": EOT, "cls_token": added("<cls>")}
    draft.settings["additional_special_tokens"] = ["<a>", EOT, added("<b>"), "<padding>"]
    draft.settings["extra_special_tokens"] = {"image_token": "<image>", "boi_token": "<a>"}
    assert tokens(draft.load(), count=6) == [
        ("<padding>", CONTROL),
        ("<cls>", CONTROL),
        ("<a>", CONTROL),
        ("<b>", CONTROL),
        ("<image>", CONTROL),
        ("[PAD530]", UNUSED),
    ]


def test_a_later_token_with_a_role_is_special(draft: Draft) -> None:
    draft.settings["added_tokens_decoder"]["525"] = added("<end>")
    draft.settings["eos_token"] = "<end>"
    metadata = draft.load()
    assert tokens(metadata) == [("<end>", CONTROL)]
    assert metadata["tokenizer.ggml.eos_token_id"] == 524  # of config.json: it is not in tokenizer.json


@pytest.mark.parametrize("known", [True, False], ids=["with added_tokens_decoder", "without"])
def test_special_tokens_map_counts_only_in_old_checkpoints(draft: Draft, known: bool) -> None:
    draft.settings["additional_special_tokens"] = ["<one>"]
    draft.files["special_tokens_map.json"] = {
        "pad_token": added("<padding>"),
        "additional_special_tokens": ["<two>", "<one>"],
    }
    if not known:
        del draft.settings["added_tokens_decoder"]
    expected = ["<one>"] if known else ["<padding>", "<one>", "<two>"]
    texts = [text for text, kind in tokens(draft.load(), count=4) if kind is CONTROL]
    assert texts == expected


@pytest.mark.parametrize("known", [True, False], ids=["with added_tokens_decoder", "without"])
def test_added_tokens_json_counts_only_in_old_checkpoints(draft: Draft, known: bool) -> None:
    draft.files["added_tokens.json"] = {"Ġlate": 600, "<end>": 525, EOT: 524}
    draft.settings["mask_token"] = "<end>"
    if not known:
        del draft.settings["added_tokens_decoder"]
    expected = [("<end>", CONTROL), ("[PAD526]" if known else "Ġlate", UNUSED if known else USER)]
    assert tokens(draft.load(), count=2) == expected


@pytest.mark.parametrize(
    ("settings", "config", "expected"),
    [
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, {}, []),
        ({"tokenizer_class": "GPT2Tokenizer"}, {}, ["<|endoftext|>"]),
        ({"tokenizer_class": "GPT2TokenizerFast"}, {}, ["<|endoftext|>"]),
        ({"tokenizer_class": "GPT2TokenizerFast", "bos_token": "<b>", "unk_token": None}, {}, [
            "<b>", "<|endoftext|>",
        ]),
        ({"tokenizer_class": "LlamaTokenizerFast"}, {}, ["<s>", "</s>", "<unk>"]),
        ({"tokenizer_class": "CohereTokenizerFast"}, {}, [
            "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<UNK>",
        ]),
        ({}, {"tokenizer_class": "GPT2Tokenizer"}, ["<|endoftext|>"]),
        ({}, {"model_type": "llama"}, ["<s>", "</s>", "<unk>"]),
        ({}, {"model_type": "qwen2"}, ["<|endoftext|>"]),
        ({}, {"model_type": "something"}, []),
    ],
)  # fmt: skip
def test_defaults_of_the_class(draft: Draft, settings: Json, config: Json, expected: list[str]) -> None:
    for key in ("bos_token", "eos_token", "tokenizer_class"):
        del draft.settings[key]
    draft.settings |= settings
    draft.config = {"vocab_size": 540} | config
    texts = [text for text, kind in tokens(draft.load(), count=8) if kind is CONTROL]
    assert texts == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["<p>"]),
        ({"pad_token": EOT}, []),
        ({"pad_token": None}, []),
        ({"tokenizer_class": "GPTNeoXTokenizerFast", "unk_token": EOT}, []),
    ],
)
def test_the_padding_of_tokenizer_json_names_a_token(
    draft: Draft, settings: Json, expected: list[str]
) -> None:
    draft.tokenizer["padding"] = {"strategy": "BatchLongest", "pad_token": "<p>"}
    draft.settings |= settings
    assert [text for text, kind in tokens(draft.load(), count=3) if kind is CONTROL] == expected


# decoding of lone tokens

REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}


@pytest.mark.parametrize(
    ("decoder", "clean_up", "text", "expected"),
    [
        (None, False, "Ġx", "Ġx"),
        (None, True, "x .", "x."),
        ({"type": "ByteLevel"}, False, "ĠxĊ", " x\n"),
        ({"type": "ByteLevel"}, False, "x y", "x y"),  # a space stands for no byte: left as it is
        ({"type": "ByteLevel"}, False, "Ã", "�"),
        ({"type": "ByteLevel"}, True, "Ġ.", "."),
        (REPLACE, False, "▁x▁", " x "),
        ({"type": "Replace", "pattern": {"Regex": "x"}, "content": "y"}, False, "x", "x"),
        ({"type": "ByteFallback"}, False, "<0x41>", "A"),
        ({"type": "ByteFallback"}, False, "<0xC3>", "�"),
        ({"type": "ByteFallback"}, False, "<0x4>", "<0x4>"),
        ({"type": "Fuse"}, False, "x", "x"),
        ({"type": "Strip", "content": " ", "start": 1, "stop": 0}, False, "  x ", " x "),
        ({"type": "Strip", "content": " ", "start": 0, "stop": 2}, False, " x   ", " x "),
        ({"type": "Strip", "content": " "}, False, " x", " x"),
        ({"type": "Metaspace", "replacement": "▁"}, False, "▁▁x", " x"),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}, False, "▁▁x", "  x"),
        ({"type": "WordPiece", "prefix": "##", "cleanup": True}, False, "x do not", "x don't"),
        ({"type": "WordPiece", "prefix": "##", "cleanup": False}, False, "x .", "x ."),
        ({"type": "Sequence", "decoders": [REPLACE, {"type": "Fuse"}]}, False, "▁x", " x"),
        (
            {"type": "Sequence", "decoders": [REPLACE, {"type": "Strip", "content": " ", "start": 1}]},
            False,
            "▁▁x",
            " x",
        ),
        ({"type": "Unheard"}, False, "▁x", "▁x"),
    ],
)
def test_decoders(decoder: Any, clean_up: bool, text: str, expected: str) -> None:
    assert decoded(text, decoder_parts(decoder, "t.json"), clean_up=clean_up) == expected


def test_clean_up_is_asked_of_tokenizer_config(draft: Draft) -> None:
    draft.add("<tool> .")
    draft.settings["clean_up_tokenization_spaces"] = True
    assert tokens(draft.load()) == [("<tool>.", USER)]
    draft.settings["clean_up_tokenization_spaces"] = False
    assert tokens(draft.load()) == [("<tool> .", USER)]


# merges


def merges(draft: Draft) -> list[str]:
    return list(draft.load(pre="llama-bpe")["tokenizer.ggml.merges"])


def test_merges_of_texts_and_of_pairs_are_the_same(draft: Draft) -> None:
    texts = list(draft.tokenizer["model"]["merges"])
    assert merges(draft) == texts
    draft.tokenizer["model"]["merges"] = [text.split(" ") for text in texts]
    assert merges(draft) == texts


def test_a_space_inside_a_pair_is_written_as_bytes_are(draft: Draft) -> None:
    draft.tokenizer["added_tokens"] = []
    draft.settings["added_tokens_decoder"] = {}
    draft.vocab.update({" ": 520, "a ": 521, "a b": 522})
    draft.tokenizer["model"]["merges"] = [["a", " "], ["a ", "b"]]
    assert merges(draft) == ["a Ġ", "aĠ b"]


@pytest.mark.parametrize("first", ["#version: 0.2\n", "", "# a comment\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_merges_of_a_file(draft: Draft, first: str, end: str) -> None:
    draft.tokenizer["model"]["merges"] = []
    draft.files["merges.txt"] = f"{first}h e\n\none\n a  b \nt h e\nĠ t".replace("\n", end)
    assert merges(draft) == ["h e", "a b", "Ġ t"]


def test_merges_of_tokenizer_json_hide_the_file(draft: Draft) -> None:
    draft.tokenizer["model"]["merges"] = ["h e"]
    draft.files["merges.txt"] = "a b"
    assert merges(draft) == ["h e"]


@pytest.mark.parametrize("text", [None, "", "#version: 0.2\n"])
def test_without_merges_nothing_could_load_it(draft: Draft, text: str | None) -> None:
    draft.tokenizer["model"]["merges"] = []
    draft.files["merges.txt"] = text
    with pytest.raises(TokenizerError, match="there are no merges") as caught:
        draft.load()
    assert caught.value.key == "model.merges"


# WordPiece


def test_wordpiece_marks_beginnings_of_words(tmp_path: Path) -> None:
    draft = Draft("bert", tmp_path)
    draft.config["vocab_size"] = 440
    draft.add("tool")
    draft.add("##ing2")
    metadata = draft.load()
    assert tokens(metadata, draft.vocab["##ed"]) == [("ed", NORMAL)]
    assert tokens(metadata, draft.vocab["the"]) == [("▁the", NORMAL)]
    assert tokens(metadata, 0, 5) == [
        (text, CONTROL) for text in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    ]
    assert tokens(metadata, 437, 3) == [("▁tool", USER), ("ing2", USER), ("▁[PAD439]", UNUSED)]


# tokenizer.json made of SentencePiece


@pytest.fixture
def hf(tmp_path: Path) -> Draft:
    return Draft("llama-hf", tmp_path)


def test_llama_hf_types(hf: Draft) -> None:
    hf.add("<tool>")
    hf.add("<special>", special=True)
    hf.add("▁▁x")
    hf.settings["additional_special_tokens"] = ["<role>", "▁the"]
    metadata = hf.load()
    assert tokens(metadata, 0, 4) == [
        ("<unk>", CONTROL), ("<s>", CONTROL), ("</s>", CONTROL), ("<0x00>", BYTE),
    ]  # fmt: skip
    assert tokens(metadata, 258) == [("<0xFF>", BYTE)]
    assert tokens(metadata, hf.vocab["▁the"]) == [("▁the", CONTROL)]  # a role makes it one
    assert tokens(metadata, 512, 4) == [
        ("<tool>", USER),
        ("<special>", USER),  # being added as special does not
        ("▁▁x", USER),
        ("<role>", CONTROL),
    ]
    assert set(metadata["tokenizer.ggml.scores"]) == {-1000.0}
    assert metadata["tokenizer.ggml.model"] == "llama"
    assert metadata["tokenizer.ggml.pre"] == "default"


def test_llama_hf_does_not_pad(hf: Draft) -> None:
    hf.config["vocab_size"] = 600
    assert len(hf.load()["tokenizer.ggml.tokens"]) == 512


def test_llama_hf_tokens_of_the_class(hf: Draft) -> None:
    hf.settings["tokenizer_class"] = "CodeLlamaTokenizer"
    metadata = hf.load()
    assert [text for text, _ in tokens(metadata, 512, 4)] == ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"]


@pytest.mark.parametrize(
    "change",
    [{"byte_fallback": False}, {"byte_fallback": None}, {"type": "Unigram"}],
    ids=["no fallback", "null fallback", "another model"],
)
def test_what_is_not_made_of_sentencepiece_is_byte_level(hf: Draft, change: Json) -> None:
    hf.tokenizer["model"].update(change)
    with pytest.raises(TokenizerError, match=r"not recognised|of a kind this architecture cannot use"):
        hf.load()


def test_qwen_does_not_take_sentencepiece_in_tokenizer_json(hf: Draft) -> None:
    with pytest.raises(TokenizerError, match=r"without its scores; the tokenizer\.model .* is needed"):
        loaded(hf.save(), "qwen2")
    assert loaded(hf.directory, "qwen2", pre="default")["tokenizer.ggml.model"] == "gpt2"


# tokenizer.model

PIECES = [
    Piece("<unk>", 0.0, PieceType.UNKNOWN),
    Piece("<s>", 0.0, PieceType.CONTROL),
    Piece("<0x0A>", 0.0, PieceType.BYTE),
    Piece("▁a", -1.5, PieceType.NORMAL),
    Piece("▁▁", -2.5, PieceType.USER_DEFINED),
    Piece("gone", -3.5, PieceType.UNUSED),
]


def spm(directory: Path, config: Json | None = None, **files: Any) -> list[tuple[str, TokenType, float]]:
    """Texts, types and scores of a small model with other files beside it."""
    directory.mkdir(exist_ok=True)
    (directory / "tokenizer.model").write_bytes(write_model(PIECES, ids={"unk": 0}, add_dummy_prefix=True))
    for name, document in files.items():
        write(directory / f"{name}.json", document)
    write(directory / "config.json", config or {})
    metadata = loaded(directory, "llama")
    columns = (metadata[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type", "scores"))
    return [(text, TokenType(kind), score) for text, kind, score in zip(*columns, strict=True)]


def test_spm_pieces(tmp_path: Path) -> None:
    assert spm(tmp_path) == [
        ("<unk>", UNKNOWN, 0.0),
        ("<s>", CONTROL, 0.0),
        ("<0x0A>", BYTE, 0.0),
        ("▁a", NORMAL, -1.5),
        ("▁▁", NORMAL, -2.5),  # user-defined ones count as normal
        ("gone", UNUSED, -3.5),
    ]


def test_spm_padding_and_cutting(tmp_path: Path) -> None:
    assert spm(tmp_path, {"vocab_size": 8})[6:] == [
        ("[PAD6]", UNUSED, -10000.0),
        ("[PAD7]", UNUSED, -10000.0),
    ]
    assert len(spm(tmp_path, {"vocab_size": 3})) == 3


def test_spm_added_tokens_replace_pieces(tmp_path: Path) -> None:
    decoder = {
        "3": added("▁b"),
        "4": added("▁▁", special=True),
        "5": added("<|x|>"),
        "6": added("<special>", special=True),
        "99": added("beyond"),
    }
    found = spm(
        tmp_path,
        {"vocab_size": 8},
        added_tokens={"▁kept": 7, "<s2>": 3, "far": 8},
        tokenizer_config={"added_tokens_decoder": decoder},
    )
    assert found[3:] == [
        (" b", USER, -1000.0),
        ("▁▁", CONTROL, -1000.0),
        ("<|x|>", CONTROL, -1000.0),
        ("<special>", CONTROL, -1000.0),
        ("▁kept", USER, -1000.0),
    ]


def test_spm_comes_before_tokenizer_json(tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.tokenizer["model"] = {"type": "Unigram", "vocab": []}
    assert draft.load()["tokenizer.ggml.model"] == "llama"


def test_a_given_name_is_written_as_given(tmp_path: Path) -> None:
    for name in ("llama", "mistral", "llama-hf", "bert"):
        assert Draft(name, tmp_path / name).load(pre="olmo")["tokenizer.ggml.pre"] == "olmo"


def test_the_order_of_keys_is_the_converters(tmp_path: Path) -> None:
    keys = [key.removeprefix("tokenizer.") for key in Draft("llama", tmp_path).load()]
    assert keys == [
        "ggml.model", "ggml.pre", "ggml.tokens", "ggml.token_type", "ggml.merges",
        "ggml.bos_token_id", "ggml.eos_token_id", "ggml.add_bos_token", "ggml.add_eos_token",
        "ggml.add_sep_token", "chat_template",
    ]  # fmt: skip


@pytest.mark.parametrize(("without", "expected"), [("tokenizer.model", False), (None, None)])
def test_jamba_puts_no_space_before_a_text_where_there_is_no_tokenizer_model(
    without: str | None, expected: bool | None, tmp_path: Path
) -> None:
    draft = Draft("jamba", tmp_path)
    if without:
        (draft.directory / without).unlink()
    assert draft.load().get("tokenizer.ggml.add_space_prefix") is expected
