"""GGUF vocabulary → Hugging Face's tokenizer files.

What a GGUF file does not carry (offsets, padding strategies) takes the values published tokenizers of the
kind have. Loading the files again gives the same keys, and transformers reads them without conversion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..checkpoint.json_files import json_bytes
from ..container.metadata import Array
from ..errors import TokenizerError
from ..spec import TokenType
from .export_vocab import Spelling
from .rwkv import FILE as RWKV_FILE
from .rwkv import rwkv_files
from .sentencepiece import Piece, PieceType, write_model
from .special import ADD_KEYS, ID_KEYS
from .tokenizer_json import added_token, tokenizer_json
from .vocabulary import ADDED_SCORE

__all__ = ["export"]

_CLASSES: Final = {
    "gpt2": "PreTrainedTokenizerFast",
    "llama": "PreTrainedTokenizerFast",
    "bert": "BertTokenizerFast",
    "t5": "PreTrainedTokenizerFast",
}
"""transformers' class for each kind. The general one takes tokenizer.json as it is, where LlamaTokenizerFast
would build its own from tokenizer.model."""

_TEMPLATE: Final = "tokenizer.chat_template."
"""Beginning of the keys of named chat templates."""

_BERT_ROLES: Final = ("unk", "sep", "pad", "cls", "mask")


def export(metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """Tokenizer files for a vocabulary.

    Args:
        metadata: of a GGUF file.

    Returns:
        Contents by file name: tokenizer.json, tokenizer_config.json and special_tokens_map.json, and
        tokenizer.model where the vocabulary came from one; for RWKV the list of its tokens and
        tokenizer_config.json. Nothing if the file has no vocabulary.

    Raises:
        TokenizerError: the vocabulary is incomplete or of a kind that cannot be expressed.
    """
    if metadata.get("tokenizer.ggml.model") in (None, "no_vocab", "none"):
        return {}
    if metadata.get("tokenizer.ggml.model") == "rwkv":
        listing, config = rwkv_files(metadata)
        name = "tokenizer_config.json"
        return {RWKV_FILE: listing, name: json_bytes(config, name, TokenizerError, indent=1)}
    spelling = Spelling(metadata)
    documents = {
        "tokenizer.json": tokenizer_json(spelling),
        "tokenizer_config.json": _config(spelling),
        "special_tokens_map.json": _special_tokens_map(spelling),
    }
    files = {
        name: json_bytes(document, name, TokenizerError, indent=1) for name, document in documents.items()
    }
    if spelling.scored:
        files["tokenizer.model"] = _sentencepiece_model(spelling)
    return files


def _special_tokens_map(spelling: Spelling) -> dict[str, str]:
    """Roles and texts."""
    roles = dict(spelling.roles)
    turn_end = spelling.text_of_role("eot")
    if turn_end and spelling.flag("eos") and roles.get("eos"):
        # the template ends with the EOS; the role of that name is with what ends a turn
        roles["eos"] = turn_end
    if spelling.model == "bert":
        # what begins and ends a text has other names here
        for role, other in (("bos", "cls"), ("eos", "sep")):
            if role in roles and roles.setdefault(other, roles[role]) == roles[role]:
                del roles[role]
    return {f"{role}_token": text for role, text in roles.items()}


def _config(spelling: Spelling) -> dict[str, Any]:
    """tokenizer_config.json."""
    metadata = spelling.metadata
    made: dict[str, Any] = {"tokenizer_class": _CLASSES[spelling.model]}
    if spelling.model == "bert":
        made |= {f"{role}_token": None for role in _BERT_ROLES}  # or the class fills in its own
        made["do_lower_case"] = bool(metadata.get("tokenizer.ggml.normalizer.lowercase", True))
    else:
        # otherwise the general class also returns token types, which decoders do not take
        made["model_input_names"] = ["input_ids", "attention_mask"]
    made |= _special_tokens_map(spelling)
    made["clean_up_tokenization_spaces"] = False
    context = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if isinstance(context, int):
        made["model_max_length"] = context
    made |= {f"add_{role}_token": added for role in ADD_KEYS if (added := spelling.flag(role)) is not None}
    prefix = metadata.get("tokenizer.ggml.add_space_prefix")
    if isinstance(prefix, bool):
        made["add_prefix_space"] = prefix
    if spelling.scores is not None and not spelling.scored:
        # such tokens count as special only by a role: this is the role of those without another
        named = set(spelling.roles.values())
        control = (i for i in spelling.added if spelling.types[i] is TokenType.CONTROL)
        made["additional_special_tokens"] = [
            text for i in control if (text := spelling.texts[i]) not in named
        ]
    made["added_tokens_decoder"] = {
        str(token_id): added_token(spelling, token_id)
        for token_id in spelling.added
        # what tokenizer.model gives a score was not added to it
        if not (spelling.scored and spelling.scores) or spelling.scores[token_id] == ADDED_SCORE
    }
    template = _chat_template(metadata)
    if template is not None:
        made["chat_template"] = template
    return made


def _chat_template(metadata: Mapping[str, Any]) -> str | list[dict[str, str]] | None:
    """One template, or all with their names where there are several."""
    default = metadata.get("tokenizer.chat_template")
    named = [
        {"name": name, "template": text}
        for name in _template_names(metadata)
        if isinstance(text := metadata.get(_TEMPLATE + name), str)
    ]
    if not isinstance(default, str):
        return named or None
    return [{"name": "default", "template": default}, *named] if named else default


def _template_names(metadata: Mapping[str, Any]) -> Iterable[str]:
    """Names a file lists, then those that only have a key; ``default`` has a key of its own."""
    listed = metadata.get("tokenizer.chat_templates")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, Array) else []
    names += [key.removeprefix(_TEMPLATE) for key in metadata if key.startswith(_TEMPLATE)]
    return (name for name in dict.fromkeys(names) if name and name != "default")


def _sentencepiece_model(spelling: Spelling) -> bytes:
    """tokenizer.model: every token but the padding at the end."""
    scores = spelling.scores or ()
    end = len(spelling.texts)
    while end and end - 1 in spelling.padding:
        end -= 1
    pieces = (Piece(spelling.texts[i], scores[i], PieceType(spelling.types[i])) for i in range(end))
    ids = {role: _id(spelling, role, end) for role in ("unk", "bos", "eos", "pad")}
    return write_model(pieces, ids=ids, add_dummy_prefix=spelling.adds_space)


def _id(spelling: Spelling, role: str, end: int) -> int:
    """Id of the token with a role, or −1; the unknown token is known by its type, too."""
    token_id = spelling.metadata.get(ID_KEYS[role])
    if isinstance(token_id, int) and not isinstance(token_id, bool) and 0 <= token_id < end:
        return token_id
    unknown = TokenType.UNKNOWN in spelling.types[:end]
    return spelling.types.index(TokenType.UNKNOWN) if role == "unk" and unknown else -1
