"""CONTRIBUTING.md: its example works, and its tables name every rule there is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gguf_tools import architectures
from gguf_tools.architectures import decoder, keys, tensors, transforms
from gguf_tools.architectures.table import Architecture
from tests.architectures.sources import checkpoint, values

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
READERS = {
    "Instance",
    "entries_and_remarks",
    "dropped",
    "expand",
    "listed",
    "matched",
    "packable",
    "translate",
}
"""Of tensors.py: what reads the rules, and no rule."""


@pytest.mark.parametrize("module", [keys, tensors, transforms, decoder], ids=lambda module: module.__name__)
def test_every_rule_is_in_the_tables(module: object) -> None:
    named = set(re.findall(r"`([A-Za-z_]+)[`(]", TEXT))
    assert not set(module.__all__) - READERS - named  # type: ignore[attr-defined]


def test_the_example_is_short_and_converts_what_qwen3_does() -> None:
    assert len(EXAMPLE.splitlines()) <= 20
    scope: dict[str, object] = {"__package__": "gguf_tools.architectures.families"}
    exec(EXAMPLE, scope)
    example = scope["ARCHITECTURE"]
    assert isinstance(example, Architecture)
    config, sources = checkpoint("qwen3")
    expected = architectures.find(config).to_gguf(config, sources)
    (known,) = example.classes
    qwen3 = replace(example, name="qwen3", classes=(replace(known, name="Qwen3ForCausalLM"),))
    made = qwen3.to_gguf(config, sources)
    assert made.metadata == expected.metadata
    assert [(name, values(source).tobytes()) for name, source in made.tensors] == [
        (name, values(source).tobytes()) for name, source in expected.tensors
    ]
