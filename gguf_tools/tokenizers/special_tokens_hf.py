"""Texts of the tokens with a special role (bos, eos, …, additional), as transformers finds them.

It asks tokenizer_config.json, for old checkpoints special_tokens_map.json as well, and fills in what the
tokenizer's class says. Such a token is added to the vocabulary where it is not in it yet, so the defaults
of a class can bring tokens no file names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from .files import TokenizerFiles, items, mapping, text_of

__all__ = ["tokens_with_roles"]

_CONFIG: Final = "tokenizer_config.json"
_MAP: Final = "special_tokens_map.json"
_ADDITIONAL: Final = "additional_special_tokens"
_ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")

_LLAMA: Final = {"bos": "<s>", "eos": "</s>", "unk": "<unk>"}
_BERT: Final = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA: Final = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}
_T5: Final = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
_QWEN2: Final = {"unk": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>"}
_GEMMA: Final = {"unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}
_GPT2: Final = {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}
_COHERE: Final = {"unk": "<UNK>", "bos": "<BOS_TOKEN>", "eos": "<|END_OF_TURN_TOKEN|>"}

_CLASS_DEFAULTS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "LlamaTokenizer": _LLAMA,
    "CodeLlamaTokenizer": _LLAMA,
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "RobertaTokenizer": _ROBERTA,
    "XLMRobertaTokenizer": _ROBERTA,
    "T5Tokenizer": _T5,
    "MT5Tokenizer": _T5,
    "Qwen2Tokenizer": _QWEN2,
    "GemmaTokenizer": _GEMMA,
    "GPT2Tokenizer": _GPT2,
    "CodeGenTokenizer": _GPT2,
    "GPTNeoXTokenizer": {**_GPT2, "pad": None},
    "CohereTokenizer": _COHERE,
}
"""Special tokens of transformers' tokenizer classes where the config names none; the fast ones are alike.
None means that the class has none even if tokenizer.json pads with one."""

_CODE_LLAMA: Final = {"prefix": "▁<PRE>", "middle": "▁<MID>", "suffix": "▁<SUF>", "eot": "▁<EOT>"}
"""What CodeLlamaTokenizer always has among its additional special tokens."""


def tokens_with_roles(files: TokenizerFiles, config: Mapping[str, Any]) -> dict[str, bool]:
    """Texts in transformers' order, each with whether it is matched after normalization only.

    Raises:
        TokenizerError: a file's structure is not what it should be.
        CheckpointError: a file cannot be read.
    """
    named: dict[str, bool] = {}
    for token in _tokens(files, config):
        text = text_of(token)
        if text:
            named.setdefault(text, isinstance(token, dict) and bool(token.get("normalized")))
    return named


def _tokens(files: TokenizerFiles, config: Mapping[str, Any]) -> Iterator[Any]:
    """Tokens as files have them, texts or objects."""
    settings = _settings(files)
    kind = _class(settings, config)
    defaults = dict(_CLASS_DEFAULTS.get(kind, {}))
    path = files.path("tokenizer.json")
    padding = mapping((files.json("tokenizer.json") or {}).get("padding"), "padding", path)
    if "pad_token" in padding:
        defaults.setdefault("pad", padding["pad_token"])
    for role in _ROLES:
        yield settings.get(f"{role}_token", defaults.get(role))
    yield from items(settings.get(_ADDITIONAL), _ADDITIONAL, files.path(_CONFIG))
    if kind == "CodeLlamaTokenizer":
        for role, text in _CODE_LLAMA.items():
            yield settings.get(f"{role}_token", text)
    extra = settings.get("extra_special_tokens")
    if isinstance(extra, Mapping):
        yield from extra.values()
    elif isinstance(extra, list):
        yield from extra


def _settings(files: TokenizerFiles) -> Mapping[str, Any]:
    """tokenizer_config.json, with special_tokens_map.json where it is from before they were one."""
    settings = dict(files.json(_CONFIG) or {})
    if "added_tokens_decoder" not in settings:
        later = dict(files.json(_MAP) or {})
        if isinstance(later.get(_ADDITIONAL), list):
            later[_ADDITIONAL] = [
                *items(settings.get(_ADDITIONAL), _ADDITIONAL, files.path(_CONFIG)),
                *later[_ADDITIONAL],
            ]
        settings.update(later)
    return settings


def _class(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Name of the tokenizer's class, without the ending of the fast ones."""
    kind = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if not kind:
        kind = _class_of_model().get(str(config.get("model_type")))
    return str(kind or "").removesuffix("Fast")


@cache
def _class_of_model() -> dict[str, str]:
    """The class transformers takes for a ``model_type`` when tokenizer_config.json names none.

    Recorded from transformers 4.57.6 (``make goldens``); a test compares it with the installed one.
    """
    text = resources.files(__package__).joinpath("data", "tokenizer_classes.json").read_text(encoding="utf-8")
    table: dict[str, str] = json.loads(text)
    return table
