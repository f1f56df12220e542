"""A GGUF vocabulary as Hugging Face's files spell it: what all exported files are made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .. import architectures
from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType
from .merges import stored_merges
from .pretokenizers import PreTokenizer, by_name
from .special import ADD_KEYS, ID_KEYS
from .vocabulary import ADDED_SCORE, PADDING_SCORE, padding_token

__all__ = ["MODELS", "Spelling"]

MODELS: Final = ("gpt2", "llama", "bert", "t5")
"""Values of ``tokenizer.ggml.model`` that can be exported."""

_SCORED: Final = frozenset({"llama", "t5"})
_ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "mask")
_OLDER: Final = {"bos": "tokenizer.ggml.cls_token_id", "eos": ID_KEYS["sep"]}
_ADDED: Final = frozenset({TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN})
_LARGEST_SCORE: Final = (2 - 2**-23) * 2.0**127
"""The largest float32."""
_TYPES: Final = {int(kind): kind for kind in TokenType}


class Spelling:
    """A vocabulary, its tokens spelled so that loading turns them back into what GGUF has.

    Args:
        metadata: of a GGUF file.

    Attributes:
        metadata: the same.
        model: ``"gpt2"``, ``"llama"``, ``"bert"`` or ``"t5"``.
        texts: every token.
        types: what every token is.
        scores: of a SentencePiece or Unigram vocabulary, else None.
        scored: whether a tokenizer.model is made of these; where there was none all scores are the same.
        structure: the pre-tokenizer; None for SentencePiece and Unigram, which have none.
        padding: ids that have no token.
        added: ids of added tokens.
        merges: pairs of tokens by rank (byte-level BPE only).
        roles: texts of the tokens with a role (bos, eos, …) that are added tokens.

    Raises:
        TokenizerError: the vocabulary is incomplete, of an unknown kind, or cannot be spelled.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata
        self.model = metadata["tokenizer.ggml.model"]
        if self.model not in MODELS:
            raise TokenizerError(
                "vocabularies of this kind cannot be exported",
                key="tokenizer.ggml.model",
                found=self.model,
                expected=", ".join(MODELS),
            )
        tokens = _array(metadata, "tokenizer.ggml.tokens")
        self.types = [_type(*item) for item in enumerate(_types(metadata, len(tokens)))]
        self.scores = _scores(metadata, len(tokens)) if self.model in _SCORED else None
        self.scored = self.model == "llama" and any(score != ADDED_SCORE for score in self.scores or ())
        self.texts = [self._spelled(*item) for item in zip(tokens, self.types, strict=True)]
        self.structure: PreTokenizer | None = None
        if self.model not in _SCORED:
            self.structure = by_name(str(metadata.get("tokenizer.ggml.pre", "default")), self.model)
        self.padding = frozenset(self._padding())
        self.added = [token_id for token_id, kind in enumerate(self.types) if kind in _ADDED]
        self.merges: list[list[str]] = []
        if self.model == "gpt2":
            self.merges, respelled = stored_merges(metadata, self.texts, self.added)
            for token_id, text in respelled.items():
                self.texts[token_id] = text
        self.roles = dict(self._named())
        self._check_texts()

    @property
    def adds_space(self) -> bool:
        """Whether SentencePiece puts a space before the text."""
        return bool(self.metadata.get("tokenizer.ggml.add_space_prefix", self.model != "t5"))

    @property
    def merges_spaces(self) -> bool:
        """Whether Unigram makes one space of several."""
        return bool(self.metadata.get("tokenizer.ggml.remove_extra_whitespaces", False))

    def flag(self, role: str) -> bool | None:
        """Whether the token of a role is added to every text; None where nothing is known.

        Where the file does not say, the runtime adds a BOS to SentencePiece, to WordPiece (which also
        gets an EOS) and to some kinds of BPE, and an EOS to Unigram.
        """
        value = self.metadata.get(ADD_KEYS[role])
        if isinstance(value, bool):
            return value
        begins = self.structure.begins if self.structure else self.model == "llama"
        ends = self.model in ("bert", "t5")
        return True if (role == "bos" and begins) or (role == "eos" and ends) else None

    def text_of_role(self, role: str) -> str | None:
        """Text of the token a key names, if it is an added token."""
        return self._text_of(ID_KEYS[role])

    def _text_of(self, key: str) -> str | None:
        token_id = self.metadata.get(key)
        if isinstance(token_id, bool) or not isinstance(token_id, int) or not 0 <= token_id < len(self.types):
            return None
        return self.texts[token_id] if self.types[token_id] in _ADDED else None

    def _named(self) -> Iterator[tuple[str, str]]:
        for role in _ROLES:
            text = self.text_of_role(role)
            if text is None and self.model == "bert":
                # files of older converters have CLS and SEP where those of today have BOS and EOS
                text = self._text_of(_OLDER[role]) if role in _OLDER else None
            if text is not None:
                yield role, text

    def _spelled(self, text: str, kind: TokenType) -> str:
        if self.model == "bert" and kind is not TokenType.CONTROL:
            # padding has no place in the files, so it must not become a continuation
            if text.startswith("▁"):
                return text[1:]
            return text if kind is TokenType.UNUSED else "##" + text
        if self.scored and kind is TokenType.USER_DEFINED:
            return text.replace(" ", "▁")
        return text

    def _padding(self) -> Iterator[int]:
        """What loading fills in for missing ids needs no file."""
        for token_id, (text, kind) in enumerate(zip(self.texts, self.types, strict=True)):
            unscored = self.scores is None or self.scores[token_id] == PADDING_SCORE
            if kind is TokenType.UNUSED and unscored and text == padding_token(token_id):
                yield token_id

    def _check_texts(self) -> None:
        first: dict[str, int] = {}
        for token_id, text in enumerate(self.texts):
            if token_id in self.padding:
                continue
            if first.setdefault(text, token_id) != token_id:
                raise TokenizerError(
                    "two tokens have the same text, which Hugging Face's files cannot express",
                    key="tokenizer.ggml.tokens",
                    found=f"{text!r} with ids {first[text]} and {token_id}",
                )
            if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise TokenizerError(
                    f"token {token_id} is not UTF-8, which JSON cannot express",
                    key="tokenizer.ggml.tokens",
                    found=ascii(text),
                )


def _array(metadata: Mapping[str, Any], key: str, count: int | None = None) -> Sequence[Any]:
    value = metadata.get(key)
    if not isinstance(value, Array) or len(value) == 0 or (count is not None and len(value) != count):
        found = f"{len(value)} items" if isinstance(value, Array) else "nothing" if value is None else value
        raise TokenizerError(
            "the vocabulary is incomplete",
            key=key,
            found=found,
            expected="a list" if count is None else f"{count} items",
        )
    items = list(value)
    if key == "tokenizer.ggml.tokens" and not all(isinstance(item, str) for item in items):
        raise TokenizerError("tokens must be texts", key=key, found=value.element_type.name)
    return items


def _types(metadata: Mapping[str, Any], count: int) -> Sequence[Any]:
    if "tokenizer.ggml.token_type" not in metadata:
        return [int(TokenType.NORMAL)] * count
    return _array(metadata, "tokenizer.ggml.token_type", count)


def _scores(metadata: Mapping[str, Any], count: int) -> Sequence[float]:
    family = architectures.by_name(metadata.get("general.architecture"))
    unscored = family is not None and family.vocabulary.unscored
    if unscored and "tokenizer.ggml.scores" not in metadata:
        return [ADDED_SCORE] * count
    scores = _array(metadata, "tokenizer.ggml.scores", count)
    for score in scores:
        if not isinstance(score, float) or not (abs(score) <= _LARGEST_SCORE or math.isinf(score)):
            raise TokenizerError(
                "a score is not a number of 32 bits", key="tokenizer.ggml.scores", found=score
            )
    return scores


def _type(token_id: int, kind: Any) -> TokenType:
    if isinstance(kind, int) and kind in _TYPES:
        return _TYPES[kind]
    raise TokenizerError(
        f"token {token_id} is of an unknown type",
        key="tokenizer.ggml.token_type",
        found=kind,
        expected="1 to 6",
    )
