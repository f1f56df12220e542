"""The Hugging Face side: a checkpoint directory with safetensors, read and laid out for writing.

>>> with open_checkpoint("SmolLM2-135M") as checkpoint:                       # doctest: +SKIP
...     checkpoint.config["architectures"]
...     rows = checkpoint.tensors["model.norm.weight"].rows(0, 1)            # float32
"""

from .adapter import Adapter, LoraPair, open_adapter
from .directory import Checkpoint, open_checkpoint, read_config
from .dtypes import DTYPES
from .packed import METHODS, Packing, UnpackedCheckpoint, unpack
from .reader import SafetensorsFile, SafetensorsTensor
from .writer import (
    MAX_SHARD_BYTES,
    SafetensorsLayout,
    Shard,
    ShardPlan,
    StoredEntry,
    plan_shards,
    safetensors_header,
)

__all__ = [
    "DTYPES",
    "MAX_SHARD_BYTES",
    "METHODS",
    "Adapter",
    "Checkpoint",
    "LoraPair",
    "Packing",
    "SafetensorsFile",
    "SafetensorsLayout",
    "SafetensorsTensor",
    "Shard",
    "ShardPlan",
    "StoredEntry",
    "UnpackedCheckpoint",
    "open_adapter",
    "open_checkpoint",
    "plan_shards",
    "read_config",
    "safetensors_header",
    "unpack",
]
