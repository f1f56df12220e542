"""Grids against the tables of the ``gguf`` package, and neighbours against ggml's definition of them."""

from __future__ import annotations

from importlib import resources
from typing import Final

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_tools.quants.kernels.grids import GRIDS, grid, levels, neighbours, point_indices

DISTANCES: Final = {"iq2_xxs": 2, "iq2_xs": 2, "iq2_s": 1, "iq1_s": 3, "iq3_xxs": 2, "iq3_s": 3}
"""``nwant`` of ggml's ``iq2xs_init_impl`` and ``iq3xs_init_impl``."""

every_grid = pytest.mark.parametrize("name", GRIDS)


@every_grid
def test_points_are_those_of_the_gguf_package(name: str) -> None:
    theirs = getattr(gguf.quants, name.upper())
    theirs.init_grid()
    np.testing.assert_array_equal(grid(name), theirs.grid.reshape(theirs.grid_shape))


def test_the_file_holds_nothing_else() -> None:
    data = resources.files("gguf_tools.quants.kernels").joinpath("data", "grids.bin").read_bytes()
    assert len(data) == 2 * sum(spec.points for spec in GRIDS.values())


@every_grid
def test_tables_cannot_be_changed(name: str) -> None:
    found = neighbours(name)
    for table in (levels(name), grid(name), found.places, found.lists):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0


@every_grid
def test_every_point_is_found(name: str) -> None:
    places = neighbours(name).places
    np.testing.assert_array_equal(
        places[point_indices(name, levels(name))], np.arange(GRIDS[name].points, dtype=np.int32)
    )
    assert (places >= 0).sum() == GRIDS[name].points


def sorted_neighbours(group: NDArray[np.int64], name: str) -> list[int]:
    """Sort all points by distance and place, and keep those at the first few distances."""
    squares = ((levels(name).astype(np.int64) - group) ** 2).sum(1).tolist()
    limit = sorted(set(squares))[DISTANCES[name] - 1]
    return [
        place for square, place in sorted(zip(squares, range(len(squares)), strict=True)) if square <= limit
    ]


@every_grid
def test_neighbours_are_the_nearest_points(name: str) -> None:
    found, spec = neighbours(name), GRIDS[name]
    count = len(spec.values)
    outside = np.flatnonzero(found.places < 0)
    for index in [*outside[:3], *np.random.default_rng(0).choice(outside, 60), outside[-1]]:
        group = index // count ** np.arange(spec.elements) % count
        at = -1 - found.places[index]
        length = int(found.lists[at])
        assert found.lists[at + 1 : at + 1 + length].tolist() == sorted_neighbours(group, name)


@every_grid
def test_lists_follow_one_another(name: str) -> None:
    found = neighbours(name)
    offsets = -1 - found.places[found.places < 0]
    lengths = found.lists[offsets].astype(np.int64)
    np.testing.assert_array_equal(offsets, np.cumsum(lengths + 1) - (lengths + 1))
    assert lengths.min() > 0
    assert offsets[-1] + 1 + lengths[-1] == found.lists.size
