"""Tokenizers: Hugging Face's files ↔ a GGUF vocabulary.

`load` reads tokenizer.model or tokenizer.json and what stands beside them, `export` writes them again.
Both directions know nothing of weights; a tokenizer is some metadata keys, and loading an export gives the
same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..container.metadata import Metadata
from ..errors import TokenizerError
from ..remote import PathOrLocation
from ..spec import ValueType
from .export import export
from .fast import load_bpe, load_llama_hf, load_unscored, load_wordpiece
from .files import TokenizerFiles
from .internlm2 import adds_space, load_internlm2, turn_end
from .pretokenizers import check_name
from .rwkv import FILE as RWKV_FILE
from .rwkv import load_rwkv, rwkv_special
from .special import ADD_KEYS, ID_KEYS, special_entries
from .spm import load_spm
from .tekken import has_tekken, tekken_entries
from .unigram import load_unigram
from .vocabulary import Entry, Vocabulary, setting

__all__ = ["export", "load"]

_ADD_SPACE: Final = "tokenizer.ggml.add_space_prefix"
_CODE_LLAMA_TOKENS: Final = 32016
_CODE_LLAMA_EOT: Final = 32010
_GRANITE_TOKENS: Final = 49152
_CODE_GEMMA_EOT: Final = 107
"""llama.cpp's converter takes every Gemma 1 for a CodeGemma, whose <end_of_turn> this is."""

_LIKE_LLAMA: Final = frozenset({"llama", "arcee", "granite", "granitemoe", "mistral3", "smollm3"})
"""What llama.cpp's converter derives from its Llama."""

_PREFIXED: Final = _LIKE_LLAMA | {"ernie4_5", "ernie4_5-moe"}
"""Whose ``add_prefix_space`` it heeds."""

_NO_SPACE: Final = frozenset({"gemma", "gemma2", "gemma3", "gemma3n", "gemma-embedding"})

_NO_BOS: Final = frozenset({"phi2", "chatglm"})
"""Of which the converter says that no BOS is added, unless the tokenizer's files say otherwise."""

_GLM: Final = {"eos": "<|endoftext|>", "eot": "<|user|>", "unk": "<|endoftext|>"}
_SPARE: Final[Mapping[str, Mapping[str, str]]] = {
    "chatglm": _GLM,
    "glm4": _GLM | {"bos": "<|endoftext|>"},
    "glm4moe": {
        "bos": "[gMASK]",
        "eot": "<|user|>",
        "unk": "<|endoftext|>",
        "eom": "<|observation|>",
    },
}
"""Added tokens with a role that the files of these families leave out."""
_TYPED: Final = frozenset({"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2"})
"""Whose runtime wants to know how many kinds of texts they tell apart."""

_TYPES: Final = {"bpe": "BPE", "wordpiece": "WordPiece", "unigram": "Unigram"}
"""``model.type`` in tokenizer.json, where that tells a kind."""

_NO_SPACE_IN_JSON: Final = frozenset({"jamba"})
"""Which put no space before a text if their SentencePiece vocabulary is in tokenizer.json."""


def load(
    directory: PathOrLocation,
    config: Mapping[str, Any],
    *,
    kinds: Sequence[str],
    architecture: str,
    pre: str | None = None,
) -> Metadata:
    """All ``tokenizer.*`` keys of a checkpoint, as llama.cpp's converter (b11434) writes them.

    Args:
        directory: the checkpoint.
        config: its config.json.
        kinds: tokenizers to look for, in order: ``"spm"`` (tokenizer.model), ``"llama-hf"`` (a
            SentencePiece vocabulary in tokenizer.json), ``"bpe"`` and ``"wordpiece"`` (tokenizer.json),
            ``"unigram"`` (a SentencePiece model of that kind, or tokenizer.json), ``"rwkv"``
            (rwkv_vocab_v20230424.txt);
            ``"tekken"`` (tekken.json, where there is no tokenizer.json) comes before all others;
            ``"internlm2"`` and ``"unscored"`` (XVERSE) are spm and bpe by rules of a single family.
        architecture: GGUF's name of the model's architecture; some have keys of their own.
        pre: pre-tokenizer name to write instead of recognising it.

    Raises:
        TokenizerError: no tokenizer is found, its files are inconsistent, or it is not recognised.
        CheckpointError: a file cannot be read or is not JSON.
    """
    if pre is not None:
        check_name(pre)
    files = TokenizerFiles(directory)
    try:
        return _load(files, config, kinds, architecture, pre)
    except RecursionError as error:
        raise TokenizerError("a tokenizer file is nested too deeply", path=str(directory)) from error


def _load(
    files: TokenizerFiles,
    config: Mapping[str, Any],
    kinds: Sequence[str],
    architecture: str,
    pre: str | None,
) -> Metadata:
    metadata = Metadata()
    if "tekken" in kinds:
        if has_tekken(files):
            metadata.extend(tekken_entries(files, config, pre))
            return metadata
        kinds = [kind for kind in kinds if kind != "tekken"]
    internlm3 = config.get("architectures") == ["InternLM3ForCausalLM"]
    if architecture in _PREFIXED and not internlm3:
        metadata.extend(_llama_before(files))
    if architecture in _NO_BOS:
        metadata.set(ADD_KEYS["bos"], False, ValueType.BOOL)
    if architecture == "modern-bert":
        metadata.extend((key, ValueType.BOOL, True) for key in ADD_KEYS.values())
    vocabulary = _find(files, config, kinds, pre)
    if architecture in _TYPED:
        fixed = architecture == "jina-bert-v2" and vocabulary.model == "gpt2"
        vocabulary = replace(vocabulary, token_types=2 if fixed else _token_types(files, config))
    metadata.extend(vocabulary.entries())
    if internlm3:
        metadata.extend(_llama_before(files))
    if architecture == "internlm2":
        metadata.extend(adds_space(files))
    limit = len(vocabulary.tokens) if vocabulary.bounded else None
    special = special_entries(files, limit, _SPARE.get(architecture))
    metadata.extend(rwkv_special(special, vocabulary.tokens) if vocabulary.model == "rwkv" else special)
    metadata.extend(vocabulary.last_entries())
    if architecture == "internlm2" or internlm3:
        metadata.extend(turn_end(files))
    if architecture in _LIKE_LLAMA:
        metadata.extend(_llama_after(config))
    if architecture == "nemotron":
        metadata.set(ID_KEYS["pad"], 0, ValueType.UINT32)
        metadata.set(ID_KEYS["unk"], 1, ValueType.UINT32)
    if architecture == "hunyuan-dense":
        metadata.extend(_hunyuan_after(files))
    if architecture == "gemma":
        metadata.set(ID_KEYS["eot"], _CODE_GEMMA_EOT, ValueType.UINT32)
    from_json = architecture in _NO_SPACE_IN_JSON and not files.exists("tokenizer.model")
    if (architecture in _NO_SPACE or from_json) and vocabulary.model == "llama":
        metadata.set(_ADD_SPACE, False, ValueType.BOOL)
    return metadata


def _find(
    files: TokenizerFiles,
    config: Mapping[str, Any],
    kinds: Sequence[str],
    pre: str | None,
) -> Vocabulary:
    for place, kind in enumerate(kinds):
        found = None
        if kind == "spm":
            found = load_spm(files, config)
        elif kind == "llama-hf":
            found = load_llama_hf(files, config)
        elif kind == "internlm2":
            found = load_internlm2(files, config)
        elif kind == "rwkv":
            found = load_rwkv(files, config)
        elif kind == "unigram":
            found = load_unigram(files, config)
        elif kind == "unscored":
            found = load_unscored(files, config) if files.exists("tokenizer.json") else None
        elif files.exists("tokenizer.json") and _model_type(files) not in map(_TYPES.get, kinds[place + 1 :]):
            found = (load_wordpiece if kind == "wordpiece" else load_bpe)(files, config, pre)
        if found is not None:
            return found if pre is None else replace(found, pre=pre)
    models = {
        "spm": "tokenizer.model",
        "internlm2": "tokenizer.model",
        "unigram": "spiece.model",
        "rwkv": RWKV_FILE,
    }
    wanted = [models[kind] for kind in kinds if kind in models]
    if set(kinds) - {"rwkv", "internlm2"}:
        wanted.append("tokenizer.json")
    hint = ""
    if files.exists("tekken.json"):
        hint = "; tekken.json is for Mistral's models: take the tokenizer.json of this one"
    elif files.exists("vocab.txt") or files.exists("vocab.json"):
        hint = "; save it as a fast tokenizer, which writes tokenizer.json"
    raise TokenizerError(
        f"no tokenizer is found{hint}", path=str(files.directory), expected=" or ".join(wanted)
    )


def _model_type(files: TokenizerFiles) -> Any:
    model = files.require("tokenizer.json").get("model")
    return model.get("type") if isinstance(model, dict) else None


def _llama_before(files: TokenizerFiles) -> Iterator[Entry]:
    prefix = (files.json("tokenizer_config.json") or {}).get("add_prefix_space")
    if isinstance(prefix, bool):
        yield _ADD_SPACE, ValueType.BOOL, prefix


def _hunyuan_after(files: TokenizerFiles) -> Iterator[Entry]:
    """The first of several tokens that end a generation is what ends a turn."""
    ends = (files.json("generation_config.json") or {}).get("eos_token_id")
    if isinstance(ends, list) and len(ends) > 1 and type(ends[0]) is int and 0 <= ends[0] < 1 << 32:
        yield ID_KEYS["eot"], ValueType.UINT32, ends[0]


def _token_types(files: TokenizerFiles, config: Mapping[str, Any]) -> int:
    """How many kinds of texts a BERT tells apart."""
    count = setting(config, "type_vocab_size", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 1 << 32:
        raise TokenizerError(
            "the number of token types is unusable",
            path=files.path("config.json"),
            key="type_vocab_size",
            found=count,
        )
    return count


def _llama_after(config: Mapping[str, Any]) -> Iterator[Entry]:
    """What the converter knows of models by the size of their vocabulary.

    It knows more of CodeLlama's ids than it writes: the runtime finds those by their texts.
    """
    size = setting(config, "vocab_size")
    if size == _CODE_LLAMA_TOKENS:
        yield ID_KEYS["eot"], ValueType.UINT32, _CODE_LLAMA_EOT
    elif size == _GRANITE_TOKENS:
        yield ADD_KEYS["bos"], ValueType.BOOL, False
