"""The torture in brief, and whether it would notice what it looks for."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_tools.errors import FormatError
from gguf_tools.quants.table import MODULES
from tests.goldens.outputs import JOBS
from tests.hostile.case import Case, Refused, Taken, one_file
from tests.torture import blocks, bounds, determinism, measure, runs, scale


def measured(use: Callable[[Path], Any], outcome: Any = None) -> measure.Measured:
    return measure.measure(Case("1 probe", one_file(b"x"), use, outcome or Taken()))


def refuse(path: Path) -> None:
    raise FormatError("no", path=path)


def test_what_is_well_is_reported_so() -> None:
    found = measured(refuse, Refused(FormatError, "no"))
    assert (found.problem, found.hung, found.large) == (None, False, False)


def test_a_hang_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "HANGS_AFTER", 0.3)
    assert measured(lambda path: time.sleep(60)).hung


def test_a_leak_is_noticed() -> None:
    assert measured(lambda path: {}["x"]).problem == "KeyError leaks: 'x'"


def test_a_refusal_that_does_not_come_is_noticed() -> None:
    assert "was taken" in str(measured(lambda path: None, Refused(FormatError, "no")).problem)


def test_a_crash_is_noticed() -> None:
    assert "ended with status" in str(measured(lambda path: os._exit(3)).problem)


def test_growth_is_noticed() -> None:
    assert measured(lambda path: (np.ones(20_000_000), time.sleep(0.3))).large


def test_an_allocation_is_noticed_that_nothing_touches() -> None:
    assert "leaks" in str(measured(lambda path: mmap.mmap(-1, 1 << 36)).problem)


def test_arbitrary_blocks() -> None:
    found = list(blocks.rows(random_blocks=500, step=251))
    assert [row.title for row in found] == [type_.name for type_ in MODULES]
    assert [problem for row in found for problem in row.problems] == []


def test_every_pattern_of_every_scale_is_tried() -> None:
    kind = next(type_ for type_ in MODULES if type_.name == "Q4_K")
    d, dmin = blocks.patterns(kind)
    assert (
        np.unique(d[:, :2].copy().view("<u2")).size
        == np.unique(dmin[:, 2:4].copy().view("<u2")).size
        == 1 << 16
    )


def test_every_pattern_of_scales_of_other_kinds_is_tried() -> None:
    kinds = {type_.name: list(blocks.patterns(type_)) for type_ in MODULES}
    first, second = kinds["NVFP4"]
    assert np.unique(first[:, :2].copy().view("<u2")).size == 1 << 16
    assert np.unique(second[:, 2:4].copy().view("<u2")).size == 1 << 16
    assert np.unique(kinds["MXFP4"][0][:, 0]).size == 256
    single = np.concatenate([data[:, :4].copy().view("<f4")[:, 0] for data in kinds["Q8_K"]])
    assert np.isnan(single).any()
    assert np.isposinf(single).any()
    assert np.isneginf(single).any()
    assert (np.abs(single[single != 0]) < np.finfo(np.float32).tiny).any()
    words = kinds["IQ1_M"][0][:, 48:56].copy().view("<u2") >> 12
    assert np.unique(words @ np.array([1, 16, 256, 4096])).size == 1 << 16


def test_indexes_are_checked() -> None:
    """A part: kernels that look codes up in tables. All of them are checked by ``make torture``."""
    names = ["IQ2_XS", "IQ1_M", "Q3_K", "NVFP4"]
    counts = bounds.tried(["decoding"], names, step=97)
    assert all(counts[part] > 1000 for part in ("decoding",))


def test_bytes_against_those_recorded() -> None:
    (row,) = determinism.grouped({"export f16": JOBS["export f16"]})
    assert row.problems == []
    assert row.cells["runs"] == str(len(determinism.WAYS) + 1)


def test_another_byte_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"export f16": {"out/config.json": "0" * 64}}
    monkeypatch.setattr(determinism, "load", lambda: wrong)
    (row,) = determinism.grouped({"export f16": JOBS["export f16"]})
    assert row.problems


def test_killed_and_continued() -> None:
    (row,) = runs.kills(1)
    assert row.problems == []


def test_size_in_brief() -> None:
    rows = [
        *scale.many(8, 70),
        *scale.experts(2, 40, 70),
        *scale.names(500),
        *scale.giant(1 << 10, 1 << 9),
    ]
    assert len(rows) == 8
    assert [problem for row in rows for problem in row.problems] == []


def test_a_limit_is_noticed() -> None:
    ran = scale.limited("warmup", addresses=150 << 20)
    assert ran.problem
