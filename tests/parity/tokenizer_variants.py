"""Small edits of the tiny checkpoints' tokenizers, each a spelling that occurs in published checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.tiny import TOKENIZERS
from tests.tokenizers.variants import Draft, Json, added, template

BOS, END, EOT = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
IDS: Final = {BOS: 520, END: 521, EOT: 524, "<s>": 1, "</s>": 2, "[CLS]": 2, "[SEP]": 3}
BYTES: Final = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
TEMPLATES: Final = [
    {"name": "default", "template": "plain"},
    {"name": "tool use/v2", "template": "tools"},
    {"name": "rag", "template": "rag"},
]


class Variant(NamedTuple):
    """A tiny checkpoint, what is done to it, and the pre-tokenizer name both converters are told."""

    base: str
    change: Callable[[Draft], None]
    pre: str | None


def _set(**settings: Any) -> Callable[[Draft], None]:
    """tokenizer_config.json with these values; None removes one, ``{}`` stays."""

    def change(draft: Draft) -> None:
        for key, value in settings.items():
            if value is None:
                draft.settings.pop(key, None)
            else:
                draft.settings[key] = value

    return change


def _processor(*parts: Json) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.tokenizer["post_processor"] = (
            {"type": "Sequence", "processors": list(parts)} if len(parts) != 1 else parts[0]
        )

    return change


def _template(begin: list[str], end: list[str], pair: list[str] | None = None) -> Callable[[Draft], None]:
    return _processor(template(begin, end, pair=pair or [], **IDS))


def _all(*changes: Callable[[Draft], None]) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        for one in changes:
            one(draft)

    return change


def _config(**values: Any) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        for key, value in values.items():
            if value is None:
                draft.config.pop(key, None)
            else:
                draft.config[key] = value

    return change


def _files(**files: Any) -> Callable[[Draft], None]:
    """Files by name, with __ for a dot and ___ for a slash."""

    def change(draft: Draft) -> None:
        for name, value in files.items():
            draft.files[name.replace("___", "/").replace("__", ".")] = value

    return change


def _no_specials(draft: Draft) -> None:
    for key in [key for key in draft.settings if key.endswith("_token") and not key.startswith("add_")]:
        del draft.settings[key]


def _dict_tokens(draft: Draft) -> None:
    for role in ("bos", "eos"):
        text = draft.settings[f"{role}_token"]
        draft.settings[f"{role}_token"] = {"__type": "AddedToken"} | added(text, special=True)


def _pairs(draft: Draft) -> None:
    draft.tokenizer["model"]["merges"] = [merge.split(" ") for merge in draft.tokenizer["model"]["merges"]]


def _spaced_pairs(draft: Draft) -> None:
    """A merge that makes a token with a space in it; two new tokens move the added ones."""
    _pairs(draft)
    first = len(draft.vocab)
    draft.vocab.update({"\N{NO-BREAK SPACE} ": first, " ": first + 1, "\N{NO-BREAK SPACE}": first + 2})
    draft.tokenizer["model"]["merges"].append(["\N{NO-BREAK SPACE}", " "])
    _shift(draft, 3)


def _shift(draft: Draft, distance: int) -> None:
    """Give the added tokens ids ``distance`` higher everywhere."""
    for token in draft.tokenizer["added_tokens"]:
        token["id"] += distance
    decoder = draft.settings["added_tokens_decoder"]
    draft.settings["added_tokens_decoder"] = {str(int(i) + distance): token for i, token in decoder.items()}
    for role in ("bos", "eos"):
        draft.config[f"{role}_token_id"] += distance
    for processor in draft.tokenizer["post_processor"].get("processors", []):
        for token in processor.get("special_tokens", {}).values():
            token["ids"] = [token_id + distance for token_id in token["ids"]]


def _added_tokens(special: bool, normalized: bool) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        for text in ("<tool>", "▁indented", "Ġword", "été", "<|looks_special|>", "<pad>", "two  spaces ."):
            draft.add(text, special=special, normalized=normalized)
        draft.settings.pop("added_tokens_decoder", None)

    return change


def _late_tokens(draft: Draft) -> None:
    """Tokens that only tokenizer_config.json knows."""
    decoder = draft.settings["added_tokens_decoder"]
    first = max(map(int, decoder)) + 1
    decoder[str(first + 1)] = added("<second>", special=True)
    decoder[str(first)] = added("<first>", normalized=True)


def _spm_tokens(draft: Draft) -> None:
    decoder = draft.settings["added_tokens_decoder"]
    decoder["507"] = added("▁▁▁")
    decoder["508"] = added("<|im_end|>")
    decoder["509"] = added("[tool]", special=True)
    decoder["600"] = added("[beyond]")


def _spm_beside(draft: Draft) -> None:
    """A tokenizer.model beside tokenizer.json is asked first."""
    shutil.copyfile(TOKENIZERS / "llama2" / "tokenizer.model", draft.directory / "tokenizer.model")
    draft.config["vocab_size"] = 510


def _lowercase(draft: Draft) -> None:
    draft.tokenizer["normalizer"] = {
        "type": "Sequence",
        "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}],
    }


def _bert_normalizer(**flags: Any) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        for name, value in flags.items():
            draft.tokenizer["normalizer"][name] = value
            draft.settings["do_lower_case" if name == "lowercase" else name] = value

    return change


def _empty(draft: Draft) -> None:
    draft.settings.clear()


def _roberta(draft: Draft) -> None:
    cls, sep = [BOS, IDS[BOS]], [EOT, IDS[EOT]]
    processor = {"type": "RobertaProcessing", "sep": sep, "cls": cls}
    draft.tokenizer["post_processor"] = processor | {"trim_offsets": True, "add_prefix_space": False}


def _padding(text: str) -> Callable[[Draft], None]:
    """tokenizer.json saved while padding was on."""

    def change(draft: Draft) -> None:
        draft.tokenizer["padding"] = {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": text,
        }

    return change


def _gap(draft: Draft) -> None:
    """A model whose last token has a higher id than it should, with the added ones behind."""
    last = max(draft.vocab, key=lambda text: draft.vocab[text])
    draft.vocab[last] = 540 if "qwen" in str(draft.directory) else 530
    draft.config["vocab_size"] = 560


def _append(token: Json) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.tokenizer["added_tokens"].append({"id": 525} | token)

    return change


def _known(draft: Draft, text: str) -> None:
    draft.tokenizer["added_tokens"].append({"id": draft.vocab[text]} | added(text))


def _text_config(draft: Draft) -> None:
    """What multimodal models do: the text model's settings one level down."""
    draft.config["text_config"] = {
        key: draft.config.pop(key) for key in ("vocab_size", "bos_token_id", "eos_token_id")
    }


_WITHOUT: Final = _files(tokenizer_config__json=None, special_tokens_map__json=None)
_MAP: Final = {"eos_token": END, "pad_token": "<padding>", "additional_special_tokens": ["<extra>"]}
_L3: Final = "llama-bpe"

VARIANTS: Final[dict[str, Variant]] = {
    # who says which token is the BOS
    "tokens as objects": Variant("llama", _dict_tokens, _L3),
    "an EOS nobody added": Variant("llama", _set(eos_token="Ġthe"), _L3),
    "an EOS that is new": Variant("llama", _set(eos_token="<end>"), _L3),
    "ids in config.json only": Variant("llama", _no_specials, _L3),
    "lists as ids": Variant("llama", _all(_no_specials, _config(eos_token_id=[521, 524])), _L3),
    "no ids in config.json": Variant("llama", _config(bos_token_id=None, eos_token_id=None), _L3),
    "other ids in config.json": Variant("llama", _config(pad_token_id=522, sep_token_id=523), _L3),
    "pad and unk": Variant("llama", _set(pad_token=END, unk_token="<|start_header_id|>"), _L3),
    "mask and sep": Variant("llama", _set(mask_token=END, sep_token="<|start_header_id|>"), _L3),
    "cls and sep for bos and eos": Variant(
        "llama", _all(_set(bos_token=None, eos_token=None, cls_token=BOS, sep_token=END)), _L3
    ),
    "empty tokenizer_config": Variant("llama", _empty, _L3),
    "no tokenizer_config": Variant("llama", _WITHOUT, _L3),
    "no tokenizer_config, EOS in the template": Variant(
        "llama", _all(_WITHOUT, _template([BOS], [END])), _L3
    ),
    "special_tokens_map": Variant(
        "llama", _all(_set(added_tokens_decoder=None), _files(special_tokens_map__json=_MAP)), _L3
    ),
    "special_tokens_map that is not read": Variant("llama", _files(special_tokens_map__json=_MAP), _L3),
    # what the post-processor says
    "no post-processor": Variant("llama", lambda draft: draft.tokenizer.update(post_processor=None), _L3),
    "bytes only": Variant("llama", _processor(BYTES), _L3),
    "template with EOS": Variant("llama", _template([BOS], [EOT]), _L3),
    "template with another EOS": Variant("llama", _template([BOS], [END]), _L3),
    "two templates with other EOS": Variant(
        "llama",
        _processor(
            template([BOS], [END], **IDS),
            template([BOS], ["<|end_header_id|>"], **IDS | {"<|end_header_id|>": 523}),
        ),
        _L3,
    ),
    "template with another BOS": Variant("llama", _template([END], []), _L3),
    "template names the BOS": Variant(
        "llama", _all(_set(bos_token=None), _config(bos_token_id=None), _template([BOS], [])), _L3
    ),
    "template with separators": Variant(
        "llama", _template([BOS], [EOT], [BOS, "A", EOT, EOT, "B", EOT]), _L3
    ),
    "template with one separator": Variant("llama", _template([BOS], [], [BOS, "A", EOT, "B"]), _L3),
    "template with an unknown separator": Variant("llama", _template([BOS], [], [BOS, "A", END, "B"]), _L3),
    "template of texts only": Variant("llama", _template([], [], ["A", "B"]), _L3),
    "Roberta": Variant("llama", _roberta, _L3),
    "Roberta without roles": Variant("llama", _all(_set(bos_token=None, eos_token=None), _roberta), _L3),
    "flags against the template": Variant("llama", _set(add_bos_token=False, add_eos_token=True), _L3),
    "flags alone": Variant(
        "llama",
        _all(
            lambda draft: draft.tokenizer.update(post_processor=None),
            _set(add_bos_token=True, add_eos_token=False, add_sep_token=True),
        ),
        _L3,
    ),
    # added tokens
    "added tokens": Variant("llama", _all(_added_tokens(False, False), _config(vocab_size=560)), _L3),
    "normalized tokens": Variant("llama", _all(_added_tokens(False, True), _config(vocab_size=560)), _L3),
    "special tokens": Variant("llama", _all(_added_tokens(True, False), _config(vocab_size=560)), _L3),
    "cleaned up tokens": Variant(
        "llama",
        _all(
            _added_tokens(False, False),
            _set(clean_up_tokenization_spaces=True),
            _config(vocab_size=560),
        ),
        _L3,
    ),
    "added tokens of Qwen": Variant(
        "qwen2", _all(_added_tokens(False, False), _config(vocab_size=560)), "qwen2"
    ),
    "tokens only in tokenizer_config": Variant("llama", _late_tokens, _L3),
    "additional special tokens": Variant(
        "llama", _set(additional_special_tokens=["<extra 1>", EOT, "<extra 2>"]), _L3
    ),
    "extra special tokens": Variant("llama", _set(extra_special_tokens={"image_token": "<image>"}), _L3),
    "defaults of a class": Variant("qwen2", _no_specials, "qwen2"),
    "no class": Variant("qwen2", _all(_no_specials, _set(tokenizer_class=None)), "qwen2"),
    "no vocab_size": Variant("qwen2", _config(vocab_size=508), "qwen2"),
    # merges
    "merges as pairs": Variant("llama", _pairs, _L3),
    "merges with spaces": Variant("llama", _spaced_pairs, _L3),
    "merges in a file": Variant("qwen2", lambda draft: draft.tokenizer["model"].update(merges=[]), "qwen2"),
    # chat templates
    "named templates": Variant("llama", _set(chat_template=TEMPLATES), _L3),
    "named templates without default": Variant("llama", _set(chat_template=TEMPLATES[1:]), _L3),
    "template in a file": Variant(
        "llama", _all(_set(chat_template=None), _files(chat_template__jinja="hi\n")), _L3
    ),
    "template in both": Variant("llama", _files(chat_template__jinja="not this"), _L3),
    "template files": Variant(
        "llama",
        _all(
            _set(chat_template=None),
            _files(chat_template__jinja="hi", additional_chat_templates___rag__jinja="rag\r\n"),
        ),
        _L3,
    ),
    "template in chat_template.json": Variant(
        "llama", _all(_set(chat_template=None), _files(chat_template__json={"chat_template": "json"})), _L3
    ),
    # normalizers
    "case and accents": Variant("llama", _lowercase, _L3),
    "cased BERT": Variant("bert", _bert_normalizer(lowercase=False, strip_accents=False), "jina-v2-en"),
    "stripped BERT": Variant("bert", _bert_normalizer(strip_accents=True), "jina-v2-en"),
    "BERT with BOS and EOS": Variant("bert", _set(bos_token="[CLS]", eos_token="[SEP]"), "jina-v2-en"),
    "BERT without tokenizer_config": Variant("bert", _WITHOUT, "jina-v2-en"),
    "added tokens of BERT": Variant(
        "bert", _all(_added_tokens(False, False), _config(vocab_size=450)), "jina-v2-en"
    ),
    "padded BERT": Variant("bert", _config(vocab_size=448, type_vocab_size=3), "jina-v2-en"),
    # SentencePiece
    "SPM tokens": Variant("mistral", _spm_tokens, None),
    "SPM added_tokens.json": Variant(
        "mistral",
        _all(_config(vocab_size=520), _files(added_tokens__json={"<extra>": 512, "▁▁": 513, "<far>": 999})),
        None,
    ),
    "SPM padded": Variant("mistral", _config(vocab_size=520), None),
    "SPM cut": Variant("mistral", _all(_config(vocab_size=500), _set(added_tokens_decoder=None)), None),
    "SPM with ids beyond": Variant("mistral", _config(pad_token_id=512, sep_token_id=511), None),
    "SPM alone": Variant("mistral", _all(_WITHOUT, _files(tokenizer__json=None)), None),
    "SPM without tokenizer.json": Variant("mistral", _files(tokenizer__json=None), None),
    "SPM with a prefix": Variant("mistral", _set(add_prefix_space=True), None),
    "SPM without a prefix": Variant("mistral", _set(add_prefix_space=False), None),
    "CodeLlama": Variant("mistral", _config(vocab_size=32016), None),
    "Granite": Variant("mistral", _config(vocab_size=49152), None),
    "SPM in Qwen": Variant("qwen2", _spm_beside, None),
    "Gemma without tokenizer_config": Variant("gemma3", _WITHOUT, None),
    "Gemma without tokenizer.model": Variant("gemma3", _files(tokenizer__model=None), "default"),
    # tokenizer.json made of SentencePiece
    "llama-hf tokens": Variant("llama-hf", _all(_added_tokens(False, False), _config(vocab_size=560)), None),
    "llama-hf special tokens": Variant(
        "llama-hf", _all(_added_tokens(True, False), _config(vocab_size=560)), None
    ),
    "llama-hf additional tokens": Variant(
        "llama-hf", _set(additional_special_tokens=["<extra>", "▁the"], pad_token="<pad>"), None
    ),
    "llama-hf late tokens": Variant("llama-hf", _late_tokens, None),
    "llama-hf extra tokens": Variant("llama-hf", _set(extra_special_tokens={"image_token": "<image>"}), None),
    "more special_tokens_map": Variant(
        "llama",
        _all(
            _set(added_tokens_decoder=None, additional_special_tokens=["<one>"]),
            _files(
                special_tokens_map__json={"additional_special_tokens": ["<two>", "<one>"], "pad_token": None}
            ),
        ),
        _L3,
    ),
    "special_tokens_map with objects": Variant(
        "llama",
        _all(
            _set(added_tokens_decoder=None),
            _files(special_tokens_map__json={"pad_token": added(" padding ", normalized=True)}),
        ),
        _L3,
    ),
    "added_tokens.json": Variant(
        "llama",
        _all(
            _set(added_tokens_decoder=None, eos_token="<named>"),
            _files(added_tokens__json={"<late>": 526, "<named>": 525, EOT: 524}),
        ),
        _L3,
    ),
    "added_tokens.json that is not read": Variant("llama", _files(added_tokens__json={"<late>": 525}), _L3),
    "padding in tokenizer.json": Variant("llama", _padding("<padding>"), _L3),
    "padding in tokenizer.json and a role": Variant(
        "llama", _all(_padding("<padding>"), _set(pad_token=EOT)), _L3
    ),
    "llama-hf padding": Variant("llama-hf", _all(_padding("▁the"), _set(pad_token=None)), None),
    "llama-hf null padding": Variant("llama-hf", _padding("▁the"), None),
    "class GPT2": Variant("llama", _all(_no_specials, _set(tokenizer_class="GPT2Tokenizer")), _L3),
    "class GPTNeoX": Variant("llama", _all(_no_specials, _set(tokenizer_class="GPTNeoXTokenizer")), _L3),
    "class CodeLlama": Variant(
        "llama-hf", _all(_set(tokenizer_class="CodeLlamaTokenizer"), _config(vocab_size=520)), None
    ),
    "class Gemma": Variant("llama-hf", _all(_no_specials, _set(tokenizer_class="GemmaTokenizer")), None),
    "class Cohere": Variant("llama", _all(_no_specials, _set(tokenizer_class="CohereTokenizerFast")), _L3),
    "class in config.json": Variant(
        "qwen2",
        _all(_no_specials, _set(tokenizer_class=None), _config(tokenizer_class="GPT2Tokenizer")),
        "qwen2",
    ),
    "class DistilBert": Variant(
        "bert", _set(tokenizer_class="DistilBertTokenizer", mask_token=None), "jina-v2-en"
    ),
    "class of BERT unsaid": Variant("bert", _all(_no_specials, _set(tokenizer_class=None)), "jina-v2-en"),
    "class PreTrainedTokenizerFast for BERT": Variant(
        "bert", _all(_no_specials, _set(tokenizer_class="PreTrainedTokenizerFast")), "jina-v2-en"
    ),
    "gap in the model": Variant("llama", _gap, _L3),
    "gap in the model and new tokens": Variant("llama", _all(_gap, _late_tokens), _L3),
    "gap in the model and added ones": Variant(
        "qwen2", _all(_gap, lambda draft: draft.tokenizer.update(added_tokens=[])), "qwen2"
    ),
    "empty added token": Variant("llama", _append(added("")), _L3),
    "added token twice": Variant("llama", _append(added(EOT)), _L3),
    "added token of the model": Variant("llama", lambda draft: _known(draft, "Ġthe"), _L3),
    "text_config": Variant("llama", _text_config, _L3),
    "text_config against the root": Variant(
        "llama", _config(text_config={"vocab_size": 560, "eos_token_id": 522}), _L3
    ),
    "template with old line ends": Variant(
        "llama", _all(_set(chat_template=None), _files(chat_template__jinja="a\rb\r\nc\n")), _L3
    ),
    "templates nobody reads": Variant("llama", _set(chat_template={"default": "x"}), _L3),
    "templates with odd names": Variant(
        "llama",
        _set(
            chat_template=[
                {"name": "", "template": "none"},
                {"name": "é tool", "template": "accent"},
                {"name": "default", "template": None},
            ]
        ),
        _L3,
    ),
    "null template and a file": Variant(
        "llama",
        lambda draft: (
            draft.settings.update(chat_template=None),
            draft.files.update({"chat_template.jinja": "x"}),
        ),
        _L3,
    ),
    "roles that are null": Variant(
        "llama", lambda draft: draft.settings.update(bos_token=None, eos_token=None), _L3
    ),
    "EOS in the middle": Variant("llama", _template([BOS, END], []), _L3),
    "three tokens around": Variant(
        "llama", _template([BOS], [END, EOT], [BOS, "A", END, EOT, "B", END, EOT]), _L3
    ),
    "pair that begins otherwise": Variant("llama", _template([BOS], [EOT], ["A", EOT, "B", EOT]), _L3),
    "pair with three separators": Variant(
        "llama", _template([BOS], [EOT], [BOS, "A", EOT, EOT, EOT, "B", EOT]), _L3
    ),
    "pair with BOS between": Variant("llama", _template([BOS], [EOT], [BOS, "A", EOT, BOS, "B", EOT]), _L3),
    "separator with a role": Variant(
        "llama", _all(_set(sep_token=END), _template([BOS], [EOT], [BOS, "A", EOT, END, "B", EOT])), _L3
    ),
    "lone text": Variant("llama", _processor(template(["A"][:0], [], pair=["A", "B"])), _L3),
    "empty sequence of processors": Variant("llama", _processor(), _L3),
    "SPM normalizer": Variant(
        "mistral", lambda draft: draft.tokenizer.update(normalizer={"type": "Lowercase"}), None
    ),
    "SPM with tokenizer.json's added tokens": Variant("mistral", lambda draft: draft.add("<late>"), None),
    "SPM text_config": Variant("mistral", _text_config, None),
    "SPM text_config against the root": Variant("mistral", _config(text_config={"vocab_size": 540}), None),
    "llama-hf alone": Variant("llama-hf", _WITHOUT, None),
    "llama-hf of the general class": Variant(
        "llama-hf", _all(_no_specials, _set(tokenizer_class="PreTrainedTokenizerFast")), None
    ),
}
"""What is tried, by a name for the report."""
