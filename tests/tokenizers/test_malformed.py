"""Tokenizer files and vocabularies that are broken or hostile: typed errors that say where, soon."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf_tools.checkpoint.json_files import MAX_JSON_BYTES
from gguf_tools.container.metadata import Array
from gguf_tools.errors import CheckpointError, GGUFToolsError, TokenizerError
from gguf_tools.spec import ValueType
from gguf_tools.tokenizers import export, load
from gguf_tools.tokenizers.vocabulary import MAX_TOKENS
from tests.tokenizers.variants import ARCHITECTURE, KINDS, Draft, Json, added, loaded, traits

SOON = 5.0  # seconds of computing, which only something that hangs takes
"""Seconds a refusal may take."""

BASES = ("llama", "qwen2", "bert", "mistral", "llama-hf", "internlm2")

SIDE_FILES: Json = {
    "special_tokens_map.json": {"pad_token": {"content": "x"}, "additional_special_tokens": ["y"]},
    "added_tokens.json": {"zz": 525},
    "chat_template.json": {"chat_template": [{"name": "a", "template": "b"}]},
}
"""Files of old checkpoints, read where tokenizer_config.json has no ``added_tokens_decoder``."""

WRONG: tuple[Any, ...] = (
    *(None, True, -1, 7, 1 << 70, 1.5, float("nan"), "", "x", "\ud800"),
    *([], [None], [[]], ["a", "b", "c"], {}, {"x": 1}, {"type": "Sequence"}, {"content": 3}),
)
"""Values of every JSON type, and some that look right from afar."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def hurdle(action: Callable[[], Any]) -> GGUFToolsError | None:
    """The typed error an action ends with, or None; it must be quick, and other errors are failures."""
    started = time.process_time()
    try:
        action()
    except GGUFToolsError as error:
        found: GGUFToolsError | None = error
    else:
        found = None
    assert time.process_time() - started < SOON
    return found


def refused(draft: Draft, message: str, *, pre: str | None = None) -> GGUFToolsError:
    """The error loading ends with, which names a file of the directory and says ``message``."""
    started = time.process_time()
    with pytest.raises((TokenizerError, CheckpointError), match=message) as caught:
        draft.load(pre=pre)
    assert time.process_time() - started < SOON
    assert str(caught.value.path).startswith(str(draft.directory))
    return caught.value


# wrong JSON types everywhere


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to the values of a document; of lists and vocabularies the first two."""
    yield at
    if isinstance(document, dict):
        keys = list(document)
        for key in keys[:2] if at[-1:] in {("vocab",), ("added_tokens_decoder",)} else keys:
            yield from places(document[key], (*at, key))
    elif isinstance(document, list):
        for place in range(min(2, len(document))):
            yield from places(document[place], (*at, place))


def put(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy of a document with another value at a path."""
    if not at:
        return value
    copied = copy.deepcopy(document)
    inner = copied
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return copied


class Target:
    """A tiny tokenizer of which one value after the other is replaced."""

    def __init__(self, base: str, directory: Path) -> None:
        draft = Draft(base, directory)
        self.directory, self.architecture = directory, draft.architecture
        self.documents = {
            "tokenizer.json": draft.tokenizer,
            "tokenizer_config.json": draft.settings,
            "config.json": draft.config,
        }
        if base == "llama-hf":
            for key in ("added_tokens_decoder", "chat_template"):
                del draft.settings[key]
            self.documents |= SIDE_FILES
        for name in self.documents:
            self.write(name, self.documents[name])

    def write(self, name: str, document: Any) -> None:
        (self.directory / name).write_text(json.dumps(document), encoding="utf-8")

    def attempt(self, name: str, at: tuple[Any, ...], value: Any) -> bool:
        """Load, and export what comes out, with another value at one place; whether that was refused."""
        changed = put(self.documents[name], at, value)
        self.write(name, changed)
        config = changed if name == "config.json" else self.documents["config.json"]
        try:
            return bool(
                hurdle(
                    lambda: export(
                        load(
                            self.directory,
                            config if isinstance(config, dict) else {},
                            kinds=KINDS[self.architecture],
                            traits=traits(self.architecture),
                        )
                    )
                )
            )
        finally:
            self.write(name, self.documents[name])


@pytest.mark.parametrize("base", BASES)
def test_a_wrong_value_anywhere_is_taken_or_refused(base: str, tmp_path: Path) -> None:
    """Another value at each place in turn, a different few of them for each kind of tokenizer."""
    target = Target(base, tmp_path)
    outcomes = [
        target.attempt(name, at, WRONG[(number * 5 + offset * 7 + BASES.index(base)) % len(WRONG)])
        for name, document in target.documents.items()
        for number, at in enumerate(places(document))
        for offset in range(1 + (base == "bert"))
    ]
    assert any(outcomes)
    assert not all(outcomes)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("base", BASES)
def test_any_json_value_anywhere_is_taken_or_refused(base: str, tmp_path: Path, data: st.DataObject) -> None:
    target = Target(base, tmp_path)
    name = data.draw(st.sampled_from(sorted(target.documents)))
    at = data.draw(st.sampled_from(list(places(target.documents[name]))))
    target.attempt(name, at, data.draw(json_values))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
@pytest.mark.parametrize(
    "contents",
    [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b'{"a": 1}x', b"[" * 100_000, b"1" * 5_000, b"\0" * 64],
    ids=["empty", "cut", "list", "null", "utf-16", "tail", "nested", "digits", "zeros"],
)  # fmt: skip
def test_files_that_are_not_json_objects(name: str, contents: bytes, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.save()
    (tmp_path / name).write_bytes(contents)
    error = hurdle(lambda: load(tmp_path, draft.config, kinds=KINDS["llama"], traits=traits("llama")))
    if name != "tokenizer.json" and contents == b"null":
        assert error is None  # as good as no file
    else:
        assert error is not None
        assert error.path == str(tmp_path / name)


@pytest.mark.parametrize(
    ("start", "hint"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"<!DOCTYPE html>", "HTML page")],
)
def test_a_file_of_another_kind_is_named(start: bytes, hint: str, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.save()
    (tmp_path / "tokenizer.json").write_bytes(start)
    with pytest.raises(TokenizerError, match=hint):
        loaded(tmp_path, "llama")


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "tokenizer.model", "chat_template.jinja"]
)
def test_files_larger_than_any_real_one(name: str, tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.settings.pop("chat_template")
    draft.save()
    with (tmp_path / name).open("ab") as file:
        file.truncate(MAX_JSON_BYTES + 1)  # a hole: it takes no place on the disk
    error = hurdle(lambda: loaded(tmp_path, "llama"))
    assert error is not None
    assert "too large" in str(error)
    assert error.path == str(tmp_path / name)


def test_a_template_that_is_not_utf8(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.settings.pop("chat_template")
    draft.save()
    (tmp_path / "chat_template.jinja").write_bytes(b"ab\xff")
    with pytest.raises(TokenizerError, match="not UTF-8") as caught:
        loaded(tmp_path, "llama")
    assert caught.value.offset == 2


HALVES = tuple(map(chr, (0xD800, 0xDCFF, 0xDFFF)))


@pytest.mark.parametrize("half", HALVES, ids=["first", "second", "last"])
def test_half_a_character_is_no_text(half: str, tmp_path: Path) -> None:
    """JSON can spell it; in GGUF it would become a byte that is not UTF-8."""
    draft = Draft("llama", tmp_path)
    draft.vocab[half] = draft.vocab.pop("Ġthe")
    draft.files["tokenizer.json"] = json.dumps(draft.tokenizer)
    refused(draft, "lone surrogate")


def test_whole_characters_may_be_spelled_as_two_halves(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.config["vocab_size"] = 526
    draft.add("🦉", normalized=True)
    draft.save()
    (tmp_path / "tokenizer.json").write_text(json.dumps(draft.tokenizer), encoding="ascii")
    assert loaded(tmp_path, "llama")["tokenizer.ggml.tokens"][525] == "🦉"


# missing files


@pytest.mark.parametrize(
    ("present", "kinds", "hint"),
    [
        ((), ("spm", "bpe"), r"expected tokenizer.model or tokenizer.json"),
        ((), ("wordpiece",), r"expected tokenizer.json"),
        (("tekken.json",), ("spm", "bpe"), "tekken.json is for Mistral's models"),
        (("vocab.txt",), ("wordpiece",), "save it as a fast tokenizer"),
        (("vocab.json", "merges.txt"), ("bpe",), "save it as a fast tokenizer"),
    ],
)
def test_missing_files(present: tuple[str, ...], kinds: tuple[str, ...], hint: str, tmp_path: Path) -> None:
    for name in present:
        (tmp_path / name).write_text("{}")
    with pytest.raises(TokenizerError, match=hint) as caught:
        load(tmp_path, {}, kinds=kinds, traits=traits("llama"))
    assert caught.value.path == str(tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no tokenizer is found"):
        load(tmp_path / "gone", {}, kinds=("spm", "bpe"), traits=traits("llama"))


# vocabularies


@pytest.mark.parametrize(
    "token_id", [-1, -(1 << 70), 1 << 31, 1 << 64, 1.0, True, None, "7", [7], {}, MAX_TOKENS]
)
def test_unusable_ids_of_the_model(token_id: Any, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.vocab["Ġthe"] = token_id
    error = refused(draft, "a token's id is unusable")
    assert error.key == "Ġthe"


@pytest.mark.parametrize("token_id", [-1, 1 << 31, 1.0, True, "7", [7]])
@pytest.mark.parametrize("where", ["added_tokens", "added_tokens.json"])
def test_unusable_ids_of_added_tokens(token_id: Any, where: str, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    if where == "added_tokens":
        draft.tokenizer["added_tokens"].append({"id": token_id} | added("<x>"))
    else:
        del draft.settings["added_tokens_decoder"]
        draft.files[where] = {"<x>": token_id}
    error = refused(draft, "a token's id is unusable")
    assert error.key == "<x>"


@pytest.mark.parametrize("token_id", [-1, 1.0, True, "7", None])
def test_unusable_ids_added_to_sentencepiece(token_id: Any, tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.files["added_tokens.json"] = {"<x>": token_id}
    error = refused(draft, "a token's id is unusable")
    assert error.key == "<x>"


@pytest.mark.parametrize("base", ["llama", "mistral"])
@pytest.mark.parametrize("key", ["-1", "x", "", "1.0", "9" * 5000, "12345678901"])
def test_unusable_keys_of_added_tokens_decoder(base: str, key: str, tmp_path: Path) -> None:
    draft = Draft(base, tmp_path)
    draft.settings["added_tokens_decoder"][key] = added("<x>")
    error = refused(draft, "a token's id is unusable")
    assert error.key == "added_tokens_decoder"
    assert len(str(error)) < 1000


def test_two_tokens_of_the_model_with_one_id(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.vocab["Ġthe"] = draft.vocab["!"]
    refused(draft, "two tokens have the same id")


@pytest.mark.parametrize(("token_id", "expected"), [(524, 525), (526, 525), (0, 525)])
def test_an_added_token_at_another_id_than_it_gets(token_id: int, expected: int, tmp_path: Path) -> None:
    """The tokenizers package numbers them itself and only warns."""
    draft = Draft("llama", tmp_path)
    draft.tokenizer["added_tokens"].append({"id": token_id} | added("<x>"))
    error = refused(draft, "gets another id than the file says")
    assert (error.key, error.found, error.expected) == ("<x>", token_id, str(expected))


def test_an_added_token_of_the_model_at_another_id(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["added_tokens"].append({"id": 525} | added("Ġthe"))
    error = refused(draft, "gets another id than the file says")
    assert error.expected == str(draft.vocab["Ġthe"])


def test_an_added_token_in_a_hole_that_is_taken(tmp_path: Path) -> None:
    """Ids from 1 on: the next one by count is that of the last token."""
    draft = Draft("llama", tmp_path)
    draft.tokenizer["added_tokens"] = []
    for text in draft.vocab:
        draft.vocab[text] += 1
    refused(draft, "two tokens have the same id")


def test_a_vocabulary_larger_than_the_model(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.config["vocab_size"] = 524
    error = refused(draft, "lies beyond the model's vocabulary")
    assert (error.key, error.found, error.expected) == ("<|eot_id|>", 524, "less than vocab_size 524")


@pytest.mark.parametrize("size", [0, -1, MAX_TOKENS + 1, 1 << 62, 1.5, "512", True, [512]])
@pytest.mark.parametrize("base", ["llama", "mistral"])
@pytest.mark.parametrize("nested", [False, True])
def test_unusable_vocabulary_sizes(size: Any, base: str, nested: bool, tmp_path: Path) -> None:
    draft = Draft(base, tmp_path)
    draft.config["text_config" if nested else "vocab_size"] = {"vocab_size": size} if nested else size
    error = refused(draft, "the vocabulary size is unusable")
    assert error.key == "vocab_size"


def test_the_largest_vocabulary_is_padded_in_time(tmp_path: Path) -> None:
    draft = Draft("mistral", tmp_path)
    draft.config["vocab_size"] = MAX_TOKENS
    started = time.process_time()
    assert len(draft.load()["tokenizer.ggml.tokens"]) == MAX_TOKENS
    assert time.process_time() - started < 10


@pytest.mark.parametrize("size", [-1, 1 << 32, 1.5, "2", True, None])
def test_unusable_numbers_of_token_types(size: Any, tmp_path: Path) -> None:
    draft = Draft("bert", tmp_path)
    draft.config["type_vocab_size"] = size
    assert refused(draft, "number of token types").key == "type_vocab_size"


@pytest.mark.parametrize("vocabulary", [None, [], {}, "x", [["a", -1.0]], 7])
def test_a_vocabulary_that_is_no_table(vocabulary: Any, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["model"]["vocab"] = vocabulary
    assert refused(draft, "not a table of tokens and ids").key == "model.vocab"


@pytest.mark.parametrize(
    ("base", "kind"), [("llama", "WordPiece"), ("llama", "Unigram"), ("bert", "WordLevel"), ("bert", 7)]
)
def test_a_model_of_another_kind(base: str, kind: Any, tmp_path: Path) -> None:
    draft = Draft(base, tmp_path)
    draft.tokenizer["model"]["type"] = kind
    assert refused(draft, "of a kind this architecture cannot use").key == "model.type"


def test_a_hole_in_a_vocabulary_made_of_sentencepiece(tmp_path: Path) -> None:
    draft = Draft("llama-hf", tmp_path)
    draft.vocab["▁the"] = 700
    refused(draft, "no token has this id")


# merges


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ("h nowhere", "names a token that is not in the vocabulary"),
        ("nowhere e", "names a token that is not in the vocabulary"),
        (["h", "nowhere"], "names a token that is not in the vocabulary"),
        ("h q", "names a token that is not in the vocabulary"),  # there is no "hq"
        ("he", "is not a pair of tokens"),
        ("h e l", "is not a pair of tokens"),
        ("", "is not a pair of tokens"),
        (["h"], "is not a pair of tokens"),
        (["h", "e", "l"], "is not a pair of tokens"),
        (["h", 7], "is not a pair of tokens"),
        (["h", None], "is not a pair of tokens"),
        (7, "is not a pair of tokens"),
        (None, "is not a pair of tokens"),
        ({"h": "e"}, "is not a pair of tokens"),
    ],
)
def test_merges(merge: Any, message: str, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["model"]["merges"].insert(3, merge)
    error = refused(draft, f"merge 3 {message}")
    assert error.key == "model.merges"


@pytest.mark.parametrize("merges", [{}, "h e", 7, True])
def test_merges_that_are_no_list(merges: Any, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["model"]["merges"] = merges
    assert refused(draft, "must be a list").key == "model.merges"


# what takes forever


def test_decoders_that_multiply_a_text(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    double = {"type": "Replace", "pattern": {"String": "<"}, "content": "<<"}
    draft.tokenizer["decoder"] = {"type": "Sequence", "decoders": [double] * 60}
    error = hurdle(draft.load)
    assert error is not None
    assert "too long a text" in str(error)


def test_too_many_decoders(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["decoder"] = {"type": "Sequence", "decoders": [{"type": "Fuse"}] * 100_000}
    refused(draft, "too many decoders")


@pytest.mark.parametrize(
    "decoder",
    [
        {"type": "Strip", "content": "", "start": 1 << 60, "stop": 1 << 60},
        {"type": "Strip", "content": "<", "start": 1 << 60, "stop": -5},
        {"type": "Replace", "pattern": {"String": ""}, "content": "x" * 10_000},
        {"type": "Metaspace", "replacement": ""},
    ],
)
def test_decoders_that_find_nothing_end(decoder: Json, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer["decoder"] = decoder
    assert hurdle(draft.load) is None


def test_an_added_token_as_long_as_a_book(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.add("x" * 1_000_000)
    error = hurdle(draft.load)
    assert error is not None
    assert len(str(error)) < 500


def test_a_pre_tokenizer_of_very_many_steps(tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    step = {"type": "Split", "pattern": {"String": "x" * 100}, "behavior": "Isolated", "invert": False}
    draft.tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [step] * 10_000}
    error = refused(draft, "and 9992 more")
    assert len(str(error)) < 5_000


@pytest.mark.parametrize(
    ("key", "inner"),
    [("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("decoder", "decoders")],
)
@pytest.mark.parametrize("depth", [50, 400, 50_000])
def test_deep_nesting(key: str, inner: str, depth: int, tmp_path: Path) -> None:
    draft = Draft("llama", tmp_path)
    draft.tokenizer[key] = "HERE"
    text = json.dumps(draft.tokenizer)
    nested = f'{{"type": "Sequence", "{inner}": [' * depth + "]}" * depth
    draft.save()
    (tmp_path / "tokenizer.json").write_text(text.replace('"HERE"', nested), encoding="utf-8")
    error = hurdle(lambda: loaded(tmp_path, "llama"))
    assert error is not None or key != "pre_tokenizer"
    if depth == 50_000:
        assert error is not None
        assert "nested too deeply" in str(error)


# exports


def vocabulary(**changes: Any) -> dict[str, Any]:
    """A small byte-level vocabulary; None removes a key, ``__`` stands for the dots after ``ggml``."""
    values: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": Array(ValueType.STRING, ["a", "b", "ab", "<|x|>"]),
        "tokenizer.ggml.token_type": Array(ValueType.INT32, [1, 1, 1, 3]),
        "tokenizer.ggml.merges": Array(ValueType.STRING, ["a b"]),
        "tokenizer.ggml.eos_token_id": 3,
    }
    values |= {f"tokenizer.ggml.{name}": value for name, value in changes.items()}
    return {key: value for key, value in values.items() if value is not None}


def texts(*values: str) -> Array:
    return Array(ValueType.STRING, values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "plamo2"}, "vocabularies of this kind cannot be exported"),
        ({"model": 7}, "vocabularies of this kind cannot be exported"),
        ({"pre": "gemma4"}, "its BPE works on characters"),
        ({"pre": 7}, "structure is not known here"),
        ({"tokens": None}, "the vocabulary is incomplete"),
        ({"tokens": texts()}, "the vocabulary is incomplete"),
        ({"tokens": ["a", "b"]}, "the vocabulary is incomplete"),
        ({"tokens": Array(ValueType.INT32, [1, 2, 3, 4])}, "tokens must be texts"),
        ({"tokens": texts("a", "b", "ab")}, "the vocabulary is incomplete"),
        ({"tokens": texts("a", "b", "a", "<|x|>"), "merges": None}, "two tokens have the same text"),
        ({"tokens": texts("a", "b", "ab", "\udcff")}, "is not UTF-8"),
        ({"token_type": Array(ValueType.INT32, [1, 1, 1])}, "the vocabulary is incomplete"),
        ({"token_type": Array(ValueType.INT32, [1, 1, 1, 0])}, "token 3 is of an unknown type"),
        ({"token_type": Array(ValueType.INT32, [1, 1, 1, 7])}, "token 3 is of an unknown type"),
        ({"token_type": Array(ValueType.INT32, [1, 1, -1, 3])}, "token 2 is of an unknown type"),
        ({"token_type": texts("1", "1", "1", "3")}, "token 0 is of an unknown type"),
        ({"token_type": Array(ValueType.FLOAT32, [1, 1, 1, 3])}, "token 0 is of an unknown type"),
        ({"token_type": 7}, "the vocabulary is incomplete"),
        ({"merges": texts("ab")}, "merge 0 is no pair of tokens"),
        ({"merges": texts("a b", "a b ab")}, "merge 1 is no pair of tokens"),
        ({"merges": texts("a nowhere")}, "merge 0 is no pair of tokens"),
        ({"merges": texts("b a")}, "merge 0 is no pair of tokens"),
        ({"merges": texts("")}, "merge 0 is no pair of tokens"),
        ({"merges": texts("\udcff b")}, "merge 0 is no pair of tokens"),
        ({"merges": Array(ValueType.INT32, [1])}, "merges must be a list of texts"),
        ({"merges": "a b"}, "merges must be a list of texts"),
        ({"model": "llama"}, "the vocabulary is incomplete"),
        ({"model": "llama", "scores": Array(ValueType.FLOAT32, [1, 2, 3])}, "the vocabulary is incomplete"),
        ({"model": "llama", "scores": Array(ValueType.INT32, [1, 2, 3, 4])}, "not a number of 32 bits"),
        ({"model": "llama", "scores": Array(ValueType.FLOAT32, [1, 2, 3, float("nan")])}, "not a number"),
        ({"model": "llama", "scores": Array(ValueType.FLOAT64, [1, 2, 3, 1e300])}, "not a number of 32 bits"),
    ],
)
def test_vocabularies_that_cannot_be_exported(changes: Json, message: str) -> None:
    with pytest.raises(TokenizerError, match=message) as caught:
        export(vocabulary(**changes))
    assert str(caught.value.key).startswith("tokenizer.ggml.")


def test_a_chat_template_that_is_not_utf8_cannot_be_exported() -> None:
    with pytest.raises(TokenizerError, match="cannot be written: a text is not UTF-8"):
        export(vocabulary() | {"tokenizer.chat_template": "a\udcffb"})


def test_a_very_long_sentencepiece_token_cannot_be_exported() -> None:
    tokens = texts("<unk>", "a", "a" * 100_000)
    scores = Array(ValueType.FLOAT32, [0.0, -1.0, -2.0])
    types = Array(ValueType.INT32, [2, 1, 1])
    changed = vocabulary(model="llama", tokens=tokens, scores=scores, token_type=types, merges=None)
    assert "too long" in str(hurdle(lambda: export(changed)))


@pytest.mark.parametrize("value", [None, True, -1, 4, 1 << 70, 1.5, "3", [], texts("3")])
def test_special_ids_that_name_no_token_are_no_role(value: Any) -> None:
    written = json.loads(export(vocabulary(eos_token_id=value))["special_tokens_map.json"])
    assert written == {}


def test_types_may_be_missing() -> None:
    written = json.loads(export(vocabulary(token_type=None, eos_token_id=None))["tokenizer.json"])
    assert written["added_tokens"] == []
    assert written["model"]["vocab"] == {"a": 0, "b": 1, "ab": 2, "<|x|>": 3}


METADATA_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        5,
        1 << 70,
        1.5,
        float("nan"),
        float("inf"),
        "",
        "x",
        "\udcff",
        [],
        ["x"],
        {},
        object(),
    ),
    *(texts(), texts("x"), Array(ValueType.INT32, [1]), Array(ValueType.FLOAT32, [1.0])),
    *(Array(ValueType.BOOL, [True]), Array(ValueType.ARRAY, [Array(ValueType.INT32, [1])])),
)


@pytest.mark.parametrize("base", ARCHITECTURE)
def test_any_value_of_any_key_is_exported_or_refused(base: str, tmp_path: Path) -> None:
    metadata: dict[str, Any] = dict(Draft(base, tmp_path).load())
    metadata |= {"general.architecture": "llama", "llama.context_length": 5}
    metadata.setdefault("tokenizer.chat_templates", texts("a"))
    metadata.setdefault("tokenizer.chat_template.a", "b")
    keys = [
        *metadata,
        "tokenizer.ggml.merges",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.normalizer.lowercase",
    ]
    for key in keys:
        for value in METADATA_VALUES:
            hurdle(lambda: export(metadata | {key: value}))  # noqa: B023
