r"""Every pre-tokenizer llama.cpp (b11434) knows by name, as tokenizer.json has it.

Where a published tokenizer.json or vocabulary was at hand, the structure is the published one. For the others
the expressions are those of llama.cpp's ``llm_tokenizer_bpe``, which quotes most originals. For ``afmoe``,
``laguna``, ``spark2_5``, ``ufakzeka`` and ``youtu`` it has only what it runs itself: an export of these does
what the runtime does, but a published file may be written otherwise and then has to be named.

Some names share a structure. Then a ``Sign`` in the file decides: a BOS template, ``ignore_merges``, or
tokens only that family has. Of names that mean the same to the runtime the one the converter gives is used:
for BERT's own vocabulary that is ``jina-v2-en``, because ``bert-bge`` has the same hash and is overwritten,
and for GPT-NeoX's it is ``olmo`` and not ``mpt``.

The runtime does not do all that the structures say:

- No name composes characters (NFC).
- ``tekken``, ``gpt-4o``, ``llama4``, ``minimax-m2``, ``kimi-k2``: a combining mark ends a word.
- ``kimi-k2``, ``youtu``, ``tiny_aya``: a capital letter after another letter begins no word.
- ``tiny_aya``: digits are grouped also where a letter follows. There and in ``afmoe``, spaces before a number
  stay with it.
- ``falcon``: the bytes B2, B3, B9, BC, BD and BE do not count as digits.
- ``deepseek-llm``, ``deepseek-coder``: white space between U+0800 and U+4E00 is not cut off; the former keeps
  runs of digits whole, which the published vocabulary does not notice.
- ``superbpe``: only ASCII digits are grouped.

Texts without these get the tokens of the structure; the tests compare that, token for token.
"""

from __future__ import annotations

from typing import Final

from .pretokenizer_parts import Json, PreTokenizer, Sign

__all__ = ["PRETOKENIZERS", "RUNTIME_NAMES", "SAME", "UNKNOWN", "WORDPIECE"]


def _bytes(*, words: bool) -> Json:
    """GPT-2's bytes as characters, with (``words``) or without its own splitting."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": words}


def _split(regex: str) -> Json:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def _digits(*, one_by_one: bool) -> Json:
    return {"type": "Digits", "individual_digits": one_by_one}


def _sequence(*steps: str | Json) -> Json:
    """One step after the other; a text is an expression whose matches become pieces."""
    return {
        "type": "Sequence",
        "pretokenizers": [_split(step) if isinstance(step, str) else step for step in steps],
    }


_WORDS: Final = _bytes(words=True)
_BYTES: Final = _bytes(words=False)
_DIGIT: Final = _digits(one_by_one=True)
_NFC: Final[Json] = {"type": "NFC"}
_BERT: Final[Json] = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}

# Descendants of GPT-4's expression: contractions, words, numbers, anything else, white space.
_CONTRACTION: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES: Final = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3: Final = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_QWEN2: Final = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35: Final = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_JAIS2: Final = (
    _LLAMA3.removesuffix(r"\s+(?!\S)|\s+")
    + "".join(rf"\s{{{run}}}(?!\S)|" for run in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2"))
    + r"\s{1}"
)
_BAILING: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED: Final = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"
_EXAONE_MOE: Final = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_TURKISH: Final = _QWEN2.removeprefix(_CONTRACTION + "|")

# GPT-4o's: words are also cut where a capital letter follows a small one.
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_EDGE: Final = r"[^\r\n\p{L}\p{N}]?"
_REST: Final = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_TEKKEN: Final = rf"{_EDGE}{_UPPER}*{_LOWER}+|{_EDGE}{_UPPER}+{_LOWER}*|\p{{N}}|{_REST}"
_GPT4O: Final = (
    rf"{_EDGE}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_EDGE}{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}|{_REST}"
)
_NOT_HAN: Final = r"&&[^\p{Han}]]"
_KIMI: Final = r"[\p{Han}]+|" + _GPT4O.replace(_UPPER, _UPPER[:-1] + _NOT_HAN).replace(
    _LOWER, _LOWER[:-1] + _NOT_HAN
).replace("[\\r\\n/]*", "[\\r\\n]*")

# DeepSeek's: numbers and scripts without spaces are cut out first.
_CJK: Final = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_CJK_AND_HANGUL: Final = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_PUNCTUATED: Final = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
)
_DEEPSEEK3: Final = (
    r"\p{N}{1,3}",
    _CJK,
    rf"{_PUNCTUATED}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
    _BYTES,
)
_SPARK: Final = (
    r"\p{N}{1,3}",
    _CJK,
    rf"{_PUNCTUATED}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
    _DIGIT,
    _BYTES,
)
# groups of three digits, counted from the right; scripts without spaces; then as DeepSeek
_AFMOE: Final = (
    r"\p{N}{1,2}(?=(?:\p{N}{3})+(?!\p{N}))|\p{N}{3}|\p{N}{1,2}",
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf"
    "\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff"
    "\uac00-\ud7af\u1100-\u11ff]+",
    *_DEEPSEEK3[2:],
)
_CASED: Final = (
    "\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d"
    "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787"
    "\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_DEEPSEEK_LLM: Final = (
    r"[\r\n]",
    rf"\s?[A-Za-z{_CASED}]+",
    r"\s?[!-/:-~" "\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    r"\s+$",
    _CJK_AND_HANGUL,
    _DIGIT,
    _BYTES,
)
_DEEPSEEK_CODER: Final = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK_AND_HANGUL, _DIGIT, _BYTES)
_YOUTU: Final = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f"
    "\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + _CJK,
    _GPT4O.replace(r"\p{N}{1,3}", r"\p{N}"),
    _BYTES,
)

_BLOOM: Final = r" ?[^(\s|[" ".,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c" r"])]+"
_FALCON: Final = (
    {"type": "Punctuation", "behavior": "Contiguous"},
    _WORDS,
    _digits(one_by_one=False),
    "[0-9][0-9][0-9]",
)
_CHAMELEON: Final = (
    "<sentinel:[0-9]+>",
    "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    r"([\t\n]|    |  )",
    _DIGIT,
    {"type": "Punctuation", "behavior": "Isolated"},
    _WORDS,
)
_DEFAULT: Final = (
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
    _BYTES,
)
"""What the runtime does where a file has no name; no published tokenizer.json does it."""


def _tokens(*texts: str) -> Sign:
    return Sign(tokens=texts)


_GLM: Final = ("[gMASK]", "<sop>")
_L3: Final = _sequence(_LLAMA3, _BYTES)
_Q2: Final = _sequence(_QWEN2, _BYTES)
_G4O: Final = _sequence(_GPT4O, _BYTES)
_V3: Final = _sequence(*_DEEPSEEK3)
_DIGIT_WORDS: Final = _sequence(_DIGIT, _WORDS)

PRETOKENIZERS: Final = (
    PreTokenizer("pixtral", None, _L3, True, _tokens("[INST]", "[IMG]"), True),
    PreTokenizer("lfm2", None, _L3, True, _tokens("<|startoftext|>", "<|tool_list_start|>"), True),
    PreTokenizer("glm4", None, _L3, True, Sign(ignores_merges=True, tokens=_GLM)),
    PreTokenizer("chatglm-bpe", None, _L3, sign=_tokens(*_GLM)),
    PreTokenizer("dbrx", None, _L3, sign=_tokens("<|fim_prefix|>", "<|endofprompt|>")),
    PreTokenizer("llama-bpe", None, _L3, True, Sign(begins=True, ignores_merges=True), True),
    PreTokenizer("smaug-bpe", None, _L3, True),
    PreTokenizer("jais-2", None, _sequence(_JAIS2, _BYTES)),
    PreTokenizer("minicpm5", None, _sequence(r"\p{N}{1,3}", _LLAMA3.replace("{1,3}", "+"), _BYTES), True),
    PreTokenizer("deepseek-r1-qwen", _NFC, _Q2, sign=_tokens("<｜begin▁of▁sentence｜>")),
    PreTokenizer("qwen2", _NFC, _Q2),
    PreTokenizer("stablelm2", None, _Q2, sign=_tokens("<|reg0|>", "<|endofprompt|>")),
    PreTokenizer("solar-open", None, _Q2, sign=_tokens("<|begin|>", "<|content|>")),
    PreTokenizer("grok-2", None, _Q2, sign=_tokens("<|separator|>")),
    PreTokenizer("hunyuan", None, _Q2),
    PreTokenizer("qwen35", _NFC, _sequence(_QWEN35, _BYTES)),
    PreTokenizer("laguna", None, _sequence(r"[^\n]+|[\n]+", _QWEN2, _BYTES)),
    PreTokenizer("seed-coder", None, _sequence(_SEED, _BYTES)),
    PreTokenizer("ufakzeka", None, _sequence(_TURKISH, _BYTES)),
    PreTokenizer("bailingmoe", None, _sequence(_BAILING, _BYTES)),
    PreTokenizer("exaone-moe", _NFC, _sequence(_EXAONE_MOE, _BYTES)),
    PreTokenizer("tekken", None, _sequence(_TEKKEN, _BYTES), True, begins=True),
    PreTokenizer("llama4", None, _G4O, sign=_tokens("<|begin_of_text|>")),
    PreTokenizer("minimax-m2", None, _G4O, sign=_tokens("]~b]")),
    PreTokenizer("gpt-4o", None, _G4O, True),
    PreTokenizer("tiny_aya", _NFC, _sequence(r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O, _BYTES)),
    PreTokenizer("kimi-k2", None, _sequence(_KIMI, _BYTES)),
    PreTokenizer("hunyuan-dense", None, _V3, sign=_tokens("<｜hy_Assistant｜>")),
    PreTokenizer("deepseek-v3", None, _V3),
    PreTokenizer("spark2_5", None, _sequence(*_SPARK)),
    PreTokenizer("afmoe", None, _sequence(*_AFMOE)),
    PreTokenizer("deepseek-llm", None, _sequence(*_DEEPSEEK_LLM)),
    PreTokenizer("deepseek-coder", None, _sequence(*_DEEPSEEK_CODER)),
    PreTokenizer("youtu", None, _sequence(*_YOUTU), True),
    PreTokenizer("superbpe", None, _sequence(r"\p{N}+", r"(?=(\d{3})+(?!\d))", _BYTES)),
    PreTokenizer("bloom", None, _sequence(_BLOOM, _BYTES)),
    PreTokenizer("viking", None, _sequence(_BLOOM, _DIGIT, _BYTES)),
    PreTokenizer("falcon", None, _sequence(*_FALCON)),
    PreTokenizer("chameleon", None, _sequence(*_CHAMELEON), begins=True),
    PreTokenizer("exaone", None, _DIGIT_WORDS, sign=_tokens("[|endofturn|]")),
    PreTokenizer("starcoder", None, _DIGIT_WORDS, sign=_tokens("<fim_prefix>", "<file_sep>")),
    PreTokenizer("refact", None, _DIGIT_WORDS, sign=_tokens("<fim_prefix>")),
    PreTokenizer("smollm", None, _DIGIT_WORDS),
    PreTokenizer("command-r", _NFC, _DIGIT_WORDS),
    PreTokenizer("roberta-bpe", None, _WORDS, sign=Sign(processor="RobertaProcessing")),
    PreTokenizer("exaone4", None, _WORDS, sign=_tokens("[|endofturn|]")),
    PreTokenizer("gigachat", None, _WORDS, sign=_tokens("<|role_sep|>", "<|message_sep|>")),
    PreTokenizer("granite-docling", None, _WORDS, sign=_tokens("<|start_of_role|>")),
    PreTokenizer("gpt-2", None, _WORDS),
    PreTokenizer("modern-bert", _NFC, _WORDS, sign=_tokens("[MASK]")),
    PreTokenizer("olmo", _NFC, _WORDS),
    PreTokenizer("default", None, _sequence(*_DEFAULT)),
    PreTokenizer("jina-v2-en", _BERT, {"type": "BertPreTokenizer"}, begins=True),
)
"""All that are recognised. Of those with one structure the first whose sign fits is taken."""

SAME: Final = {
    name: entry
    for entry, names in {
        "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 midm-2.0 jina-v5-nano",
        "glm4": "glm5",
        "qwen2": "megrez f2llmv2 kormo",
        "bailingmoe": "bailingmoe2 llada-moe",
        "gpt-4o": "kanana2 talkie granite-embed-multi-97m",
        "tiny_aya": "cohere2moe",
        "deepseek-v3": "joyai-llm hy_v4",
        "bloom": "poro-chat gpt3-finnish",
        "starcoder": "codeshell minerva-7b mellum2",
        "roberta-bpe": "jina-v1-en jina-v2-code",
        "gpt-2": "phi-2 mellum trillion jais a.x-4.0 jina-es jina-de jina-v2-es jina-v2-de",
        "olmo": "mpt",
    }.items()
    for name in names.split()
}
"""Names that only occur in files, with the entry the runtime treats as it does them.

The converter knows these by the hash of one published vocabulary. No structure tells them from the entry,
and the tokens that would are not known here.
"""

WORDPIECE: Final = frozenset({"jina-v2-en", "bert-bge", "bert-bge-large", "default"})
"""Names WordPiece files carry; ``default`` are those made before names were recorded."""

UNKNOWN: Final = {
    "gemma4": "its BPE works on characters, not on bytes",
    "granite-embed-multi-311m": "its BPE works on characters, not on bytes",
    "mmbert": "its BPE works on characters, not on bytes",
    "sarvam-moe": "its BPE works on characters, not on bytes",
    "whitespace": "its words are looked up whole, not made of bytes",
}
"""Names without an entry, and why."""

RUNTIME_NAMES: Final = frozenset(
    """
    a.x-4.0 afmoe bailingmoe bailingmoe2 bert-bge bert-bge-large bloom chameleon chatglm-bpe codeshell
    cohere2moe command-r dbrx deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone
    exaone-moe exaone4 f2llmv2 falcon falcon-h1 falcon3 gemma4 gigachat glm4 glm5 gpt-2 gpt-4o
    gpt3-finnish granite-docling granite-embed-multi-311m granite-embed-multi-97m grok-2 hunyuan
    hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-en
    jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada-moe llama-bpe llama-v3
    llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5 minimax-m2 mmbert modern-bert mpt
    olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe seed-coder smaug-bpe smollm
    solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken tiny_aya trillion ufakzeka viking
    whitespace youtu
    """.split()  # noqa: SIM905 - a list of strings would fill the page
)
"""All names llama.cpp b11434 knows."""
