"""tokenizer.json of an exported vocabulary, in the format of the ``tokenizers`` package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from ..spec import TokenType
from . import unigram_json
from .decoders import decoded, decoder_parts
from .export_vocab import Spelling
from .merges import merges_by_id, merges_by_score

__all__ = ["added_token", "tokenizer_json"]

Json: TypeAlias = Mapping[str, Any]

_REPLACE_SPACE: Final = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_RESTORE_SPACE: Final = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
_BYTE_LEVEL: Final = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
_ROBERTA: Final = {"trim_offsets": True, "add_prefix_space": False}


def tokenizer_json(spelling: Spelling) -> dict[str, Any]:
    """The whole file."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": token_id, **added_token(spelling, token_id)} for token_id in spelling.added],
        "normalizer": _normalizer(spelling),
        "pre_tokenizer": _pre_tokenizer(spelling),
        "post_processor": _post_processor(spelling),
        "decoder": _decoder(spelling),
        "model": _model(spelling),
    }


def added_token(spelling: Spelling, token_id: int) -> dict[str, Any]:
    """An added token, as it stands in tokenizer.json and tokenizer_config.json.

    What is not matched after normalization only is loaded as the text it is decoded to. That must be the
    text GGUF has: it is for tokens spelled as merges have them, otherwise where decoding changes nothing.
    """
    text = spelling.texts[token_id]
    stored = spelling.metadata["tokenizer.ggml.tokens"][token_id]
    plain = decoded(text, decoder_parts(_decoder(spelling), ""), clean_up=False) == text
    return {
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": not plain and text == stored and spelling.structure is not None,
        "special": spelling.types[token_id] is not TokenType.USER_DEFINED,
    }


def _pre_tokenizer(spelling: Spelling) -> Json | None:
    if spelling.model == "t5":
        return unigram_json.metaspace(spelling)
    return spelling.structure.pre_tokenizer if spelling.structure else None


def _normalizer(spelling: Spelling) -> Json | None:
    if spelling.model == "t5":
        return unigram_json.normalizer(spelling)
    if spelling.structure is None:
        if spelling.adds_space:
            return {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, _REPLACE_SPACE]}
        return _REPLACE_SPACE
    normalizer = spelling.structure.normalizer
    if normalizer is None or normalizer.get("type") != "BertNormalizer":
        return normalizer
    stored = {
        name: value
        for name in ("lowercase", "strip_accents")
        if isinstance(value := spelling.metadata.get(f"tokenizer.ggml.normalizer.{name}"), bool)
    }
    return {**normalizer, **stored}


def _decoder(spelling: Spelling) -> Json:
    if spelling.model == "gpt2":
        return _BYTE_LEVEL
    if spelling.model == "bert":
        return {"type": "WordPiece", "prefix": "##", "cleanup": True}
    if spelling.model == "t5":
        return unigram_json.metaspace(spelling)
    decoders: list[Json] = [_RESTORE_SPACE, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if spelling.adds_space:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": decoders}


def _model(spelling: Spelling) -> Json:
    if spelling.model == "t5":
        return unigram_json.model(spelling)
    ids = _base_ids(spelling)
    texts, types, scores = spelling.texts, spelling.types, spelling.scores
    merges = spelling.merges
    made = {text for left, right in merges for text in (left, right, left + right)}
    if not made.issubset(texts[token_id] for token_id in ids):
        ids = _used_ids(spelling)
    vocabulary = {texts[token_id]: token_id for token_id in ids}
    if spelling.model == "bert":
        return {
            "type": "WordPiece",
            "unk_token": spelling.roles.get("unk", "[UNK]"),
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        }
    unknown: str | None = None
    if scores is not None:
        normal = [i for i in ids if types[i] is TokenType.NORMAL]
        if spelling.scored:
            merges = merges_by_score(
                [(texts[i], scores[i], i) for i in normal],
                [texts[i] for i in ids if types[i] is TokenType.USER_DEFINED],
                vocabulary,
            )
        else:
            merges = merges_by_id([texts[i] for i in normal], vocabulary)
        unknowns = (texts[i] for i in ids if types[i] is TokenType.UNKNOWN)
        unknown = spelling.roles.get("unk") or next(unknowns, None)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": scores is not None,
        "byte_fallback": scores is not None,
        "ignore_merges": bool(spelling.structure and spelling.structure.ignore_merges),
        "vocab": vocabulary,
        "merges": merges,
    }


def _base_ids(spelling: Spelling) -> Sequence[int]:
    """Ids of the model's own vocabulary.

    Added tokens at the end stay out of it, as in published files: ids after the model's are given out in
    order. Where ids are missing that would shift them, so then the model holds every token.
    """
    used = _used_ids(spelling)
    if spelling.scored or used != list(range(len(used))):
        return used
    end = len(used)
    if spelling.scores is not None:
        # without scores only user-defined tokens are known to come after the model's
        return range(next((i for i in used if spelling.types[i] is TokenType.USER_DEFINED), end))
    added = set(spelling.added)
    while end and end - 1 in added:
        end -= 1
    return range(end) if end else used


def _used_ids(spelling: Spelling) -> Sequence[int]:
    """Ids that have a token."""
    return [token_id for token_id in range(len(spelling.texts)) if token_id not in spelling.padding]


def _post_processor(spelling: Spelling) -> Json | None:
    parts: list[Json] = []
    if spelling.structure and spelling.structure.sign.processor == "RobertaProcessing":
        ends = [spelling.roles.get(role) for role in ("eos", "bos") if spelling.flag(role)]
        if len(ends) == 2 and all(ends) and spelling.flag("sep"):
            sep, cls = ([text, spelling.texts.index(str(text))] for text in ends)
            return {"type": "RobertaProcessing", "sep": sep, "cls": cls, **_ROBERTA}
    if spelling.model == "gpt2" and spelling.flag("bos") is not None and spelling.flag("eos") is not None:
        parts.append({**_BYTE_LEVEL, "trim_offsets": False})
    bos, eos = (spelling.roles.get(role) if spelling.flag(role) else None for role in ("bos", "eos"))
    if bos or eos:
        parts.append(_template(spelling, bos, eos))
    if len(parts) > 1:
        return {"type": "Sequence", "processors": parts}
    return parts[0] if parts else None


def _template(spelling: Spelling, bos: str | None, eos: str | None) -> Json:
    """The template that adds these tokens.

    What stands between the texts of a pair also says whether a separator is added: nothing leaves it
    open, a lone EOS after the first text or a BOS before the second is none, two are one.
    """
    separated = spelling.flag("sep")
    between: list[str] = []
    separator = spelling.roles.get("sep", eos)
    if separated and separator:
        between = [separator, separator] if eos else [separator]
    elif separated is False:
        between = [text for text in (eos or bos,) if text]

    def special(text: str, segment: int) -> Json:
        return {"SpecialToken": {"id": text, "type_id": segment}}

    begin = [special(bos, 0)] if bos else []
    first, second = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    # BERT numbers the texts of a pair; what ends the first belongs to it
    middle = [special(text, 0 if eos else 1) for text in between]
    used = dict.fromkeys(text for text in (bos, eos, *between) if text)
    return {
        "type": "TemplateProcessing",
        "single": [*begin, first, *([special(eos, 0)] if eos else [])],
        "pair": [*begin, first, *middle, second, *([special(eos, 1)] if eos else [])],
        "special_tokens": {
            text: {"id": text, "ids": [spelling.texts.index(text)], "tokens": [text]} for text in used
        },
    }
