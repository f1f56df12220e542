"""EmbeddingGemma: Gemma 3 without a head, attending both ways, with a pooling."""

from dataclasses import replace

from ..keys import AssumedByRuntime
from ..pooling import Pooling, pooling_files
from ..traits import GraphTraits, Memory, Window
from . import gemma3

ARCHITECTURE = replace(
    gemma3.ARCHITECTURE,
    name="gemma-embedding",
    classes=(replace(gemma3.ARCHITECTURE.classes[0], name="Gemma3TextModel", prefixed=False),),
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
    graph=GraphTraits(
        memory=Memory.NOTHING,
        window=Window(6, required=True, symmetric=True),
        scaled_embeddings=True,
        scaled_queries=True,
    ),
)
