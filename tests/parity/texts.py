"""Texts that tokenizers of every kind are asked to split."""

from __future__ import annotations

MORE_TEXTS = (
    "3 33 333 3333 33333 333333 3333333 33333333 123456789 1234567890",
    "a1b22c333d4444 x²y ٣٤٥٦ ½¾ Ⅷ 一二三1234",
    "Hello, World!!! ...ok (555) 123-4567; $5.00 <a href='x'>&amp;</a> ~^|`\"\\",
    "don't DON'T Don't it's IT'S we'll WE'LL y'all'd 'tis ’s",
    "HTTPServer camelCase XMLHttpRequest iPhone McDonald ÉTÉ été ÉtéÉ ǅ Straße",
    "\n\n\n a\n b\r\n\r\nc \t d\t\t\te   \n   f      g",
    "한국어 안녕하세요 ㅋㅋㅋ ㄅㄆㄇ 日本語 テキスト ﾊﾝｶｸ 中文，标点。「引用」…—",
    "नमस्ते हिन्दी বাংলা தமிழ் తెలుగు ไทย ລາວ ខ្មែរ မြန်မာ",
    "İstanbul'da Ankara'nın Türkiye'de",
    "<sentinel:12> IMGIMGABZ <|x|> !hello .dot #tag @user /path -x",
    "e\u0301 a\u0308\u0308 \u200d \u200b\ufeff",
    "😀😀 👍🏽 🇺🇸🇫🇷 ❤️ ©®™ ←→ ∑∫ ≤≥",
)


TEXTS = (
    "Once upon a time there was a little owl called Mia.",
    "Les œuvres complètes: naïve café, Ærøskøbing, İstanbul, ﬁne",
    "e\u0301te\u0301 decomposed, ño, A\u030angstro\u0308m",
    "我想在apple工作1314151天～ 東京タワー 한국어 텍스트",
    "Привет, мир! नमस्ते दुनिया សួស្តី ไทย שלום مرحبا",
    "emoji 🚀 😶\u200d🌫️ 👩\u200d👩\u200d👧\u200d👦 🦙🦙 ✅",
    "def f(x):\n\tif x > 3.14e-10:\n\t\treturn {'a': [x**2, \"b\"]}  # no\n\n\n",
    "runs   of    spaces\t\ttabs \n \n\n lines  \r\n end ",
    " leading and trailing ",
    "I've DON'T we'll 'RE you're it'S",
    "1 22 333 4444 55555 3.3 3..3 3...3 1,000,000",
    "\u00a0no-break\u3000wide\u2028line\ufeffmark\x00nul\x7f",
    "https://example.org/a?b=c&d=%20#e_f-g __init__ CamelCaseAndSNAKE_CASE",
    "",
    "\n",
    "a" * 300,
)
