"""Each value of each tiny model's config.json replaced by values of every type: taken, or refused by us."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gguf_tools import architectures
from gguf_tools.errors import ArchitectureError
from tests import tiny
from tests.architectures.sources import checkpoint
from tests.fuzz.targets import fuzz_config

WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 1 << 31, 1 << 70, 1.5, -0.0, float("nan"), float("inf"), 1e300),
    *("", "x", "\ud800", [], [None], [[1]], [-1, 0], ["x", "y"], {}, {"x": 1}, {"0": []}),
    {"type": "x", "rope_type": [], "factor": {}},
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values inside; of lists to the first two."""
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


def put(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a path."""
    changed = copy.deepcopy(document)
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


@pytest.mark.parametrize("name", tiny.NAMES)
def test_a_wrong_value_anywhere_in_a_config(name: str) -> None:
    config = tiny.MODELS[name].config
    leaks = {}
    for at in places(config):
        for value in WRONG:
            try:
                fuzz_config(json.dumps(put(config, at, value)).encode())
            except Exception as error:
                leaks[f"{at} = {value!r}"] = repr(error)
    assert leaks == {}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("deepseek-v2", "scoring_func", {"a": 1}),
        ("deepseek-v2", "scoring_func", ["softmax"]),
        ("stablelm", "partial_rotary_factor", "x"),
        ("stablelm", "partial_rotary_factor", float("nan")),
        ("stablelm", "partial_rotary_factor", float("inf")),
        ("phi2", "partial_rotary_factor", [0.5]),
        ("phi-longrope", "original_max_position_embeddings", 1),
    ],
)
def test_what_fuzzing_found(name: str, key: str, value: Any) -> None:
    config, tensors = checkpoint(name, **{key: value})
    with pytest.raises(ArchitectureError) as caught:
        architectures.find(config).to_gguf(config, tensors)
    assert (caught.value.path, caught.value.key) == ("config.json", key)
