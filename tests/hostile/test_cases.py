"""Every hostile file once: the documented error or finding, and nothing else."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf_tools.verification.verify import verify
from tests.hostile.case import Case, Refused, judge
from tests.hostile.gguf_files import CASES as GGUF_CASES
from tests.hostile.registry import CASES, by_class
from tests.hostile.split_files import CASES as SPLIT_CASES
from tests.hostile.truncations import FILES, truncations

LEAST_VARIANTS = 3

WATCHDOG = 60
"""Seconds after which a case counts as hanging; what is measured is measured by ``make torture``."""


class HangsError(BaseException):
    """Not an Exception, so that nothing under test can catch it."""


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    def bark(number: int, frame: object) -> None:
        raise HangsError(f"still running after {WATCHDOG} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(WATCHDOG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_becomes_of_it(case: Case, tmp_path: Path) -> None:
    problem = judge(case, case.make(tmp_path))
    assert problem is None, problem


@pytest.mark.parametrize("case", [*GGUF_CASES, *SPLIT_CASES], ids=lambda case: case.name)
def test_verify_finds_what_opening_refuses(case: Case, tmp_path: Path) -> None:
    if isinstance(case.outcome, Refused):
        assert any(finding.severity == "error" for finding in verify(case.make(tmp_path)))


@pytest.mark.parametrize("name", FILES)
def test_every_truncation(name: str, tmp_path: Path) -> None:
    data, use, _, _ = FILES[name]
    whole = tmp_path / "whole.bin"
    whole.write_bytes(data)
    use(whole)
    problems = {case.name: judge(case, case.make(tmp_path)) for case in truncations(name)}
    assert {cut: problem for cut, problem in problems.items() if problem} == {}


def test_every_class_has_several_variants() -> None:
    few = {number: len(cases) for number, cases in by_class().items() if len(cases) < LEAST_VARIANTS}
    assert few == {}


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
