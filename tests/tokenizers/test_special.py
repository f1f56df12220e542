"""Special ids, whether they are added, chat templates, normalizer flags: what each file has a say in.

That llama.cpp's converter sees it the same way is tested in tests/parity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gguf_tools.errors import TokenizerError
from gguf_tools.spec import ValueType
from tests.tokenizers.variants import Draft, Json, added, template

BOS, END, START, EOT = "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|eot_id|>"
IDS = {BOS: 520, END: 521, START: 522, EOT: 524}
NAMES = {
    "bos_token_id": "bos",
    "eos_token_id": "eos",
    "unknown_token_id": "unk",
    "seperator_token_id": "sep",
    "padding_token_id": "pad",
    "mask_token_id": "mask",
    "eot_token_id": "eot",
    "eom_token_id": "eom",
}
BYTES: Json = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
ROBERTA: Json = {"type": "RobertaProcessing", "sep": [EOT, 524], "cls": [BOS, 520]}


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    """A byte-level tokenizer that says nothing special: no roles, no ids, no post-processor."""
    made = Draft("llama", tmp_path)
    for key in ("bos_token", "eos_token", "chat_template"):
        del made.settings[key]
    for key in ("bos_token_id", "eos_token_id"):
        del made.config[key]
    made.tokenizer["post_processor"] = None
    return made


def ids(draft: Draft) -> dict[str, int]:
    """Special ids by role."""
    metadata = draft.load(pre="llama-bpe")
    prefix = "tokenizer.ggml."
    found = {role: metadata[prefix + name] for name, role in NAMES.items() if prefix + name in metadata}
    assert all(
        metadata.type_of(prefix + name) is ValueType.UINT32 for name in NAMES if prefix + name in metadata
    )
    return found


def flags(draft: Draft) -> dict[str, bool]:
    """The add_*_token flags by role."""
    metadata = draft.load(pre="llama-bpe")
    keys = {role: f"tokenizer.ggml.add_{role}_token" for role in ("bos", "eos", "sep")}
    assert all(metadata.type_of(key) is ValueType.BOOL for key in keys.values() if key in metadata)
    return {role: metadata[key] for role, key in keys.items() if key in metadata}


def templates(draft: Draft) -> dict[str, Any]:
    """Keys of chat templates without their common beginning."""
    metadata = draft.load(pre="llama-bpe")
    start = "tokenizer.chat_template"
    return {key.removeprefix(start): metadata[key] for key in metadata if key.startswith(start)}


@pytest.mark.parametrize(
    ("settings", "config", "expected"),
    [
        ({}, {}, {}),
        ({"bos_token": BOS, "eos_token": EOT}, {}, {"bos": 520, "eos": 524}),
        ({"eos_token": added(EOT)}, {}, {"eos": 524}),
        ({"eos_token": {"__type": "AddedToken", "content": EOT}}, {}, {"eos": 524}),
        ({"eos_token": {"content": None}}, {"eos_token_id": 521}, {"eos": 521}),
        ({"eos_token": ["x"]}, {"eos_token_id": 521}, {"eos": 521}),
        ({"eos_token": None}, {"eos_token_id": 521}, {"eos": 521}),
        ({"eos_token": "Ġthe"}, {}, {}),  # of the model, not added
        ({"eos_token": "Ġthe"}, {"eos_token_id": 521}, {"eos": 521}),
        ({"eos_token": "nowhere"}, {"eos_token_id": 521}, {"eos": 521}),
        ({"eos_token": EOT}, {"eos_token_id": 521}, {"eos": 524}),  # the tokenizer's word comes first
        ({"pad_token": END, "unk_token": BOS}, {}, {"pad": 521, "unk": 520}),
        ({"mask_token": END, "sep_token": START}, {}, {"eos": 522, "mask": 521, "sep": 522}),
        ({}, {"bos_token_id": 520, "eos_token_id": 524}, {"bos": 520, "eos": 524}),
        ({}, {"pad_token_id": 0, "unk_token_id": 1, "sep_token_id": 2}, {"pad": 0, "unk": 1, "sep": 2}),
        ({}, {"mask_token_id": 3, "cls_token_id": 4}, {"mask": 3}),  # GGUF has no CLS
        ({}, {"eos_token_id": [521, 524]}, {}),
        ({}, {"eos_token_id": None}, {}),
        ({}, {"eos_token_id": "521"}, {}),
        ({}, {"eos_token_id": 521.0}, {}),
        ({}, {"eos_token_id": True}, {}),
        ({}, {"text_config": {"eos_token_id": 521}}, {"eos": 521}),
        ({}, {"eos_token_id": 524, "text_config": {"eos_token_id": 521}}, {"eos": 524}),
        ({}, {"eos_token_id": None, "text_config": {"eos_token_id": 521}}, {"eos": 521}),
        ({}, {"text_config": None}, {}),
        ({}, {"eos_token_id": 9_999}, {"eos": 9_999}),  # BPE: the converter does not check
    ],
)
def test_ids(draft: Draft, settings: Json, config: Json, expected: dict[str, int]) -> None:
    draft.settings.update(settings)
    draft.config.update(config)
    assert ids(draft) == expected


def test_the_first_of_equal_added_tokens_counts(draft: Draft) -> None:
    draft.settings["eos_token"] = EOT
    draft.tokenizer["added_tokens"].append({"id": 524} | added(EOT))
    assert ids(draft) == {"eos": 524}


def test_without_tokenizer_config_ids_come_from_config_json(draft: Draft) -> None:
    draft.files["tokenizer_config.json"] = None
    draft.config["eos_token_id"] = 521
    draft.tokenizer["post_processor"] = template([BOS], [EOT], **IDS)
    assert ids(draft) == {"eos": 521}
    assert flags(draft) == {"bos": True, "eos": True}
    assert templates(draft) == {}


@pytest.mark.parametrize("token_id", [-1, -(1 << 40), 1 << 32, 1 << 70])
def test_an_id_out_of_range_is_refused(draft: Draft, token_id: int) -> None:
    draft.config["eos_token_id"] = token_id
    with pytest.raises(TokenizerError, match="out of range") as caught:
        ids(draft)
    assert caught.value.key == "eos_token_id"
    assert caught.value.found == token_id
    assert str(caught.value.path).endswith("config.json")


def test_sentencepiece_ids_beyond_the_vocabulary_are_left_out(tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.config |= {"pad_token_id": 512, "sep_token_id": 511}
    assert ids(draft) == {"bos": 1, "eos": 2, "unk": 0, "sep": 511}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"cls_token": BOS, "sep_token": EOT}, {"bos": 520, "eos": 524, "sep": 524}),
        ({"bos_token": START, "cls_token": BOS}, {"bos": 522}),
        ({"eos_token": END, "sep_token": EOT}, {"eos": 521, "sep": 524}),
        ({"bos_token": "", "cls_token": BOS}, {"bos": 520}),
        ({"bos_token": None, "cls_token": added(BOS)}, {"bos": 520}),
    ],
)
def test_cls_and_sep_stand_in_for_bos_and_eos(draft: Draft, settings: Json, expected: dict[str, int]) -> None:
    draft.settings.update(settings)
    assert ids(draft) == expected


def test_without_tokenizer_json_nothing_stands_in(tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.files["tokenizer.json"] = None
    draft.settings |= {"cls_token": "<s>", "sep_token": "</s>"}
    assert ids(draft) == {"bos": 1, "eos": 2}  # all from config.json


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (None, {}),
        ({}, {}),
        (BYTES, {"bos": False, "eos": False}),
        (template([], []), {}),
        (template([BOS], []), {"bos": True}),
        (template([], [EOT]), {"eos": True}),
        (template([BOS], [EOT]), {"bos": True, "eos": True}),
        (template([], [], pair=["A", "B"]), {}),
        (template([BOS], [], pair=[BOS, "A", BOS, "B"]), {"bos": True, "sep": False}),
        (template([BOS], [], pair=[BOS, "A", EOT, "B"]), {"bos": True, "sep": True}),
        (template([BOS], [EOT], pair=[BOS, "A", EOT, "B", EOT]), {"bos": True, "eos": True, "sep": False}),
        (
            template([BOS], [EOT], pair=[BOS, "A", EOT, EOT, "B", EOT]),
            {"bos": True, "eos": True, "sep": True},
        ),
        (
            template([BOS], [EOT], pair=[BOS, "A", EOT, END, "B", EOT]),
            {"bos": True, "eos": True, "sep": False},
        ),
        (template([BOS], [EOT], pair=[BOS, "B", EOT, EOT, "A", EOT]), {"bos": True, "eos": True}),
        (template([], [EOT], pair=["A", "B", EOT]), {"eos": True}),
        (ROBERTA, {"bos": True, "eos": True, "sep": True}),
        ({"type": "BertProcessing", "sep": [EOT, 524], "cls": [BOS, 520]}, {}),
        ({"type": "Sequence", "processors": []}, {}),
        ({"type": "Sequence", "processors": [BYTES, template([BOS], [])]}, {"bos": True, "eos": False}),
        ({"type": "Sequence", "processors": [template([BOS], []), BYTES]}, {"bos": True, "eos": False}),
    ],
)
def test_flags_of_the_post_processor(draft: Draft, processor: Any, expected: dict[str, bool]) -> None:
    draft.settings |= {"bos_token": BOS, "eos_token": EOT}
    draft.tokenizer["post_processor"] = processor
    assert flags(draft) == expected


@pytest.mark.parametrize(
    ("processor", "settings", "expected"),
    [
        (None, {"add_bos_token": True, "add_eos_token": False}, {"bos": True, "eos": False}),
        (None, {"add_sep_token": True}, {"sep": True}),
        (None, {"add_bos_token": None, "add_eos_token": "yes", "add_sep_token": 1}, {}),
        (BYTES, {"add_bos_token": True}, {"bos": False, "eos": False}),
        (template([BOS], []), {"add_bos_token": False, "add_eos_token": True}, {"bos": True, "eos": True}),
    ],
)
def test_flags_of_tokenizer_config_only_fill_gaps(
    draft: Draft, processor: Any, settings: Json, expected: dict[str, bool]
) -> None:
    draft.settings |= {"bos_token": BOS, "eos_token": EOT} | settings
    draft.tokenizer["post_processor"] = processor
    assert flags(draft) == expected


@pytest.mark.parametrize(
    ("settings", "processor", "expected_ids", "expected_flags"),
    [
        # the template's end replaces the EOS, which then ends turns, and at the second time messages
        ({"eos_token": EOT}, template([], [END]), {"eos": 521, "eot": 524}, {"eos": True}),
        (
            {"eos_token": EOT},
            {"type": "Sequence", "processors": [template([], [END]), template([], [START])]},
            {"eos": 522, "eot": 524, "eom": 521},
            {"eos": True},
        ),
        (
            {"eos_token": EOT},
            {
                "type": "Sequence",
                "processors": [template([], [END]), template([], [START]), template([], [BOS])],
            },
            {"eos": 520, "eot": 524, "eom": 521},
            {"eos": True},
        ),
        # no EOS before: an end of turn without a token
        ({}, template([], [END]), {"eos": 521}, {"eos": True}),
        # the template's start is the BOS where none is named, and something else where one is
        ({}, template([BOS], []), {"bos": 520}, {"bos": True}),
        ({"bos_token": END}, template([BOS], []), {"bos": 521}, {"bos": True}),
        ({"bos_token": END, "cls_token": END}, template([BOS], []), {"bos": 521}, {"bos": False}),
        # a separator without a name is the EOS
        (
            {"eos_token": EOT},
            template([], [EOT], pair=["A", EOT, EOT, "B", EOT]),
            {"eos": 524, "sep": 524},
            {"eos": True, "sep": True},
        ),
        (
            {"eos_token": EOT, "sep_token": END},
            template([], [EOT], pair=["A", EOT, END, "B", EOT]),
            {"eos": 524, "sep": 521},
            {"eos": True, "sep": True},
        ),
        ({}, ROBERTA, {"sep": 524}, {"bos": True, "eos": True, "sep": True}),
        (
            {"bos_token": BOS, "eos_token": END, "sep_token": END},
            ROBERTA,
            {"bos": 520, "eos": 521, "sep": 521},
            {"bos": True, "eos": True, "sep": True},
        ),
    ],
)
def test_the_post_processor_changes_roles(
    draft: Draft,
    settings: Json,
    processor: Json,
    expected_ids: dict[str, int],
    expected_flags: dict[str, bool],
) -> None:
    draft.settings.update(settings)
    draft.tokenizer["post_processor"] = processor
    assert ids(draft) == expected_ids
    assert flags(draft) == expected_flags


NAMED = [{"name": "default", "template": "d"}, {"name": "tool use/2", "template": "t"}]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("text", {"": "text"}),
        ("", {"": ""}),
        (None, {}),
        (7, {}),
        ({"default": "d"}, {}),
        ([], {}),
        (NAMED, {"": "d", ".tool_use_2": "t", "s": ["tool_use_2"]}),
        (NAMED[1:], {".tool_use_2": "t", "s": ["tool_use_2"]}),
        (NAMED[:1], {"": "d"}),
        ([*NAMED, {"name": "", "template": "x"}, {"template": "y"}, {"name": "z"}, 3], {
            "": "d", ".tool_use_2": "t", "s": ["tool_use_2"],
        }),
        ([{"name": "é", "template": "a"}, {"name": "_", "template": "b"}], {"._": "b", "s": ["_"]}),
    ],
)  # fmt: skip
def test_chat_templates_of_tokenizer_config(draft: Draft, stored: Any, expected: Json) -> None:
    draft.settings["chat_template"] = stored
    assert templates(draft) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"chat_template.jinja": "a\nb\n"}, {"": "a\nb\n"}),
        ({"chat_template.json": {"chat_template": "json"}}, {"": "json"}),
        ({"chat_template.json": {"chat_template": NAMED}}, {
            "": "d", ".tool_use_2": "t", "s": ["tool_use_2"],
        }),
        ({"chat_template.json": {}}, {}),
        ({"chat_template.jinja": "jinja", "chat_template.json": {"chat_template": "json"}}, {"": "jinja"}),
        (
            {
                "chat_template.jinja": "jinja",
                "additional_chat_templates/rag.jinja": "r",
                "additional_chat_templates/tool-use.jinja": "t",
                "additional_chat_templates/notes.txt": "n",
            },
            {"": "jinja", ".rag": "r", ".tool_use": "t", "s": ["rag", "tool_use"]},
        ),
        ({"additional_chat_templates/rag.jinja": "r"}, {}),
    ],
)  # fmt: skip
def test_chat_templates_of_files(draft: Draft, files: Json, expected: Json) -> None:
    draft.files.update(files)
    assert templates(draft) == expected


@pytest.mark.parametrize("stored", ["config", None])
def test_a_template_in_tokenizer_config_hides_the_files(draft: Draft, stored: str | None) -> None:
    draft.settings["chat_template"] = stored
    draft.files["chat_template.jinja"] = "jinja"
    assert templates(draft) == ({} if stored is None else {"": "config"})


def test_lines_of_a_template_file_end_in_newlines(draft: Draft) -> None:
    draft.save()
    (draft.directory / "chat_template.jinja").write_bytes(b"a\r\nb\rc\nd")
    assert templates(draft) == {"": "a\nb\nc\nd"}


@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [
        (None, {}),
        ({"type": "NFC"}, {}),
        ({"type": "Lowercase"}, {"lowercase": True}),
        ({"type": "StripAccents"}, {"strip_accents": True}),
        (
            {"type": "BertNormalizer", "lowercase": False, "strip_accents": True},
            {"lowercase": False, "strip_accents": True},
        ),
        ({"type": "BertNormalizer", "lowercase": True, "strip_accents": None}, {"lowercase": True}),
        (
            {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]},
            {"lowercase": True},
        ),
        (
            {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Sequence", "normalizers": [{"type": "StripAccents"}]},
                    {"type": "BertNormalizer", "strip_accents": False},
                ],
            },
            {"strip_accents": False},
        ),
        ({"type": "Sequence"}, {}),
    ],
)
def test_normalizer_flags(draft: Draft, normalizer: Any, expected: dict[str, bool]) -> None:
    draft.tokenizer["normalizer"] = normalizer
    metadata = draft.load(pre="llama-bpe")
    start = "tokenizer.ggml.normalizer."
    assert {key.removeprefix(start): metadata[key] for key in metadata if key.startswith(start)} == expected


@pytest.mark.parametrize(("value", "expected"), [(True, True), (False, False), (None, None), ("no", None)])
def test_add_space_prefix_of_llama(tmp_path: Path, value: Any, expected: bool | None) -> None:
    draft = Draft("mistral", tmp_path)
    draft.settings["add_prefix_space"] = value
    metadata = draft.load()
    assert metadata.get("tokenizer.ggml.add_space_prefix") is expected
    if expected is not None:
        assert next(iter(metadata)) == "tokenizer.ggml.add_space_prefix"


def test_gemma_never_adds_a_space(tmp_path: Path) -> None:
    draft = Draft("gemma3", tmp_path)
    draft.settings["add_prefix_space"] = True
    assert draft.load()["tokenizer.ggml.add_space_prefix"] is False


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (512, {"tokenizer.ggml.add_bos_token": True}),
        (32016, {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.eot_token_id": 32010}),
        (49152, {"tokenizer.ggml.add_bos_token": False}),
    ],
    ids=["any", "CodeLlama", "Granite"],
)
@pytest.mark.parametrize("nested", [False, True], ids=["root", "text_config"])
def test_what_is_known_by_the_size_of_the_vocabulary(
    tmp_path: Path, size: int, expected: Json, nested: bool
) -> None:
    draft = Draft("mistral", tmp_path)
    draft.config["text_config" if nested else "vocab_size"] = {"vocab_size": size} if nested else size
    metadata = draft.load()
    keys = ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.prefix_token_id")
    assert {key: metadata[key] for key in keys if key in metadata} == expected
    assert len(metadata["tokenizer.ggml.tokens"]) == size


@pytest.mark.parametrize(("config", "expected"), [({}, 1), ({"type_vocab_size": 3}, 3)])
def test_token_types_of_bert(tmp_path: Path, config: Json, expected: int) -> None:
    draft = Draft("bert", tmp_path)
    del draft.config["type_vocab_size"]
    draft.config.update(config)
    metadata = draft.load()
    assert metadata["tokenizer.ggml.token_type_count"] == expected
    assert metadata.type_of("tokenizer.ggml.token_type_count") is ValueType.UINT32
