"""Tokenizers: Hugging Face's files ↔ a GGUF vocabulary.

`load` reads tokenizer.model or tokenizer.json and what stands beside them, `export` writes them again.
Both directions know nothing of weights; a tokenizer is some metadata keys, and loading an export gives the
same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..architectures.traits import PLAIN_VOCABULARY, SpacePrefix, VocabularyTraits
from ..container.metadata import Metadata
from ..errors import TokenizerError
from ..io.remote import PathOrLocation
from ..spec import ValueType
from .export import export
from .files import TokenizerFiles
from .pretokenizers import check_name
from .replaced_pieces import adds_space, load_replaced_pieces, turn_end
from .rwkv import FILE as RWKV_FILE
from .rwkv import load_rwkv, rwkv_special
from .special import ADD_KEYS, ID_KEYS, special_entries
from .spm import load_spm
from .tekken import has_tekken, tekken_entries
from .tokenizer_json_reader import load_bpe, load_llama_hf, load_unscored, load_wordpiece
from .unigram import load_unigram
from .vocabulary import Entry, Vocabulary, setting

__all__ = ["export", "load"]

_ADD_SPACE: Final = "tokenizer.ggml.add_space_prefix"
_TYPES: Final = {"bpe": "BPE", "wordpiece": "WordPiece", "unigram": "Unigram"}
"""``model.type`` in tokenizer.json, where that tells a kind."""


def load(
    directory: PathOrLocation,
    config: Mapping[str, Any],
    *,
    kinds: Sequence[str],
    traits: VocabularyTraits = PLAIN_VOCABULARY,
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
            ``"spm-replaced"`` (InternLM 2) and ``"unscored"`` (XVERSE) are spm and bpe by rules of a single
            family.
        traits: what is said of the family's vocabularies beyond their files.
        pre: pre-tokenizer name to write instead of recognising it.

    Raises:
        TokenizerError: no tokenizer is found, its files are inconsistent, or it is not recognised.
        CheckpointError: a file cannot be read or is not JSON.
    """
    if pre is not None:
        check_name(pre)
    files = TokenizerFiles(directory)
    try:
        return _load(files, config, kinds, traits, pre)
    except RecursionError as error:
        raise TokenizerError("a tokenizer file is nested too deeply", path=str(directory)) from error


def _load(
    files: TokenizerFiles,
    config: Mapping[str, Any],
    kinds: Sequence[str],
    traits: VocabularyTraits,
    pre: str | None,
) -> Metadata:
    metadata = Metadata()
    if "tekken" in kinds:
        if has_tekken(files):
            metadata.extend(tekken_entries(files, config, pre))
            return metadata
        kinds = [kind for kind in kinds if kind != "tekken"]
    if traits.space_prefix is SpacePrefix.CONFIG:
        metadata.extend(_configured_space(files))
    metadata.extend((ADD_KEYS[role], ValueType.BOOL, adds) for role, adds in traits.adds.items())
    vocabulary = _find(files, config, kinds, pre)
    if traits.token_types:
        fixed = traits.bpe_token_types if vocabulary.model == "gpt2" else None
        vocabulary = replace(vocabulary, token_types=_token_types(files, config) if fixed is None else fixed)
    metadata.extend(vocabulary.entries())
    if traits.space_prefix is SpacePrefix.CONFIG_AFTER_TOKENS:
        metadata.extend(_configured_space(files))
    if traits.space_prefix is SpacePrefix.MODEL:
        metadata.extend(adds_space(files))
    limit = len(vocabulary.tokens) if vocabulary.bounded else None
    special = special_entries(files, limit, traits.roles)
    metadata.extend(rwkv_special(special, vocabulary.tokens) if vocabulary.model == "rwkv" else special)
    metadata.extend(vocabulary.last_entries())
    metadata.extend(_last_entries(files, config, traits, vocabulary))
    return metadata


def _last_entries(
    files: TokenizerFiles, config: Mapping[str, Any], traits: VocabularyTraits, vocabulary: Vocabulary
) -> Iterator[Entry]:
    """What a family says whatever the files did."""
    if traits.turn_end:
        yield from turn_end(files)
    size = setting(config, "vocab_size")
    sized = traits.by_size.get(size, PLAIN_VOCABULARY) if isinstance(size, int) else PLAIN_VOCABULARY
    for role, number in {**sized.ids, **traits.ids}.items():
        yield ID_KEYS[role], ValueType.UINT32, number
    for role, adds in sized.adds.items():
        yield ADD_KEYS[role], ValueType.BOOL, adds
    if traits.eot_from_generation:
        yield from _first_end_of_generation(files)
    from_json = not files.exists("tokenizer.model")
    off = traits.space_prefix is SpacePrefix.OFF or (
        traits.space_prefix is SpacePrefix.OFF_IN_JSON and from_json
    )
    if off and vocabulary.model == "llama":
        yield _ADD_SPACE, ValueType.BOOL, False


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
        elif kind == "spm-replaced":
            found = load_replaced_pieces(files, config)
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
        "spm-replaced": "tokenizer.model",
        "unigram": "spiece.model",
        "rwkv": RWKV_FILE,
    }
    wanted = [models[kind] for kind in kinds if kind in models]
    if set(kinds) - {"rwkv", "spm-replaced"}:
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


def _configured_space(files: TokenizerFiles) -> Iterator[Entry]:
    prefix = (files.json("tokenizer_config.json") or {}).get("add_prefix_space")
    if isinstance(prefix, bool):
        yield _ADD_SPACE, ValueType.BOOL, prefix


def _first_end_of_generation(files: TokenizerFiles) -> Iterator[Entry]:
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
