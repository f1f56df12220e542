"""Plans for the engine out of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gguf_tools.container.metadata import Metadata
from gguf_tools.conversion.build_plan import assemble_gguf, model_sizes
from gguf_tools.conversion.plan import Plan
from gguf_tools.recipes import TensorFacts, choose, find_recipe
from gguf_tools.source import Source
from gguf_tools.spec import ValueType


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def plan_of(tensors: dict[str, Source], recipe: str = "Q4_K_M") -> Plan:
    """A plan for tensors named as in a Llama of two layers."""
    metadata = Metadata(
        [
            ("general.architecture", ValueType.STRING, "llama"),
            ("llama.block_count", ValueType.UINT32, 2),
        ]
    )
    facts = [TensorFacts(name, source.shape) for name, source in tensors.items()]
    choices = choose(recipe, facts, model_sizes(metadata))
    return assemble_gguf(metadata, list(tensors.items()), choices, find_recipe(recipe), source="test")
