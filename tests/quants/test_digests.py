"""Codecs make of fixed inputs what was recorded, whatever the processor."""

from __future__ import annotations

from gguf_tools.spec import GGMLType
from tests.quants import digests
from tests.quants.common import TYPES, every_type

GOLDEN = digests.load()


def test_every_type_is_recorded() -> None:
    assert list(GOLDEN) == ["inputs", *(type_.name for type_ in TYPES)]


def test_inputs_are_those_recorded() -> None:
    """Otherwise what else fails here says nothing of codecs."""
    assert digests.inputs_digests() == GOLDEN["inputs"]


@every_type
def test_bytes_and_values_are_those_recorded(type_: GGMLType) -> None:
    assert digests.digests(type_) == GOLDEN[type_.name]
