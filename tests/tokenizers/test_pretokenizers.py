"""Names of pre-tokenizers: published files, every entry of the table, near misses, names the user gives."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.errors import TokenizerError
from gguf_tools.tokenizers import export
from gguf_tools.tokenizers.pretokenizer_table import SAME, UNKNOWN, WORDPIECE
from gguf_tools.tokenizers.pretokenizers import (
    PRETOKENIZERS,
    RUNTIME_NAMES,
    PreTokenizer,
    by_name,
    check_name,
    recognise,
    steps,
)
from tests.references import oracles
from tests.tokenizers.variants import PUBLISHED, Draft, Json, loaded, published, stored, template

NAMES = {
    "llama3": "smaug-bpe",  # its template has no BOS
    "llama3_1": "llama-bpe",
    "qwen3": "qwen2",
    "minilm": "jina-v2-en",
}
ENTRIES = {entry.name: entry for entry in PRETOKENIZERS}
BEGINS = template(["<s>"])
ANY_CASE = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
LLAMA3 = ENTRIES["llama-bpe"].pre_tokenizer["pretokenizers"][0]["pattern"]["Regex"]


def document(entry: PreTokenizer) -> Json:
    """The smallest tokenizer.json an entry's name should be found in, sign included."""
    sign = entry.sign
    kinds = [{"type": sign.processor}] if sign.processor else []
    return {
        "normalizer": copy.deepcopy(entry.normalizer),
        "pre_tokenizer": copy.deepcopy(entry.pre_tokenizer),
        "post_processor": {
            "type": "Sequence",
            "processors": [*kinds, *([BEGINS] if sign.begins else [])],
        },
        "model": {"type": "BPE", "ignore_merges": entry.ignore_merges or bool(sign.ignores_merges)},
    }


def bpe(*splits: Any, normalizer: Any = None) -> Json:
    """A tokenizer.json with these steps before the bytes become characters."""
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, last]},
        "model": {"type": "BPE"},
    }


def split(regex: str, behavior: str = "Isolated", *, invert: bool = False, kind: str = "Regex") -> Json:
    return {"type": "Split", "pattern": {kind: regex}, "behavior": behavior, "invert": invert}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_a_published_tokenizer_is_recognised(name: str, expected: str) -> None:
    metadata = loaded(published(name), PUBLISHED.get(name, "bert"))
    assert metadata["tokenizer.ggml.pre"] == expected


@pytest.mark.parametrize("entry", PRETOKENIZERS, ids=lambda entry: entry.name)
def test_every_entry_recognises_itself(entry: PreTokenizer) -> None:
    assert recognise(document(entry), entry.sign.tokens, "t.json") == entry.name


@pytest.mark.parametrize("entry", PRETOKENIZERS, ids=lambda entry: entry.name)
def test_every_entry_is_recognised_in_an_export(entry: PreTokenizer, tmp_path: Path) -> None:
    """What export writes for a name gives the name again, with the tokens such a vocabulary has."""
    base = {"jina-v2-en": "bert", "llama-bpe": "llama"}.get(entry.name, "qwen2")
    draft = Draft(base, tmp_path)
    known = {token["content"] for token in draft.tokenizer["added_tokens"]}
    for text in entry.sign.tokens:
        if text not in known:
            draft.add(text, special=True)
    if entry.sign.processor == "RobertaProcessing":
        draft.settings["bos_token"] = "<|endoftext|>"
        draft.tokenizer["post_processor"] = {
            "type": "RobertaProcessing",
            "sep": ["<|im_end|>", 502],
            "cls": ["<|endoftext|>", 500],
        }
    written = json.loads(export(draft.load(pre=entry.name))["tokenizer.json"])
    added = {token["content"] for token in written["added_tokens"]}
    assert steps(written) == steps(document(entry))
    assert recognise(written, added, "t.json") == entry.name


def test_every_name_of_the_runtime_has_one_place() -> None:
    """An entry, another name for one, or a reason why there is none."""
    places = (list(ENTRIES), SAME, WORDPIECE - {"default", "jina-v2-en"}, UNKNOWN)
    assert sorted(name for place in places for name in place) == sorted(RUNTIME_NAMES)
    assert len(ENTRIES) == len(PRETOKENIZERS)
    assert set(SAME.values()) <= set(ENTRIES)


@pytest.mark.parametrize("later", range(1, len(PRETOKENIZERS)), ids=lambda place: PRETOKENIZERS[place].name)
def test_no_entry_hides_a_later_one(later: int) -> None:
    """Of entries with one structure only the last may be without a sign."""
    entry = PRETOKENIZERS[later]
    for earlier in PRETOKENIZERS[:later]:
        if steps(document(earlier)) == steps(document(entry)):
            assert earlier.sign != entry.sign
            assert not earlier.sign.fits(document(entry), entry.sign.tokens)


@pytest.mark.parametrize(
    ("structure", "change", "added", "expected"),
    [
        ("llama-bpe", {}, (), "llama-bpe"),
        ("llama-bpe", {"post_processor": None}, (), "smaug-bpe"),
        ("llama-bpe", {"post_processor": template([], ["</s>"])}, (), "smaug-bpe"),
        ("llama-bpe", {"post_processor": BEGINS}, (), "llama-bpe"),
        ("llama-bpe", {"model": {"type": "BPE", "ignore_merges": False}}, (), "smaug-bpe"),
        ("llama-bpe", {"model": {"type": "BPE"}}, (), "smaug-bpe"),
        ("qwen2", {}, ("<|endoftext|>",), "qwen2"),
        ("qwen2", {}, ("<｜begin▁of▁sentence｜>",), "deepseek-r1-qwen"),
        ("gpt-4o", {}, ("<|endoftext|>",), "gpt-4o"),
        ("gpt-4o", {}, ("<|begin_of_text|>",), "llama4"),
        ("smollm", {}, ("<|im_start|>",), "smollm"),
        ("smollm", {}, ("<fim_prefix>",), "refact"),
        ("smollm", {}, ("<fim_prefix>", "<file_sep>"), "starcoder"),
        ("smollm", {}, ("<file_sep>",), "smollm"),
        ("smollm", {"normalizer": {"type": "NFC"}}, (), "command-r"),
        ("gpt-2", {}, (), "gpt-2"),
        ("gpt-2", {"post_processor": {"type": "RobertaProcessing"}}, (), "roberta-bpe"),
        ("gpt-2", {"normalizer": {"type": "NFC"}}, ("[MASK]",), "modern-bert"),
        ("gpt-2", {"normalizer": {"type": "NFC"}}, (), "olmo"),
        ("gpt-2", {}, ("[|endofturn|]",), "exaone4"),
        ("gpt-2", {}, ("<|role_sep|>", "<|message_sep|>"), "gigachat"),
        ("gpt-2", {}, ("<|role_sep|>",), "gpt-2"),
        ("gpt-2", {}, ("<|start_of_role|>",), "granite-docling"),
        ("smollm", {}, ("[|endofturn|]",), "exaone"),
        ("llama-bpe", {}, ("[INST]", "[IMG]"), "pixtral"),
        ("llama-bpe", {}, ("<|startoftext|>", "<|tool_list_start|>"), "lfm2"),
        ("llama-bpe", {}, ("[gMASK]", "<sop>"), "glm4"),
        ("llama-bpe", {"model": {"type": "BPE"}}, ("[gMASK]", "<sop>"), "chatglm-bpe"),
        ("llama-bpe", {}, ("<|fim_prefix|>", "<|endofprompt|>"), "dbrx"),
        ("grok-2", {}, ("<|separator|>",), "grok-2"),
        ("grok-2", {}, ("<|begin|>", "<|content|>"), "solar-open"),
        ("grok-2", {}, ("<|reg0|>", "<|endofprompt|>"), "stablelm2"),
        ("grok-2", {}, (), "hunyuan"),
        ("gpt-4o", {}, ("]~b]",), "minimax-m2"),
        ("deepseek-v3", {}, ("<｜hy_Assistant｜>",), "hunyuan-dense"),
        # composing characters is not part of the name, unless two entries differ in it
        ("llama-bpe", {"normalizer": {"type": "NFC"}}, (), "llama-bpe"),
        ("falcon", {"normalizer": {"type": "NFC"}}, (), "falcon"),
        ("qwen2", {"normalizer": None}, (), "hunyuan"),
        ("qwen35", {"normalizer": None}, (), "qwen35"),
    ],
)
def test_signs_decide_between_entries_of_one_structure(
    structure: str, change: Json, added: tuple[str, ...], expected: str
) -> None:
    assert recognise(document(ENTRIES[structure]) | change, added, "t.json") == expected


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Sequence", "normalizers": []}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": []}]}},
        bpe(split(LLAMA3, "Removed", invert=True)),
        bpe(split(LLAMA3, invert=True)),
        bpe(split(LLAMA3.replace(r"\r", "\r").replace(r"\n", "\n"))),
        bpe(split(LLAMA3.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", ANY_CASE))),
        bpe({"type": "Sequence", "pretokenizers": [split(LLAMA3)]}),
    ],
    ids=[
        "empty sequence",
        "nested empty",
        "removed inverted",
        "isolated inverted",
        "real newlines",
        "both cases spelled out",
        "nested",
    ],
)
def test_other_spellings_of_the_same_are_recognised(change: Json) -> None:
    base = document(ENTRIES["llama-bpe"])
    assert recognise(base | change | {"model": base["model"]}, (), "t.json") == "llama-bpe"


@pytest.mark.parametrize(
    ("tokenizer", "shown", "hidden"),
    [
        (bpe(split(LLAMA3.replace("{1,3}", "{1,2}"))), r"Split regex (?i:'s|'t|'re", "nothing"),
        (bpe(split(LLAMA3, "Removed")), "into Removed; ByteLevel", "pieces"),
        (bpe(split(LLAMA3), split("x")), "Split regex x into pieces; ByteLevel", LLAMA3),
        (bpe(split("a", kind="String")), "Split string a into pieces; ByteLevel", "Regex"),
        (bpe({"type": "Digits", "individual_digits": False}), "Digits, together; ByteLevel", "one by one"),
        (bpe({"type": "Digits", "individual_digits": True}), "unmatched: ByteLevel;", "unmatched: Digits"),
        (bpe({"type": "Whitespace"}), '{"type": "Whitespace"}; ByteLevel', "Split"),
        (bpe(split(LLAMA3), normalizer={"type": "NFKC"}), 'normalizer {"type": "NFKC"}', "nothing"),
        (bpe(split("x"), normalizer={"type": "NFC"}), "Split regex x", "unmatched: normalizer"),
        ({"pre_tokenizer": None, "model": {}}, "there is no pre-tokenizer at all", "nothing"),
        ({"normalizer": {"type": "NFC"}, "model": {}}, "nothing follows", "no pre-tokenizer"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "add_prefix_space", "Split"),
    ],
    ids=[
        "near-miss regex", "other behaviour", "one more step", "string", "digits together", "bytes only",
        "unknown type", "unknown normalizer", "known normalizer", "nothing", "normalizer alone", "prefix",
    ],
)  # fmt: skip
def test_an_unknown_structure_is_shown_from_the_first_step_that_differs(
    tokenizer: Json, shown: str, hidden: str
) -> None:
    with pytest.raises(TokenizerError) as caught:
        recognise(tokenizer, (), "some/tokenizer.json")
    text = str(caught.value)
    before, _, listed = text.partition("; name it with --pre if you know")
    assert shown in before + ";"
    assert hidden not in before
    assert before.startswith("some/tokenizer.json: ")
    for entry in PRETOKENIZERS:
        assert entry.name in listed


def test_an_endless_regex_is_cut(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError) as caught:
        recognise(bpe(split("x" * 100_000)), (), "t.json")
    assert len(str(caught.value)) < 1500


def test_an_unknown_structure_loads_with_a_given_name(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    with pytest.raises(TokenizerError, match="not recognised"):
        draft.load()
    assert draft.load(pre="gpt-2")["tokenizer.ggml.pre"] == "gpt-2"


@pytest.mark.parametrize(
    ("name", "near"),
    [("llama-bp", "llama-bpe"), ("qwen-2", "qwen2"), ("gpt2", "gpt-2"), ("starcoder2", "starcoder")],
)
def test_an_unknown_name_suggests_the_nearest(name: str, near: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError) as caught:
        check_name(name)
    assert near in str(caught.value)
    with pytest.raises(TokenizerError, match="knows no pre-tokenizer of this name"):
        Draft("llama", tmp_path).load(pre=name)


def test_a_name_like_no_other_is_told_how_names_look() -> None:
    with pytest.raises(TokenizerError, match="such as llama-bpe, qwen2, gpt-2"):
        check_name("§§§§§§§§")


def test_the_runtimes_names_are_those_of_its_source() -> None:
    source = (oracles.llama_cpp() / "src" / "llama-vocab.cpp").read_text(encoding="utf-8")
    compared = {part.split('"')[1] for part in source.split("tokenizer_pre ==")[1:]}
    assert compared < RUNTIME_NAMES
    # those of WordPiece are not compared with anything; the converter writes them all the same
    converter = (oracles.llama_cpp() / "conversion" / "base.py").read_text(encoding="utf-8")
    written = {part.split('"')[1] for part in converter.split("res = ")[1:] if part.startswith('"')}
    assert compared | {"bert-bge", "bert-bge-large", "jina-v2-en"} == RUNTIME_NAMES
    assert written <= RUNTIME_NAMES


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("default", "bert", "jina-v2-en"),
        ("bert-bge", "bert", "jina-v2-en"),
        ("default", "gpt2", "default"),
        ("llama3", "gpt2", "llama-bpe"),
        ("llama-v3", "gpt2", "llama-bpe"),
        ("megrez", "gpt2", "qwen2"),
        ("phi-2", "gpt2", "gpt-2"),
    ],
)
def test_names_that_only_occur_in_files_have_a_structure(name: str, model: str, expected: str) -> None:
    assert by_name(name, model) == ENTRIES[expected]


@pytest.mark.parametrize(
    ("name", "model"), [("gemma4", "gpt2"), ("jina-v2-en", "gpt2"), ("gpt-2", "bert"), ("", "gpt2")]
)
def test_a_name_without_a_known_structure_cannot_be_exported(name: str, model: str) -> None:
    with pytest.raises(TokenizerError, match=r"structure is not known here|not on bytes") as caught:
        by_name(name, model)
    assert caught.value.key == "tokenizer.ggml.pre"
    assert caught.value.found == name


def test_a_real_file_names_what_the_table_has() -> None:
    assert by_name(str(stored(oracles.smollm2())["tokenizer.ggml.pre"]), "gpt2").name == "smollm"
