"""GGUF vocabulary → Hugging Face's tokenizer files.

What a GGUF file does not carry (offsets, padding strategies) takes the values published tokenizers of the
kind have. Loading the files again gives the same keys, and transformers reads them without conversion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType
from .merges import merges_by_score
from .pretokenizers import PreTokenizer, by_name
from .sentencepiece import Piece, PieceType, write_model
from .special import ADD_KEYS, ID_KEYS
from .vocabulary import ADDED_SCORE, PADDING_SCORE, Vocabulary, padding_token

__all__ = ["export"]

_CLASSES: Final = {
    "gpt2": "PreTrainedTokenizerFast",
    "llama": "PreTrainedTokenizerFast",
    "bert": "BertTokenizerFast",
}
"""transformers' class for each kind. The general one takes tokenizer.json as it is, where LlamaTokenizerFast
would build its own from tokenizer.model."""
_FIXED_ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "mask")
_REPLACE_SPACE: Final = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_RESTORE_SPACE: Final = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}


def export(metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """Tokenizer files for a vocabulary.

    Args:
        metadata: of a GGUF file; only ``tokenizer.*`` keys are read.

    Returns:
        Contents by file name: tokenizer.json, tokenizer_config.json and special_tokens_map.json, and
        tokenizer.model where the vocabulary came from one. Nothing if the file has no vocabulary.

    Raises:
        TokenizerError: the vocabulary is incomplete or of a kind that cannot be expressed.
    """
    if metadata.get("tokenizer.ggml.model") in (None, "no_vocab", "none"):
        return {}
    vocabulary = _vocabulary(metadata)
    writer = _Writer(vocabulary, metadata)
    files = {
        "tokenizer.json": writer.tokenizer(),
        "tokenizer_config.json": writer.config(),
        "special_tokens_map.json": writer.special_tokens_map(),
    }
    encoded = {
        name: (json.dumps(file, ensure_ascii=False, indent=1) + "\n").encode() for name, file in files.items()
    }
    if writer.sentencepiece:
        encoded["tokenizer.model"] = writer.sentencepiece_model()
    return encoded


def _vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """The stored vocabulary, checked."""
    model = metadata["tokenizer.ggml.model"]
    if model not in _CLASSES:
        raise TokenizerError(
            "vocabularies of this kind cannot be exported",
            key="tokenizer.ggml.model",
            found=model,
            expected=", ".join(_CLASSES),
        )
    tokens = list(_array(metadata, "tokenizer.ggml.tokens"))
    count = len(tokens)
    types = _array(metadata, "tokenizer.ggml.token_type", count, default=TokenType.NORMAL)
    scores = _array(metadata, "tokenizer.ggml.scores", count, default=0.0) if model == "llama" else None
    known = {int(kind) for kind in TokenType}
    for token_id, kind in enumerate(types):
        if kind not in known:
            raise TokenizerError(
                f"token {token_id} is of an unknown type", key="tokenizer.ggml.token_type", found=kind
            )
    return Vocabulary(
        model=model,
        pre=str(metadata.get("tokenizer.ggml.pre", "default")),
        tokens=tokens,
        types=[TokenType(kind) for kind in types],
        scores=scores,
        merges=list(metadata.get("tokenizer.ggml.merges", ())) if model == "gpt2" else None,
    )


def _array(
    metadata: Mapping[str, Any], key: str, count: int | None = None, default: Any = None
) -> Sequence[Any]:
    value = metadata.get(key)
    if value is None and default is not None and count is not None:
        return [default] * count
    if not isinstance(value, Array) or len(value) == 0 or (count is not None and len(value) != count):
        raise TokenizerError(
            "the vocabulary is incomplete",
            key=key,
            found="nothing"
            if value is None
            else f"{len(value)} items"
            if isinstance(value, Array)
            else value,
            expected="a list" if count is None else f"{count} items",
        )
    return list(value)


class _Writer:
    """Makes the files of one vocabulary.

    Attributes:
        sentencepiece: whether there is a tokenizer.model to write.
    """

    def __init__(self, vocabulary: Vocabulary, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self._model = vocabulary.model
        self._types = vocabulary.types
        self._scores = vocabulary.scores
        self._merges = vocabulary.merges
        self._texts = [
            _unspoken(text, kind, vocabulary.model)
            for text, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
        ]
        self._structure: PreTokenizer | None = None if self._model == "llama" else by_name(vocabulary.pre)
        self._scored = self._scores is not None and any(score != ADDED_SCORE for score in self._scores)
        self.sentencepiece = self._scored
        self._padding = frozenset(self._padding_ids())
        self._added = {
            token_id
            for token_id, kind in enumerate(self._types)
            if kind in (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
        }
        self._roles = dict(self._find_roles())
        self._check_unique()

    def _padding_ids(self) -> Iterator[int]:
        """Ids that have no token: what loading fills in for them needs no file."""
        for token_id, (text, kind) in enumerate(zip(self._texts, self._types, strict=True)):
            unscored = self._scores is None or self._scores[token_id] == PADDING_SCORE
            if kind is TokenType.UNUSED and unscored and text == padding_token(token_id):
                yield token_id

    def _find_roles(self) -> Iterator[tuple[str, str]]:
        """Roles with the texts of their tokens, for those whose token is an added one."""
        for role in _FIXED_ROLES:
            token_id = self._metadata.get(ID_KEYS[role])
            if isinstance(token_id, int) and token_id in self._added:
                yield role, self._texts[token_id]

    def _check_unique(self) -> None:
        first: dict[str, int] = {}
        for token_id, text in enumerate(self._texts):
            if token_id not in self._padding and first.setdefault(text, token_id) != token_id:
                raise TokenizerError(
                    "two tokens have the same text, which Hugging Face's files cannot express",
                    key="tokenizer.ggml.tokens",
                    found=f"{text!r} with ids {first[text]} and {token_id}",
                )

    # tokenizer.json

    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json."""
        structure = self._structure
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": token_id,
                    "content": self._texts[token_id],
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": self._types[token_id] is not TokenType.USER_DEFINED,
                }
                for token_id in sorted(self._added)
            ],
            "normalizer": self._normalizer(),
            "pre_tokenizer": structure.pre_tokenizer if structure else None,
            "post_processor": self._post_processor(),
            "decoder": self._decoder(),
            "model": self._model_part(),
        }

    def _normalizer(self) -> Mapping[str, Any] | None:
        if self._structure is None:
            if self._adds_space():
                prepend = {"type": "Prepend", "prepend": "▁"}
                return {"type": "Sequence", "normalizers": [prepend, _REPLACE_SPACE]}
            return _REPLACE_SPACE
        normalizer = self._structure.normalizer
        if normalizer is not None and normalizer.get("type") == "BertNormalizer":
            stored = {
                name: self._metadata.get(f"tokenizer.ggml.normalizer.{name}")
                for name in ("lowercase", "strip_accents")
            }
            return {**normalizer, **{name: value for name, value in stored.items() if value is not None}}
        return normalizer

    def _adds_space(self) -> bool:
        return bool(self._metadata.get("tokenizer.ggml.add_space_prefix", True))

    def _decoder(self) -> Mapping[str, Any]:
        if self._model == "gpt2":
            return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        if self._model == "bert":
            return {"type": "WordPiece", "prefix": "##", "cleanup": True}
        decoders = [_RESTORE_SPACE, {"type": "ByteFallback"}, {"type": "Fuse"}]
        if self._adds_space():
            decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
        return {"type": "Sequence", "decoders": decoders}

    def _model_part(self) -> dict[str, Any]:
        ids = self._base_ids()
        vocabulary = {self._texts[token_id]: token_id for token_id in ids}
        if self._model == "bert":
            return {
                "type": "WordPiece",
                "unk_token": self._roles.get("unk", "[UNK]"),
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": vocabulary,
            }
        sentencepiece = self._scores is not None
        if self._scores is not None:
            merges = merges_by_score(
                [(self._texts[i], self._scores[i], i) for i in ids if self._types[i] is TokenType.NORMAL],
                [self._texts[i] for i in ids if self._types[i] is TokenType.USER_DEFINED],
                vocabulary,
            )
        else:
            merges = [merge.split(" ", 1) for merge in self._merges or ()]
        return {
            "type": "BPE",
            "dropout": None,
            "unk_token": self._unknown() if sentencepiece else None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": sentencepiece,
            "byte_fallback": sentencepiece,
            "ignore_merges": bool(self._structure and self._structure.ignore_merges),
            "vocab": vocabulary,
            "merges": merges,
        }

    def _unknown(self) -> str | None:
        if "unk" in self._roles:
            return self._roles["unk"]
        return next(
            (text for text, kind in zip(self._texts, self._types, strict=True) if kind is TokenType.UNKNOWN),
            None,
        )

    def _base_ids(self) -> Sequence[int]:
        """Ids of the model's own vocabulary.

        Added tokens at the end stay out of it, as in published files: ids after the model's are given
        out in order. Where ids are missing that would shift them, so then the model holds every token.
        """
        used = [token_id for token_id in range(len(self._texts)) if token_id not in self._padding]
        if used != list(range(len(used))) or self._scored:
            return used
        end = len(used)
        if self._scores is not None:
            # without scores only user-defined tokens are known to come after the model's
            return range(self._first_user_defined())
        while end and used[end - 1] in self._added:
            end -= 1
        return range(end) if end else used

    def _first_user_defined(self) -> int:
        for token_id, kind in enumerate(self._types):
            if kind is TokenType.USER_DEFINED:
                return token_id
        return len(self._types)

    def _post_processor(self) -> Mapping[str, Any] | None:
        flags = {role: self._metadata.get(key) for role, key in ADD_KEYS.items()}
        parts: list[Mapping[str, Any]] = []
        if self._model == "gpt2" and flags["bos"] is not None and flags["eos"] is not None:
            parts.append(
                {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
            )
        bos, eos = (self._roles.get(role) if flags[role] else None for role in ("bos", "eos"))
        if bos or eos:
            parts.append(self._template(bos, eos, flags["sep"]))
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else {"type": "Sequence", "processors": parts}

    def _template(self, bos: str | None, eos: str | None, separated: bool | None) -> Mapping[str, Any]:
        """The template that adds these tokens.

        What stands between the texts of a pair also says whether a separator is added: nothing leaves it
        open, a lone EOS after the first text or a BOS before the second is none, two are one.
        """

        def special(text: str, segment: int) -> Mapping[str, Any]:
            return {"SpecialToken": {"id": text, "type_id": segment}}

        def sequence(name: str, segment: int) -> Mapping[str, Any]:
            return {"Sequence": {"id": name, "type_id": segment}}

        begin = [special(bos, 0)] if bos else []
        between: list[str] = []
        separator = self._roles.get("sep", eos)
        if separated and separator:
            between = [separator, separator] if eos else [separator]
        elif separated is False:
            between = [text for text in (eos or bos,) if text]
        # BERT numbers the texts of a pair; its separator belongs to the first
        second = 1
        tokens = [text for text in (bos, eos, *between) if text]
        return {
            "type": "TemplateProcessing",
            "single": [*begin, sequence("A", 0), *([special(eos, 0)] if eos else [])],
            "pair": [
                *begin,
                sequence("A", 0),
                *(special(text, 0 if eos else second) for text in between),
                sequence("B", second),
                *([special(eos, second)] if eos else []),
            ],
            "special_tokens": {
                text: {"id": text, "ids": [self._texts.index(text)], "tokens": [text]}
                for text in dict.fromkeys(tokens)
            },
        }

    # tokenizer_config.json and special_tokens_map.json

    def special_tokens_map(self) -> dict[str, str]:
        """special_tokens_map.json: roles and texts."""
        roles = dict(self._roles)
        if self._model == "bert":
            # the roles BERT itself has for what begins and ends a text
            for role, other in (("bos", "cls"), ("eos", "sep")):
                if role in roles:
                    roles.setdefault(other, roles[role])
                    if roles[other] == roles[role]:
                        del roles[role]
        return {f"{role}_token": text for role, text in roles.items()}

    def config(self) -> dict[str, Any]:
        """tokenizer_config.json."""
        made: dict[str, Any] = {
            "tokenizer_class": _CLASSES[self._model],
            **self._silent(),
            **self.special_tokens_map(),
        }
        made["clean_up_tokenization_spaces"] = False
        if self._model != "bert":
            # otherwise the general class also returns token types, which decoders do not take
            made["model_input_names"] = ["input_ids", "attention_mask"]
        context = self._metadata.get(f"{self._metadata.get('general.architecture')}.context_length")
        if isinstance(context, int):
            made["model_max_length"] = context
        for role, key in ADD_KEYS.items():
            if isinstance(self._metadata.get(key), bool):
                made[f"add_{role}_token"] = self._metadata[key]
        prefix = self._metadata.get("tokenizer.ggml.add_space_prefix")
        if isinstance(prefix, bool):
            made["add_prefix_space"] = prefix
        if self._model == "bert":
            made["do_lower_case"] = bool(self._metadata.get("tokenizer.ggml.normalizer.lowercase", True))
        additional = self._additional()
        if additional:
            made["additional_special_tokens"] = additional
        made["added_tokens_decoder"] = self._added_tokens_decoder()
        made.update(self._chat_template())
        return made

    def _silent(self) -> dict[str, None]:
        """Roles the tokenizer's class would fill in with tokens this vocabulary does not have."""
        if _CLASSES[self._model] == "PreTrainedTokenizerFast":
            return {}
        absent = {f"{role}_token": None for role in (*_FIXED_ROLES, "cls")}
        return {name: None for name in absent if name not in self.special_tokens_map()}

    def _additional(self) -> list[str]:
        """Without scores, a token counts as special only by a role: this is the role of the others."""
        if self._scores is None or self._scored:
            return []
        named = set(self._roles.values())
        return [
            text
            for text, kind in zip(self._texts, self._types, strict=True)
            if kind is TokenType.CONTROL and text not in named
        ]

    def _added_tokens_decoder(self) -> dict[str, Any]:
        """Added tokens by id; for tokenizer.model only those it gave no score to."""
        return {
            str(token_id): {
                "content": self._texts[token_id],
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": self._types[token_id] is not TokenType.USER_DEFINED,
            }
            for token_id in sorted(self._added)
            if self._scores is None or not self._scored or self._scores[token_id] == ADDED_SCORE
        }

    def _chat_template(self) -> dict[str, Any]:
        default = self._metadata.get("tokenizer.chat_template")
        names = self._metadata.get("tokenizer.chat_templates")
        named = [
            {"name": name, "template": self._metadata.get(f"tokenizer.chat_template.{name}")}
            for name in (names if isinstance(names, Array) else ())
        ]
        if not named:
            return {} if default is None else {"chat_template": default}
        if default is not None:
            named.insert(0, {"name": "default", "template": default})
        return {"chat_template": [choice for choice in named if isinstance(choice["template"], str)]}

    # tokenizer.model

    def sentencepiece_model(self) -> bytes:
        """tokenizer.model: every token but the padding at the end."""
        scores = self._scores or ()
        end = len(self._texts)
        while end and end - 1 in self._padding:
            end -= 1
        pieces = (
            Piece(self._texts[token_id], scores[token_id], PieceType(self._types[token_id]))
            for token_id in range(end)
        )
        ids = {role: self._metadata.get(ID_KEYS[role], -1) for role in ("unk", "bos", "eos", "pad")}
        return write_model(pieces, ids=ids, add_dummy_prefix=self._adds_space())


def _unspoken(text: str, kind: TokenType, model: str) -> str:
    """A token as Hugging Face's files spell it: loading turns it into what GGUF has."""
    if model == "bert":
        if kind is TokenType.CONTROL or kind is TokenType.UNUSED:
            return text.removeprefix("▁") if kind is TokenType.UNUSED else text
        return text[1:] if text.startswith("▁") else "##" + text
    if model == "llama" and kind is TokenType.USER_DEFINED:
        return text.replace(" ", "▁")
    return text
