"""Special tokens, whether the tokenizer adds them itself, chat templates, and what a normalizer does to case.

The rules are those of ``SpecialVocab`` in llama.cpp's converter (b11434): the same files give the same
keys. Ids come from tokenizer_config.json, by the text of a token among tokenizer.json's added tokens, and
where that says nothing from config.json. Whether a token is added is read from the post-processor's
template, and where that says nothing from ``add_bos_token`` and its like.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import ValueType
from .files import TokenizerFiles, items, mapping, text_of
from .vocabulary import Entry

__all__ = ["ADD_KEYS", "ID_KEYS", "chat_templates", "special_entries", "template_name"]

ID_KEYS: Final = {
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "unk": "tokenizer.ggml.unknown_token_id",
    "sep": "tokenizer.ggml.seperator_token_id",
    "pad": "tokenizer.ggml.padding_token_id",
    "mask": "tokenizer.ggml.mask_token_id",
    "eot": "tokenizer.ggml.eot_token_id",
    "eom": "tokenizer.ggml.eom_token_id",
}
"""Keys of special ids by Hugging Face's name of the role. The misspelling is part of the format."""

ADD_KEYS: Final = {
    "bos": "tokenizer.ggml.add_bos_token",
    "eos": "tokenizer.ggml.add_eos_token",
    "sep": "tokenizer.ggml.add_sep_token",
}

_ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_WORD: Final = frozenset(string.ascii_letters + string.digits)


def special_entries(
    files: TokenizerFiles, limit: int | None, spare: Mapping[str, str] | None = None
) -> Iterator[Entry]:
    """Metadata of everything special, in the converter's order.

    Args:
        files: of the checkpoint.
        limit: number of tokens special ids must stay below, or None for no check.
        spare: text of the added token that has a role where no file gives one.

    Raises:
        TokenizerError: a file's structure is not what it should be, or an id is negative.
        CheckpointError: a file cannot be read.
    """
    yield from _Special(files, limit, spare or {}).entries()


class _Special:
    """Collects what the files say; later files only fill gaps."""

    def __init__(self, files: TokenizerFiles, limit: int | None, spare: Mapping[str, str]) -> None:
        self._files = files
        self._limit = limit
        self._spare = spare
        self._ids: dict[str, int] = {}
        self._add: dict[str, bool] = {}
        self._roles = list(_ROLES)
        # Values as tokenizer_config.json has them, text or object; the post-processor may change them.
        self._named: dict[str, Any] = dict(files.json("tokenizer_config.json") or {})
        self._configured = bool(self._named)
        self._tokenizer = files.json("tokenizer.json") or {}

    def entries(self) -> Iterator[Entry]:
        if self._tokenizer:
            self._stand_ins()
            self._post_processors()
        if self._configured:
            self._from_tokenizer_config()
        self._from_config()
        for role, text in self._spare.items():
            self._set(role, self._added_ids().get(text), "tokenizer.json")
        for role, token_id in self._ids.items():
            if role in ID_KEYS:
                yield ID_KEYS[role], ValueType.UINT32, token_id
        for role, added in self._add.items():
            if role in ADD_KEYS:
                yield ADD_KEYS[role], ValueType.BOOL, added
        if self._configured:
            yield from chat_templates(self._files)
        yield from _normalizer(self._tokenizer.get("normalizer"))

    def _stand_ins(self) -> None:
        """BERT has no BOS and EOS; its CLS and SEP do the same."""
        for role, other in (("bos", "cls"), ("eos", "sep")):
            if (
                not self._named.get(f"{role}_token")
                and self._named.get(f"{other}_token")
                and self._configured
            ):
                self._named[f"{role}_token"] = self._named[f"{other}_token"]

    def _post_processors(self) -> None:
        path = self._files.path("tokenizer.json")
        processor = mapping(self._tokenizer.get("post_processor"), "post_processor", path)
        if not processor:
            return
        for part in items(processor.get("processors", [processor]), "post_processor.processors", path):
            match mapping(part, "post_processor.processors", path).get("type"):
                case "ByteLevel":
                    self._add.setdefault("bos", False)
                    self._add.setdefault("eos", False)
                case "RobertaProcessing":
                    self._add.update(bos=True, eos=True, sep=True)
                    for role, other in (("cls", "bos"), ("sep", "eos")):
                        if self._configured and not self._named.get(f"{role}_token"):
                            pair = part.get(role) or [self._named.get(f"{other}_token")]
                            self._named[f"{role}_token"] = pair[0]
                case "TemplateProcessing":
                    single = items(part.get("single"), "post_processor.single", path)
                    pair = items(part.get("pair"), "post_processor.pair", path)
                    self._template(single, pair)

    def _template(self, single: Sequence[Any], pair: Sequence[Any]) -> None:
        """Read ``[BOS] A [EOS]`` and ``[BOS] A [SEP] [EOS] B [EOS]``."""
        first = last = None
        named = self._named
        if len(single) > 1:
            first = _special(single[0])
            last = _special(single[-1])
            if first:
                if not self._configured:
                    named["bos_token"] = first
                elif first not in (named.get("bos_token"), named.get("cls_token")):
                    for role in ("bos_token", "cls_token"):
                        named[role] = named.get(role) or first
                self._add["bos"] = first in (named.get("bos_token"), named.get("cls_token"))
            if last:
                if self._configured and last != named.get("eos_token"):
                    self._replace_eos()
                named["eos_token"] = last
                self._add["eos"] = True
        if not pair:
            return
        middle = list(pair)
        if first and _special(middle[0]) == first:
            middle = middle[1:]
        if last and middle and _special(middle[-1]) == last:
            middle = middle[:-1]
        if len(middle) < 3 or _sequence(middle[0]) != "A" or _sequence(middle[-1]) != "B":
            return
        between = [_special(part) for part in middle[1:-1]]
        separators = (named.get("sep_token"), named.get("eos_token"))
        # One separator where the single template ends without one, or a second one anywhere.
        add = bool(between[0]) and between[0] in separators and not last
        if len(between) == 2 and between[1] and between[1] in separators:
            add = True
        self._add["sep"] = add
        if add and self._configured and not named.get("sep_token"):
            named["sep_token"] = named.get("eos_token")

    def _replace_eos(self) -> None:
        """The template ends with another token than the config's EOS, which then ends turns or messages."""
        for role in ("eot", "eom"):
            if role not in self._roles:
                self._roles.append(role)
                self._named[f"{role}_token"] = self._named.get("eos_token")
                return

    def _from_tokenizer_config(self) -> None:
        ids = self._added_ids()
        for role in self._roles:
            asked = self._named.get(f"add_{role}_token")
            if isinstance(asked, bool):
                self._add.setdefault(role, asked)
            text = text_of(self._named.get(f"{role}_token"))
            if text is not None:
                self._set(role, ids.get(text), "tokenizer.json")

    def _added_ids(self) -> dict[str, Any]:
        """Ids of tokenizer.json's added tokens, by text."""
        added = items(self._tokenizer.get("added_tokens"), "added_tokens", self._files.path("tokenizer.json"))
        ids: dict[str, Any] = {}
        for token in added:
            if isinstance(token, dict) and isinstance(token.get("content"), str):
                ids.setdefault(token["content"], token.get("id"))
        return ids

    def _from_config(self) -> None:
        config = self._files.json("config.json") or {}
        nested = config.get("text_config")
        for role in self._roles:
            token_id = config.get(f"{role}_token_id")
            if token_id is None and isinstance(nested, dict):
                token_id = nested.get(f"{role}_token_id")
            self._set(role, token_id, "config.json")

    def _set(self, role: str, token_id: Any, file: str) -> None:
        if not isinstance(token_id, int) or isinstance(token_id, bool):
            return  # none, or several: the first of a list is no better than the others
        if not 0 <= token_id < 1 << 32:
            raise TokenizerError(
                "a special token's id is out of range",
                path=self._files.path(file),
                key=f"{role}_token_id",
                found=token_id,
                expected="a token's id",
            )
        if self._limit is None or token_id < self._limit:
            self._ids.setdefault(role, token_id)


def _special(part: Any) -> str | None:
    """Text of the special token a template's part stands for."""
    token = part.get("SpecialToken") if isinstance(part, dict) else None
    text = token.get("id") if isinstance(token, dict) else None
    return text if isinstance(text, str) and text else None


def _sequence(part: Any) -> str | None:
    """Name of the text a template's part stands for."""
    sequence = part.get("Sequence") if isinstance(part, dict) else None
    name = sequence.get("id") if isinstance(sequence, dict) else None
    return name if isinstance(name, str) else None


def template_name(name: str) -> str:
    """A chat template's name as a part of a key: letters and digits only."""
    return "".join(letter if letter in _WORD else "_" for letter in name)


def chat_templates(files: TokenizerFiles) -> Iterator[Entry]:
    """Keys of the chat templates a checkpoint has.

    Raises:
        TokenizerError, CheckpointError: a file cannot be read.
    """
    default: str | None = None
    names: list[str] = []
    found = _stored_templates(files)
    if isinstance(found, str):
        default = found
    elif isinstance(found, list):
        for choice in found:
            if not isinstance(choice, dict):
                continue
            name, template = template_name(str(choice.get("name", ""))), choice.get("template")
            if not name or not isinstance(template, str):
                continue
            if name == "default":
                default = template
            else:
                names.append(name)
                yield f"tokenizer.chat_template.{name}", ValueType.STRING, template
    if names:
        yield "tokenizer.chat_templates", ValueType.ARRAY, Array(ValueType.STRING, dict.fromkeys(names))
    if default is not None:
        yield "tokenizer.chat_template", ValueType.STRING, default


def _stored_templates(files: TokenizerFiles) -> Any:
    """One template, or a list of objects with name and template."""
    config = files.json("tokenizer_config.json") or {}
    if "chat_template" in config:
        return config["chat_template"]
    default = files.text("chat_template.jinja")
    if default is not None:
        others = files.matching("additional_chat_templates", ".jinja")
        if not others:
            return default
        named = [{"name": "default", "template": default}]
        for name in others:
            text = files.text(f"additional_chat_templates/{name}")
            named.append({"name": name.removesuffix(".jinja"), "template": text or ""})
        return named
    return (files.json("chat_template.json") or {}).get("chat_template")


def _normalizer(normalizer: Any) -> Iterator[Entry]:
    flags: dict[str, bool] = {}
    _collect_flags(normalizer, flags)
    for name in ("lowercase", "strip_accents"):
        if name in flags:
            yield f"tokenizer.ggml.normalizer.{name}", ValueType.BOOL, flags[name]


def _collect_flags(normalizer: Any, flags: dict[str, bool]) -> None:
    if not isinstance(normalizer, Mapping):
        return
    match normalizer.get("type"):
        case "Lowercase":
            flags["lowercase"] = True
        case "StripAccents":
            flags["strip_accents"] = True
        case "BertNormalizer":
            for name in ("lowercase", "strip_accents"):
                if isinstance(normalizer.get(name), bool):
                    flags[name] = normalizer[name]
        case "Sequence" if isinstance(normalizer.get("normalizers"), list):
            for part in normalizer["normalizers"]:
                _collect_flags(part, flags)
