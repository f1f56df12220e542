"""Record which tokenizer class transformers takes for a ``model_type`` when tokenizer_config.json names none.

Run by ``make goldens`` in the environment of the parity tests.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "gguf_tools/tokenizers/data/tokenizer_classes.json"

WITHOUT_MISTRAL_COMMON = "LlamaTokenizer"
"""What transformers takes for Mistral's models where ``mistral_common`` is not installed."""


def record() -> dict[str, str]:
    """Class names without the ending of the fast ones, by ``model_type``."""
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    made = {}
    for model_type, (slow, fast) in TOKENIZER_MAPPING_NAMES.items():
        name = (fast or slow or "").removesuffix("Fast")
        if name:
            made[model_type] = WITHOUT_MISTRAL_COMMON if name.startswith("MistralCommon") else name
    return dict(sorted(made.items()))


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
