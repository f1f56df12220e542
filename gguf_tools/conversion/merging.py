"""LoRA adapters merged into a checkpoint on its way: W + scale · B · A, computed rows by rows."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..architectures import AdapterTable, Architecture, LowRank, transposed
from ..checkpoint import Adapter, LoraPair, SafetensorsTensor, open_adapter
from ..errors import CheckpointError, UnsupportedError
from ..io.closing import Closing
from ..source import ComputedSource, Source, row_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..io.input_files import InputFile

__all__ = ["MergeLora", "Merger", "factors_of"]

MergeLora = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]
"""The directory of an adapter, or that and a factor for all it adds."""

HELD: Final = 4
"""Factors of an adapter that are held in memory: each is as wide or as high as a matrix, and as the rank."""

_SHOWN: Final = 20


class Merger(Closing):
    """Adapters that are to be merged into one checkpoint, opened and checked one by one. Closing closes them.

    Args:
        architecture: the checkpoint's.
        config: its config.json.
        allow_pickle: see `open_adapter`.

    Attributes:
        changed: names of the base's tensors that were changed.
        inputs: the adapters' open files.
        reads: their directories.
        notes: what the user should know.
        settings: what else decides the bytes, see `Plan`.
    """

    def __init__(
        self, architecture: Architecture, config: Mapping[str, Any], *, allow_pickle: bool = False
    ) -> None:
        self._architecture, self._config, self._allow_pickle = architecture, config, allow_pickle
        self.changed: set[str] = set()
        self.inputs: list[InputFile] = []
        self.reads: list[Path] = []
        self.notes: list[str] = []
        self.settings: list[str] = []

    def close(self) -> None:
        """Close the adapters; reading what was merged fails afterwards."""
        for file in self.inputs:
            file.close()

    def merge(self, tensors: Mapping[str, Source], wanted: MergeLora) -> dict[str, Source]:
        """The checkpoint's tensors with one more adapter merged into them.

        A ``Merged`` stands where its weights stood, and a tensor that was trained whole in place of its own.

        Raises:
            CheckpointError: the adapter is incomplete or malformed, or not one of this model: it has tensors
                the model does not have, or of other shapes.
            UnsupportedError: it is of a kind that is not supported.
        """
        path, factor = wanted if isinstance(wanted, tuple) else (wanted, 1.0)
        if not math.isfinite(factor):
            raise CheckpointError("the scale of an adapter must be finite", path=path, found=factor)
        adapter = open_adapter(path, allow_pickle=self._allow_pickle)
        self.inputs += adapter.inputs
        if adapter.config.get("alora_invocation_tokens") or adapter.config.get("invocation_string"):
            raise UnsupportedError("only acts after certain tokens, and so cannot be merged", path=path)
        table = AdapterTable(self._architecture, self._config, tensors)
        places = {table.name(name): name for name in tensors}
        targets = {
            name: name if name in tensors else places.get(table.name(name))
            for name in [*adapter.pairs, *adapter.whole]
        }
        if unused := [name for name, place in targets.items() if place is None]:
            more = f" and {len(unused) - _SHOWN} more" if len(unused) > _SHOWN else ""
            raise CheckpointError(
                f"changes tensors that the model does not have: {', '.join(unused[:_SHOWN])}{more}",
                path=path,
            )
        merged = dict(tensors)
        held = lru_cache(maxsize=HELD)(_whole)
        for name, pair in adapter.pairs.items():
            place = str(targets[name])
            delta = factors_of(pair, conv1d=table.is_conv1d(name), held=held)
            _require_shape(adapter, name, delta.shape, tensors[place].shape)
            merged[place] = Merged(merged[place], delta, pair.scale * factor)
        for name, tensor in adapter.whole.items():
            place = str(targets[name])
            _require_shape(adapter, name, tensor.shape, tensors[place].shape)
            merged[place] = tensor
        self.changed |= {str(place) for place in targets.values()}
        self.reads.append(adapter.path)
        self._report(adapter, factor)
        for name in table.tied(targets):
            self.notes.append(
                f"{name} is the output of this model too (tied): merging changes both, which running the "
                "adapter does not"
            )
        return merged

    def require_used(self, dropped: Sequence[tuple[str, str]]) -> None:
        """Check that nothing that was changed is left out of the file.

        Raises:
            CheckpointError: something is.
        """
        for name, reason in dropped:
            if name in self.changed:
                raise CheckpointError(f"an adapter changes a tensor that is left out ({reason})", tensor=name)

    def _report(self, adapter: Adapter, factor: float) -> None:
        scales = [pair.scale * factor for pair in adapter.pairs.values()]
        self.notes.append(
            f"merged {adapter.path}: {len(adapter.pairs)} tensors changed"
            + (f", scale {_spread(scales)}" if scales else "")
            + (f", and {len(adapter.whole)} replaced" if adapter.whole else "")
        )
        self.settings.append(repr(scales))


def _spread(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"


class Merged(ComputedSource):
    """W + scale · B · A in float32: a `Source` of W's shape."""

    def __init__(self, base: Source, delta: LowRank, scale: float) -> None:
        self._base, self._delta, self._scale = base, delta, np.float32(scale)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._base.shape

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        added = self._delta.rows(start, stop)
        added *= self._scale
        added += self._base.rows(start, stop)
        return added


class _Held(ComputedSource):
    """A factor that is read whole and held for a while, since every chunk needs all of it."""

    def __init__(
        self, tensor: SafetensorsTensor, held: Callable[[SafetensorsTensor], NDArray[np.float32]]
    ) -> None:
        self._tensor, self._held = tensor, held

    @property
    def shape(self) -> tuple[int, ...]:
        return self._tensor.shape

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._held(self._tensor)[start:stop]


def _whole(tensor: SafetensorsTensor) -> NDArray[np.float32]:
    return tensor.rows(0, row_count(tensor.shape))


def factors_of(
    pair: LoraPair,
    *,
    conv1d: bool,
    held: Callable[[SafetensorsTensor], NDArray[np.float32]] | None = None,
) -> LowRank:
    """A pair's product as wide and high as the matrix is in the checkpoint.

    Args:
        pair: the factors.
        conv1d: whether the matrix is stored as (inputs, outputs).
        held: gives all rows of a factor from memory; without it, they are read when asked for.
    """
    a: Source = pair.a if held is None else _Held(pair.a, held)
    b: Source = pair.b if held is None else _Held(pair.b, held)
    if pair.is_embedding or conv1d:
        return LowRank(transposed(b), transposed(a))
    return LowRank(a, b)


def _require_shape(adapter: Adapter, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise CheckpointError(
            "the adapter is for a model with another shape of this tensor",
            path=adapter.path,
            tensor=name,
            found=found,
            expected=expected,
        )
