"""EmbeddingGemma: Gemma 3 without a head, attending both ways, with a pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..keys import AssumedByRuntime
from ..pooling import Pooling, pooling_files
from ..table import HFClass
from . import gemma3

ARCHITECTURE: Final = replace(
    gemma3.ARCHITECTURE,
    name="gemma-embedding",
    classes=(HFClass("Gemma3TextModel", "gemma3_text", gemma3.DEFAULTS, prefixed=False),),
    family_keys=(
        *(
            rule
            for rule in gemma3.ARCHITECTURE.family_keys
            if not (isinstance(rule, AssumedByRuntime) and rule.hf == "use_bidirectional_attention")
        ),
        AssumedByRuntime("use_bidirectional_attention", (True,)),
        Pooling(),
    ),
    extras=pooling_files,
)
