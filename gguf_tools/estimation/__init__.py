"""How much memory running a model takes: weights, caches, buffers, and what fits where.

Computed from the header alone, by the rules of llama.cpp b11434: its caches' sizes, and its allocator's work
on the graph of one micro-batch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..recipes import Overrides
from .max_fit import Fit, fit
from .model import Model, read_model
from .offload import Share, shares
from .settings import CACHE_TYPES, Settings, Sizes

__all__ = [
    "CACHE_TYPES",
    "Estimate",
    "Fit",
    "Model",
    "Settings",
    "Share",
    "estimate",
    "fit",
    "load_model",
]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What running a model takes.

    Attributes:
        model: which.
        settings: how it is run.
        sizes: the same as llama.cpp rounds it.
        host: what is in main memory.
        device: what is on the accelerator.
    """

    model: Model
    settings: Settings
    sizes: Sizes
    host: Share
    device: Share

    @property
    def total(self) -> int:
        """Bytes on both devices."""
        return self.host.total + self.device.total

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        host, device = self.host.to_dict(), self.device.to_dict()
        return {
            "context": self.sizes.context,
            "ubatch": self.sizes.ubatch,
            "sequences": self.sizes.sequences,
            "outputs": self.sizes.outputs,
            "cache_type_k": self.sizes.key_type.name,
            "cache_type_v": self.sizes.value_type.name,
            "flash_attention": self.sizes.flash_attention,
            "gpu_layers": min(self.settings.gpu_layers, self.model.stored_layers + 1),
            "host": host,
            "device": device,
            **{part: size + device[part] for part, size in host.items()},
        }


def load_model(
    source: str | os.PathLike[str],
    *,
    recipe: str | None = None,
    overrides: Overrides | None = None,
) -> Model:
    """The facts of a model, for several estimates.

    Args:
        source: a GGUF file, one of the files of a split model, or the directory of a Hugging Face
            checkpoint, which need not be converted for it.
        recipe: what it would be converted to (``Q4_K_M`` where there is none); a GGUF file is taken as it
            is without.
        overrides: types wanted otherwise than the recipe says.

    Raises:
        FormatError: a key or tensor that is needed is missing or unusable.
        ArchitectureError: the architecture is unknown.
        GGUFToolsError: as reading the file or planning the conversion does.
    """
    if os.path.isdir(source):
        from ..conversion.to_gguf import plan_conversion

        with plan_conversion(source, recipe=recipe or "Q4_K_M", overrides=overrides) as plan:
            return _of_plan(plan, source)
    if recipe is not None:
        from ..conversion.requantize import plan_requantization

        with plan_requantization(source, recipe=recipe, overrides=overrides) as plan:
            return _of_plan(plan, source)
    from ..container.opening import open_gguf

    with open_gguf(source) as file:
        return read_model(file.metadata, file.tensors.values(), source)


def _of_plan(plan: Any, source: str | os.PathLike[str]) -> Model:
    metadata: Mapping[str, object] = plan.metadata
    return read_model(metadata, list(plan.tensors()), source)


def estimate(
    source: str | os.PathLike[str] | Model,
    settings: Settings | None = None,
    *,
    type: str | None = None,  # noqa: A002
    **changes: Any,
) -> Estimate:
    """How much memory running a model takes.

    >>> import gguf_tools
    >>> found = gguf_tools.estimate("model.gguf", context=8192, gpu_layers=99)   # doctest: +SKIP
    >>> found.device.total, found.host.total                                     # doctest: +SKIP

    Args:
        source: as in `load_model`, or what that returned.
        settings: how it is run.
        type: the recipe, as in `load_model`.
        changes: to the settings, by name; see `Settings`.

    Raises:
        UnsupportedError: a setting is out of range, or not possible with this model.
        GGUFToolsError: as `load_model`.
    """
    model = source if isinstance(source, Model) else load_model(source, recipe=type)
    chosen = replace(settings or Settings(), **changes)
    sizes = Sizes.of(chosen, model)
    host, device = shares(model, sizes)
    return Estimate(model, chosen, sizes, host, device)
