"""Edits of tokenizers that llama.cpp's converter reads by rules of a single family."""

from __future__ import annotations

from typing import Final

from gguf_tools.tokenizers.sentencepiece import Piece, PieceType, read_pieces, write_model
from tests.parity.tokenizer_variants import Variant
from tests.tokenizers.variants import Draft, added

LAST: Final = 511
"""Id of the last token of the tiny Llama 2 vocabulary."""


def _unused_pieces(draft: Draft) -> None:
    """Pieces that later tokens replace, one that stays unused, a zero byte, no space before the text."""
    path = draft.directory / "tokenizer.model"
    pieces = read_pieces(path.read_bytes(), str(path))
    for token_id in range(LAST - 3, LAST + 1):
        pieces[token_id] = pieces[token_id]._replace(text=f"[UNUSED_TOKEN_{token_id}]")
    pieces[LAST - 4] = Piece("\0", pieces[LAST - 4].score, PieceType.USER_DEFINED)
    ids = {"unk": 0, "bos": 1, "eos": 2, "pad": -1}
    path.write_bytes(write_model(pieces, ids=ids, add_dummy_prefix=False))
    _chat(draft)
    draft.settings["added_tokens_decoder"][str(LAST - 2)] = added("▁tool", special=False)


def _chat(draft: Draft) -> None:
    """Tokens around turns, in both files."""
    for token_id, text in ((LAST - 1, "<|im_start|>"), (LAST, "<|im_end|>")):
        draft.settings["added_tokens_decoder"][str(token_id)] = added(text, special=True)


def _only_in_tokenizer_json(draft: Draft) -> None:
    draft.settings["added_tokens_decoder"] = {}
    draft.tokenizer["added_tokens"] += [
        {"id": LAST} | added("<|im_end|>", special=True),
        {"id": LAST - 1} | added("<|plain|>", special=False),
    ]


def _at_the_end(draft: Draft) -> None:
    draft.files["added_tokens.json"] = {"<extra>": 3, "<more>": 700}


def _no_end_of_turn(draft: Draft) -> None:
    _chat(draft)
    draft.settings["added_tokens_decoder"][str(LAST)]["special"] = False


def _no_space(draft: Draft) -> None:
    draft.settings["add_prefix_space"] = False


def _unscored(draft: Draft) -> None:
    """Tokens added after the model's, and a zero byte among the model's."""
    (zero,) = (text for text, token_id in draft.vocab.items() if token_id == LAST)
    draft.vocab["\0"] = draft.vocab.pop(zero)
    draft.tokenizer["model"]["merges"] = [
        merge for merge in draft.tokenizer["model"]["merges"] if "".join(merge).replace(" ", "") != zero
    ]
    draft.config["vocab_size"] = LAST + 3
    draft.add("<|special|>", special=True)
    draft.add("▁tool")


def _one_end(draft: Draft) -> None:
    draft.files["generation_config.json"] = {"eos_token_id": 521}


def _list_of_one_end(draft: Draft) -> None:
    draft.files["generation_config.json"] = {"eos_token_id": [521]}


VARIANTS: Final[dict[str, Variant]] = {
    "InternLM 2 with unused pieces": Variant("internlm2", _unused_pieces, None),
    "InternLM 2 with tokens in tokenizer.json": Variant("internlm2", _only_in_tokenizer_json, None),
    "InternLM 2 with added_tokens.json": Variant("internlm2", _at_the_end, None),
    "InternLM 3 for chats": Variant("internlm3", _chat, None),
    "InternLM 3 that says what it adds": Variant("internlm3", _no_space, None),
    "InternLM 3 with an ordinary end of turn": Variant("internlm3", _no_end_of_turn, None),
    "XVERSE with added tokens": Variant("xverse", _unscored, None),
    "HunYuan with one end": Variant("hunyuan", _one_end, "llama-bpe"),
    "HunYuan with a list of one end": Variant("hunyuan", _list_of_one_end, "llama-bpe"),
}
