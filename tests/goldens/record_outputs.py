"""Record the SHA-256 of what the tiny Llama becomes as each recipe: the same on every machine, for good.

    python -m tests.goldens.record_outputs

That these bytes are llama.cpp's is the matter of other goldens; these tell whether they ever change. Recipes
that need an importance matrix are recorded as refused without one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import gguf_tools
from gguf_tools.errors import QuantizationError
from gguf_tools.recipes import RECIPES
from tests import tiny

__all__ = ["GOLDEN", "REFUSED", "digest"]

GOLDEN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "outputs.json"
MODEL = "llama"
REFUSED = "needs an importance matrix"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    made = {}
    with tempfile.TemporaryDirectory() as name:
        checkpoint = tiny.build(MODEL, Path(name))
        for recipe in RECIPES:
            target = Path(name) / f"{recipe}.gguf"
            try:
                gguf_tools.convert(checkpoint, target, type=recipe)
            except QuantizationError:
                made[recipe] = REFUSED
            else:
                made[recipe] = digest(target)
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
