"""tekken.json: small files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gguf_tools.architectures import find
from gguf_tools.errors import GGUFToolsError, TokenizerError
from gguf_tools.spec import TokenType
from tests.tokenizers.tekken import SPECIAL, Tekken, token
from tests.tokenizers.variants import KINDS, Draft, differing, exported, loaded, tokenizer, write


def test_tokens_types_merges_and_ids(tmp_path: Path) -> None:
    tekken = Tekken()
    made = loaded(tekken.save(tmp_path), "llama")
    tokens, types = list(made["tokenizer.ggml.tokens"]), list(made["tokenizer.ggml.token_type"])
    assert made["tokenizer.ggml.pre"] == "tekken"
    assert tokens[:4] == ["<unk>", "<s>", "</s>", "[INST]"]
    assert tokens[SPECIAL - 4 : SPECIAL] == [f"<SPECIAL_{i}>" for i in range(SPECIAL - 4, SPECIAL)]
    assert tokens[SPECIAL + 10] == "Ċ"
    assert "Ġthe" in tokens
    assert types == [TokenType.CONTROL] * SPECIAL + [TokenType.NORMAL] * len(tekken.vocab)
    merges = list(made["tokenizer.ggml.merges"])
    # both ways to make " the", by the ranks of the parts
    assert [merge for merge in merges if merge.replace(" ", "") == "Ġthe"] == ["Ġ the", "Ġt he", "Ġth e"]
    ids = {key.rsplit(".", 1)[1]: value for key, value in made.items() if key.endswith("_token_id")}
    assert ids == {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, "padding_token_id": 11}
    assert made["tokenizer.ggml.add_bos_token"] is True
    assert made["tokenizer.ggml.add_eos_token"] is False


def test_the_llama_table_looks_for_it() -> None:
    assert find({"architectures": ["MistralForCausalLM"]}).tokenizer_kinds == KINDS["llama"]


def test_a_tokenizer_json_is_asked_first(tmp_path: Path) -> None:
    expected = loaded(tokenizer("llama", tmp_path / "without"), "llama", pre="llama-bpe")
    directory = Tekken().save(tokenizer("llama", tmp_path / "with"))
    assert differing(loaded(directory, "llama", pre="llama-bpe"), expected) == {}


def test_it_is_asked_before_a_tokenizer_model(tmp_path: Path) -> None:
    directory = tokenizer("mistral", tmp_path)
    (directory / "tokenizer.json").unlink()
    write(directory / "config.json", {"vocab_size": 400})
    assert loaded(Tekken().save(directory), "llama")["tokenizer.ggml.model"] == "gpt2"


def test_another_architecture_says_what_is_needed(tmp_path: Path) -> None:
    draft = Draft("qwen2", tmp_path)
    draft.files = dict.fromkeys(("tokenizer.json", "vocab.json", "merges.txt"))
    Tekken().save(draft.save())
    (tmp_path / "tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(TokenizerError, match=r"take the tokenizer\.json of this one"):
        loaded(tmp_path, "qwen2")


def test_ids_up_to_the_models_size_are_padding(tmp_path: Path) -> None:
    tekken = Tekken()
    count = tekken.config["default_vocab_size"]
    write(tmp_path / "config.json", {"vocab_size": count + 3})
    made = loaded(tekken.save(tmp_path), "llama")
    assert list(made["tokenizer.ggml.tokens"])[count:] == [f"[PAD{count + i}]" for i in range(3)]
    assert list(made["tokenizer.ggml.token_type"])[count:] == [TokenType.UNUSED] * 3


def test_a_chat_template_of_the_checkpoint_counts_more_than_the_name_of_one(tmp_path: Path) -> None:
    tekken = Tekken()
    assert loaded(tekken.save(tmp_path), "llama")["tokenizer.chat_template"] == "mistral-v3-tekken"
    (tmp_path / "chat_template.jinja").write_text("own", encoding="utf-8")
    assert loaded(tmp_path, "llama")["tokenizer.chat_template"] == "own"
    (tmp_path / "chat_template.jinja").unlink()
    tekken.config["version"] = "v5"
    assert "tokenizer.chat_template" not in loaded(tekken.save(tmp_path), "llama")


def test_another_pattern_needs_a_name(tmp_path: Path) -> None:
    tekken = Tekken()
    tekken.config["pattern"] = r"\w+"
    with pytest.raises(TokenizerError, match=r"not recognised; unmatched: Split regex \\w\+"):
        loaded(tekken.save(tmp_path), "llama")
    assert loaded(tmp_path, "llama", pre="gpt-4o")["tokenizer.ggml.pre"] == "gpt-4o"


def test_an_exported_vocabulary_loads_as_the_same(tmp_path: Path) -> None:
    """From tokenizer.json, which has no scores and no names for templates that are not written out."""
    first = loaded(Tekken().save(tmp_path), "llama")
    config = {"vocab_size": len(first["tokenizer.ggml.tokens"])}
    again = loaded(exported(first, tmp_path / "again", config), "llama")
    del first["tokenizer.ggml.scores"]
    assert differing(again, first) == {}


def _set(place: int, **values: Any) -> Callable[[Tekken], None]:
    return lambda tekken: tekken.vocab[place].update(values)


def _config(**values: Any) -> Callable[[Tekken], None]:
    return lambda tekken: tekken.config.update(values)


def _special(*entries: Any, version: str = "v7") -> Callable[[Tekken], None]:
    def change(tekken: Tekken) -> None:
        tekken.config["version"] = version
        tekken.document["special_tokens"] = list(entries)

    return change


def _named(rank: Any, text: Any) -> dict[str, Any]:
    return {"rank": rank, "token_str": text, "is_control": True}


@pytest.mark.parametrize(
    ("change", "message", "key"),
    [
        (lambda t: t.document.pop("config"), "the version is unusable", "config.version"),
        (lambda t: t.document.update(config=[]), "must be an object", "config"),
        (_config(version=None), "the version is unusable", "config.version"),
        (_config(version=3), "the version is unusable", "config.version"),
        (_config(version="v" + "9" * 5000), "the version is unusable", "config.version"),
        (_config(pattern=None), "there is no pattern", "config.pattern"),
        (_config(default_vocab_size=None), "a number of tokens is unusable", "config.default_vocab_size"),
        (_config(default_vocab_size=True), "a number of tokens is unusable", "config.default_vocab_size"),
        (_config(default_vocab_size=1 << 40), "a number of tokens is unusable", "config.default_vocab_size"),
        (_config(default_vocab_size=1 << 20), "do not fit together", "vocab"),
        (_config(default_vocab_size=SPECIAL), "do not fit together", "vocab"),
        (_config(default_vocab_size=SPECIAL + 255), "do not fit together", "vocab"),
        (_config(default_num_special_tokens=-1), "unusable", "config.default_num_special_tokens"),
        (_config(default_num_special_tokens="24"), "unusable", "config.default_num_special_tokens"),
        (_config(default_num_special_tokens=19), "more special tokens than", "special_tokens"),
        (_config(version="v11"), "must list its special tokens", "special_tokens"),
        (_special("x"), "must be an object", "special_tokens"),
        (_special(_named(0, None)), "has no text", "special_tokens"),
        (_special(_named(0, "")), "has no text", "special_tokens"),
        (_special(_named(1, "<s>")), "in the order of their ranks", "special_tokens"),
        (_special(_named(False, "<s>")), "in the order of their ranks", "special_tokens"),
        (_special(_named(0, "<s>"), _named(1, "<s>")), "have the same text", "special_tokens"),
        (_special(_named(0, "<SPECIAL_7>")), "have the same text", "special_tokens"),
        (lambda t: t.document.update(special_tokens={}), "must be a list", "special_tokens"),
        (lambda t: t.document.update(vocab=None), "do not fit together", "vocab"),
        (lambda t: t.document.update(vocab={}), "must be a list", "vocab"),
        (lambda t: t.vocab.__setitem__(3, None), "in the order of their ranks", "vocab"),
        (lambda t: t.vocab.__setitem__(3, "x"), "must be an object", "vocab"),
        (_set(260, rank=261), "in the order of their ranks", "vocab"),
        (_set(260, rank="260"), "in the order of their ranks", "vocab"),
        (_set(260, rank=1 << 70), "in the order of their ranks", "vocab"),
        (_set(65, token_bytes="QQE="), "must be the bytes in order", "vocab"),
        (_set(260, token_bytes="!!!"), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes="dGg"), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes="é"), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes=""), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes=None), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes=7), "token 260 is not base64", "vocab.token_bytes"),
        (_set(260, token_bytes="A" * 1_000_000), "token 260 is not base64 of 1 to", "vocab.token_bytes"),
        (lambda t: t.vocab.__setitem__(260, token(260, b"th")), "two tokens are the same", "vocab"),
        (lambda t: t.vocab.__setitem__(260, token(260, b"xyz")), "cannot be made of two others", "vocab"),
    ],
)
def test_a_broken_file_is_refused(
    change: Callable[[Tekken], Any], message: str, key: str, tmp_path: Path
) -> None:
    tekken = Tekken()
    write(tmp_path / "config.json", {"vocab_size": 400})
    change(tekken)
    with pytest.raises(TokenizerError, match=message) as caught:
        loaded(tekken.save(tmp_path), "llama")
    assert caught.value.key == key
    assert str(caught.value).startswith(str(tmp_path / "tekken.json"))
    assert len(str(caught.value)) < 600


def test_a_model_with_fewer_tokens_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"vocab_size": 270})
    with pytest.raises(TokenizerError, match="more tokens than the model"):
        loaded(Tekken().save(tmp_path), "llama")


@pytest.mark.parametrize("contents", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_bytes(contents)
    with pytest.raises(GGUFToolsError, match=r"tekken\.json"):
        loaded(tmp_path, "llama")
