"""How a model is run, as far as memory depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import UnsupportedError
from ..spec import BLOCK_SIZES, GGMLType
from .model import Model

__all__ = ["CACHE_TYPES", "Settings", "Sizes"]

CACHE_TYPES: Final = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
"""What llama.cpp can keep keys and values in."""

MAX_CONTEXT: Final = 2**31 - 256
"""llama.cpp counts tokens in 32 bits."""

_CELLS: Final = 256
"""Caches are whole multiples of so many tokens."""

DEFAULT_BATCH: Final = 2048
DEFAULT_MICROBATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user chooses; the names of llama.cpp's options.

    Attributes:
        context: tokens, of all sequences together (``--ctx-size``); None: as many as it was trained with.
        batch, ubatch: tokens given at once and computed at once (``--batch-size``, ``--ubatch-size``).
        sequences: run side by side, each with its own part of the context (``--parallel``).
        outputs: tokens of a micro-batch whose logits are computed; None: the last of each sequence.
        cache_type_k, cache_type_v: types of cached keys and values (``--cache-type-k``, ``-v``).
        flash_attention: whether attention is computed without its scores (``--flash-attn``).
        full_window: whether windowed layers cache the whole context all the same (``--swa-full``).
        gpu_layers: layers on the device, from the last; the one after the last is the output's
            (``--gpu-layers``).
    """

    context: int | None = None
    batch: int = DEFAULT_BATCH
    ubatch: int = DEFAULT_MICROBATCH
    sequences: int = 1
    outputs: int | None = None
    cache_type_k: str = "F16"
    cache_type_v: str = "F16"
    flash_attention: bool = True
    full_window: bool = False
    gpu_layers: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """The same for one model, checked and as llama.cpp rounds them.

    Attributes:
        context: cells of the cache, all sequences together.
        cells: of one sequence.
        window_cells: of one sequence in layers with a window.
        ubatch: tokens computed at once.
        outputs: tokens of these whose logits are computed.
        first_on_device: layer from which on all are on the device; the output comes after the last.
        sequences, key_type, value_type, flash_attention: as in `Settings`.
    """

    context: int
    cells: int
    window_cells: int
    ubatch: int
    outputs: int
    sequences: int
    key_type: GGMLType
    value_type: GGMLType
    flash_attention: bool
    first_on_device: int

    @classmethod
    def of(cls, settings: Settings, model: Model) -> Sizes:
        """Check and round.

        Raises:
            UnsupportedError: a number is out of range, a type cannot be cached in, or not together with the
                others.
        """
        context = model.trained_context if settings.context is None else settings.context
        _within("context", context, 1, MAX_CONTEXT)
        for name in ("batch", "ubatch"):
            _within(name, getattr(settings, name), 1, MAX_CONTEXT)
        _within("sequences", settings.sequences, 1, 256)
        _within("gpu_layers", settings.gpu_layers, 0, MAX_CONTEXT)
        cells = _padded(_padded(context) // settings.sequences)
        batch = min(settings.batch, context) if model.remembers else settings.batch
        ubatch = min(settings.ubatch, batch, cells * settings.sequences)
        ubatch = -(-ubatch // settings.sequences) * settings.sequences
        if settings.outputs is not None:
            _within("outputs", settings.outputs, 1, MAX_CONTEXT)
        wanted = settings.sequences if settings.outputs is None else settings.outputs
        outputs = min(ubatch, max(wanted, settings.sequences) if model.remembers else batch)
        window_cells = min(cells, model.window + min(settings.ubatch, batch)) if model.window else cells
        return cls(
            context=cells * settings.sequences,
            cells=cells,
            window_cells=cells if settings.full_window else _padded(window_cells),
            ubatch=ubatch,
            outputs=outputs,
            sequences=settings.sequences,
            key_type=_cache_type("cache_type_k", settings.cache_type_k, settings, model),
            value_type=_cache_type("cache_type_v", settings.cache_type_v, settings, model),
            flash_attention=settings.flash_attention,
            first_on_device=max(model.stored_layers + 1 - settings.gpu_layers, 0),
        )


def _padded(tokens: int) -> int:
    return -(-tokens // _CELLS) * _CELLS


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UnsupportedError(f"{name} is out of range", found=value, expected=f"{low:,} to {high:,}")


def _cache_type(option: str, name: str, settings: Settings, model: Model) -> GGMLType:
    """The type of a name, if the model's heads can be stored in it."""
    if name.upper() not in CACHE_TYPES:
        raise UnsupportedError(
            f"{option}: nothing that keys and values are kept in",
            found=name,
            expected=", ".join(CACHE_TYPES).lower(),
        )
    kind = GGMLType[name.upper()]
    block = BLOCK_SIZES[kind].elements
    values = option == "cache_type_v"
    if values and block > 1 and not settings.flash_attention:
        raise UnsupportedError(f"{option}: quantized values need flash attention", found=name)
    for index, layer in enumerate(model.layers):
        size = layer.value_size if values else layer.key_size
        if layer.cached and size % block:
            raise UnsupportedError(
                f"{option}: the heads of layer {index} do not divide into blocks of {kind.name}",
                path=model.path,
                found=size,
                expected=f"a multiple of {block}",
            )
    return kind
